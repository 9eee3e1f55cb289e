#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scraped_client.py: reads commands from standard input, a line each, and makes the calls that they ask for.

COUNT KIND [MODEL]: KIND is body, stream, slow (a body after 700 ms), 503, crash, batch (no call), junk (no HTTP); %d in
MODEL is the number of the call.
Prints a line when they are made. Environment: BASE_URL, CA_FILE.
"""
import http.client
import json
import os
import socket
import ssl
import sys
import urllib.parse

url = urllib.parse.urlsplit(os.environ["BASE_URL"])
context = ssl.create_default_context(cafile=os.environ["CA_FILE"])
HEADERS = {"stream": {"x-test-delay-ms": "15"}, "slow": {"x-test-first-token-ms": "700"},
           "503": {"x-test-script": "error503"}}


def junk():
    with socket.create_connection((url.hostname, url.port)) as s, context.wrap_socket(s, server_hostname=url.hostname) as t:
        t.sendall(bytes(range(128, 256)) * 8)


def call(kind, model, number):
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=60)
    prompt = "call %d %s" % (number, "SPANTAP-TEST-CRASH" if kind == "crash" else kind)
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    if kind == "stream":
        body.update(stream=True, stream_options={"include_usage": True})
    connection.request("POST", "/v1/batches" if kind == "batch" else "/v1/chat/completions", json.dumps(body).encode(), dict(
        {"Content-Type": "application/json", "Authorization": "Bearer sk-test-0000000000000000"}, **HEADERS.get(kind, {})))
    connection.getresponse().read()
    connection.close()


for line in sys.stdin:
    count, kind, *model = line.split()
    for i in range(int(count)):
        if kind == "junk":
            junk()
            continue
        call(kind, model[0] % i if model and "%" in model[0] else (model or ["gpt-4o-mini"])[0], i)
    print("done", flush=True)
