#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""garbage.py --ca-dir DIR: a TLS server that answers as no server should, and the client that asks it.

Client and server are threads of one process: both are traced. Prints one line a case: its name and how many bytes came.
The certificate (DIR/own.pem, with its key) is made by the test.
"""
import gzip
import json
import random
import socket
import ssl
import sys
import threading

pem = sys.argv[1]
rnd = random.Random(7)
junk = bytes(rnd.randrange(256) for _ in range(200_000))
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
escapes = "red \x1b[31m title \x1b]0;owned\x07 clip \x1b]52;c;cm0gLXJm\x07 csi \x9b2J bidi \u202eabc\u2066 nul \x00 bell \x07 end"
answer = json.dumps({"id": "chatcmpl-evil", "object": "chat.completion", "model": "gpt-\x1b[7m\u202eevil", "choices": [
    {"index": 0, "finish_reason": "stop\x1b[0m", "message": {"role": "assistant", "content": escapes}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, ensure_ascii=True).encode()
packed = gzip.compress(answer)
deep = b"[" * 100_000


def sized(head, body):
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


CASES = {
    "random bytes": junk,
    "no status line": b"\r\n\r\nHTTP/9.9 banana\r\n\r\n",
    "endless headers": OK + b"".join(b"X-H%d: %s\r\n" % (i, b"v" * 500) for i in range(20000)),
    "one endless header": OK + b"X-Long: " + b"a" * 3_000_000,
    "conflicting lengths": OK + b"Content-Length: 5\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    "negative length": OK + b"Content-Length: -1\r\n\r\nhello",
    "huge length": OK + b"Content-Length: 18446744073709551615\r\n\r\nhello",
    "bad chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    "huge chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello\r\n",
    "broken gzip": sized(OK + b"Content-Encoding: gzip\r\n", packed[:20] + junk[:100] + packed[40:]),
    "cut gzip": sized(OK + b"Content-Encoding: gzip\r\n", packed[:len(packed) // 2]),
    "gzip bomb": sized(OK + b"Content-Encoding: gzip\r\n", gzip.compress(b"0" * 150_000_000, 9)),
    "broken JSON": sized(OK, answer[:-30]),
    "deep JSON": sized(OK, deep),
    "wrong types": sized(OK, b'{"id":7,"model":[],"choices":{"a":1},"usage":"many","error":[[]]}'),
    "JSON of another kind": sized(OK, b"null"),
    "invalid UTF-8": sized(OK, answer.replace(b"red", b"\xff\xfe\xc0\x80")),
    "broken events": sized(SSE, b"data: {\n\ndata: \xff\xff\n\nevent\n\n: :\n\ndata:[DONE]x\n\n" + b"data: " * 50_000),
    "events without end": SSE + b"\r\n" + b"data: {\"choices\":[{\"index\":99999999,\"delta\":{\"content\":\"x\"}}]}\n\n" * 2000,
    "negative usage": sized(OK, answer.replace(b'"prompt_tokens": 1', b'"prompt_tokens": -9223372036854775808')),
    "terminal escapes": sized(OK, answer),
}


def serve(listener, context, reply):
    sock, _ = listener.accept()
    try:
        with context.wrap_socket(sock, server_side=True) as tls:
            data = b""
            while b"\r\n\r\n" not in data or not data.endswith(b"}"):
                data += tls.recv(65536)
            tls.sendall(reply)
            tls.unwrap()
    except OSError:
        pass


def ask(port, context, messages):
    body = json.dumps({"model": "gpt-\x1b]0;x\x07model", "messages": messages}).encode()
    got = 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        with context.wrap_socket(sock, server_hostname="localhost") as tls:
            tls.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nUser-Agent: evil\x1b[31m\r\n"
                        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            try:
                while data := tls.recv(65536):
                    got += len(data)
            except OSError:
                pass
    return got


server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(pem)
client = ssl.create_default_context(cafile=pem)
client.check_hostname = False
tool = [{"role": "user", "content": escapes}, {"role": "assistant", "content": None, "tool_calls": [
    {"id": "c\x1b1", "type": "function", "function": {"name": "sh\x1b[1mell", "arguments": json.dumps({"command": escapes})}}]},
    {"role": "tool", "tool_call_id": "c\x1b1", "content": escapes}]
listener = socket.create_server(("127.0.0.1", 0))
for name, reply in CASES.items():
    thread = threading.Thread(target=serve, args=(listener, server, reply))
    thread.start()
    got = ask(listener.getsockname()[1], client, tool if "escapes" in name else [{"role": "user", "content": name}])
    thread.join()
    print(name, got == len(reply))
