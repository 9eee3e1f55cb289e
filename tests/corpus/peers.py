#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peers.py server CORPUS DIR | peers.py client CORPUS DIR: both ends of the recorded exchanges, over TLS.

The server listens on a port, written to DIR/port when it is ready. The client's WORKERS processes each make some of
the exchanges, one after the other, on connections that they keep. Of exchange N (the end of User-Agent) both know the
bytes. The client writes the numbers of those that it made to DIR/made.*.
"""
import os
import socket
import ssl
import subprocess
import sys
import threading

import exchanges

WORKERS = int(os.environ.get("WORKERS", "6"))
EACH = 40  # exchanges of one connection at most


def read_head(sock, buffer):
    while b"\r\n\r\n" not in buffer:
        data = sock.recv(65536)
        if not data:
            return None
        buffer += data
    head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
    buffer[:] = rest
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    return lines[0], {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}


def need(sock, buffer, n):
    while len(buffer) < n:
        data = sock.recv(65536)
        if not data:
            raise EOFError("the connection ended inside a message")
        buffer += data


def skip_body(sock, buffer, headers):
    """Reads a body and drops it."""
    if headers.get("transfer-encoding") != "chunked":
        need(sock, buffer, int(headers.get("content-length", 0)))
        del buffer[:int(headers.get("content-length", 0))]
        return
    while True:
        while b"\r\n" not in buffer:
            need(sock, buffer, len(buffer) + 1)
        line, _, rest = bytes(buffer).partition(b"\r\n")
        buffer[:] = rest
        n = int(line.partition(b";")[0], 16)
        need(sock, buffer, n + 2)
        del buffer[:n + 2]
        if n == 0:
            return


def send(sock, data, draw):
    for piece in exchanges.pieces(data, draw):
        sock.sendall(piece)


# ---- the server


def answer(sock, every):
    buffer = bytearray()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while True:
            got = read_head(sock, buffer)
            if not got:
                break
            skip_body(sock, buffer, got[1])
            x = every[int(got[1]["user-agent"].rpartition("/")[2])]
            data, to_close = exchanges.response(x)
            send(sock, data, x.random("writes"))
            if to_close:
                break
        sock.unwrap()
    except (OSError, EOFError):
        pass
    sock.close()


def listen(server, context, every):
    while True:
        raw, _ = server.accept()

        def begin(raw=raw):
            try:
                sock = context.wrap_socket(raw, server_side=True)
            except OSError:
                return raw.close()
            answer(sock, every)
        threading.Thread(target=begin, daemon=True).start()


def serve(every, directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                    "-keyout", directory + "/key.pem", "-out", directory + "/cert.pem"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory + "/cert.pem", directory + "/key.pem")
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    with open(directory + "/port.new", "w", encoding="ascii") as f:
        f.write(str(server.getsockname()[1]))
    os.rename(directory + "/port.new", directory + "/port")
    listen(server, context, every)


# ---- the client


class Client:
    def __init__(self, port):
        self.port, self.open = port, {}
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def connection(self, host):
        if host not in self.open:
            raw = socket.create_connection(("127.0.0.1", self.port))
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            name = host.partition(":")[0]
            self.open[host] = [self.context.wrap_socket(raw, server_hostname=name), bytearray(), 0]
        return self.open[host]

    def close(self, host):
        sock = self.open.pop(host)[0]
        try:
            sock.unwrap()
        except OSError:
            pass
        sock.close()

    def exchange(self, x):
        # Recorders wrote some methods as "post", which is another method: no connection is kept with it.
        strange = not x.method.isupper()
        if strange and x.host in self.open:
            self.close(x.host)
        c = self.connection(x.host)
        sock, buffer = c[0], c[1]
        send(sock, exchanges.request(x), x.random("asks"))
        status = "HTTP/1.1 103"
        while status.startswith("HTTP/1.1 103"):
            status, headers = read_head(sock, buffer)
        if headers.get("connection") == "close":
            while sock.recv(65536):
                pass
        elif not exchanges.bodyless(x):
            skip_body(sock, buffer, headers)
        c[2] += 1
        if headers.get("connection") == "close" or c[2] == EACH or strange:
            self.close(x.host)


def ask(every, port, made):
    client = Client(port)
    with open(made, "w", encoding="ascii") as f:
        for x in every:
            client.exchange(x)
            print(x.number, file=f)
    for host in list(client.open):
        client.close(host)


def files_of(every, worker):
    """A file's exchanges stay together, in order."""
    names = sorted({x.path for x in every})
    mine = set(names[worker::WORKERS])
    return [x for x in every if x.path in mine and x.status >= 200]


def run(every, directory):
    with open(directory + "/port", encoding="ascii") as f:
        port = int(f.read())
    children = []
    for i in range(WORKERS):
        pid = os.fork()
        if not pid:
            ask(files_of(every, i), port, f"{directory}/made.{i}")
            os._exit(0)
        children.append(pid)
    return any([os.waitpid(pid, 0)[1] for pid in children])


if __name__ == "__main__":
    role, corpus, where = sys.argv[1:]
    sys.exit((serve if role == "server" else run)(exchanges.load(corpus), where))
