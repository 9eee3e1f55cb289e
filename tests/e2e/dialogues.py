#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dialogues.py: conversations of three calls each, side by side; every tenth has a call that the provider refuses, and with
--slow every fifth one that it answers late.

Prints for each conversation its number and what its three calls were answered with.
"""
import argparse
import http.client
import json
import ssl
import threading
import time
import urllib.parse

parser = argparse.ArgumentParser()
parser.add_argument("--base-url", required=True)
parser.add_argument("--ca", required=True)
parser.add_argument("--script", required=True, help="file for the provider's script of an error")
parser.add_argument("--count", type=int, default=60)
parser.add_argument("--slow", type=int, default=0, help="milliseconds")
parser.add_argument("--filler", type=int, default=0, help="bytes of text in each prompt")
parser.add_argument("--seconds", type=float, default=0, help="begin no conversation after so long")
options = parser.parse_args()
url = urllib.parse.urlsplit(options.base_url)
context = ssl.create_default_context(cafile=options.ca)
with open(options.script, "w") as f:
    error = {"error": {"status": 400, "message": "no", "openai": {"type": "invalid_request_error", "code": "no"},
                       "anthropic": {"type": "invalid_request_error"}}}
    json.dump({"replies": [error] * 3}, f)
numbers, lock, until = iter(range(options.count)), threading.Lock(), time.time() + options.seconds


def ask(connection, messages, headers):
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": "gpt-4o-mini", "messages": messages}),
                       dict(headers, **{"Content-Type": "application/json"}))
    response = connection.getresponse()
    body = json.loads(response.read())
    if response.status != 200:
        connection.close()  # the provider does; the next request opens it again
    return response.status, body["choices"][0]["message"]["content"] if response.status == 200 else None


def converse(n):
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=30)
    messages, got = [], []
    for k in range(3):
        messages.append({"role": "user", "content": f"dialogue {n} question {k} " + f"{n:08d} " * (options.filler // 9)})
        behaviour = {}
        if k == 1 and n % 10 == 0:
            behaviour = {"x-test-script": options.script}
        elif k == 1 and n % 5 == 1:
            behaviour = {"x-test-head": "separate", "x-test-first-token-ms": str(options.slow)}
        status, text = ask(connection, messages, behaviour)
        got.append(str(status))
        if text is not None:
            messages.append({"role": "assistant", "content": text})
    connection.close()
    with lock:  # else two lines may come as one
        print(n, *got, flush=True)


def work():
    while not options.seconds or time.time() < until:
        with lock:
            n = next(numbers, None)
        if n is None:
            return
        converse(n)


threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
