# SPDX-License-Identifier: Apache-2.0
"""The traced program of tracee.py: a python client on one keep-alive TLS connection.

usage: client.py PORT CA MODE COUNT    MODE: stream (COUNT streamed answers of 200 chunks),
                                       small (COUNT short questions and answers), idle (COUNT x 0.1 s)
Prints the CPU seconds (user + system) that it spent itself, imports and handshake left out.
"""
import http.client
import json
import resource
import ssl
import sys
import time

port, ca, mode, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


conn = http.client.HTTPSConnection("localhost", port, context=ssl.create_default_context(cafile=ca))
conn.connect()
script = "long" if mode == "stream" else "single"
body = json.dumps({"model": "gpt-4o-mini", "stream": mode == "stream",
                   "messages": [{"role": "user", "content": f"measure [[script:{script}]]"}]})
start = cpu()
for _ in range(count):
    if mode == "idle":
        time.sleep(0.1)
        continue
    conn.request("POST", "/v1/chat/completions", body,
                 {"Content-Type": "application/json", "Authorization": "Bearer sk-test"})
    r = conn.getresponse()
    while r.readline() if mode == "stream" else r.read():
        pass
print(cpu() - start)
