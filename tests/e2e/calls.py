#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""calls.py: many independent LLM calls from threads, each on a connection of its own; for tests that count calls.

Prints one line a call, in order: its number, the HTTP status, the length of the answer's text. Exits 1 when a call failed.
"""
import argparse
import http.client
import json
import os
import random
import ssl
import sys
import threading
import time
import urllib.parse

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--base-url", required=True)
parser.add_argument("--ca", required=True)
parser.add_argument("--threads", type=int, default=20)
parser.add_argument("--settle-ms", type=int, default=0, help="pause between loading the TLS library and its first use")
parser.add_argument("--each", type=int, default=1, help="calls of a thread, one after the other")
parser.add_argument("--prompt", default="call {n}", help="{n} is the number of the call")
parser.add_argument("--word", default="", help="put into the prompt of the calls --at")
parser.add_argument("--at", default="", help="numbers of calls, comma-separated")
parser.add_argument("--spread-ms", type=int, default=0, help="threads begin at random within this time")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--seconds", type=float, default=0, help="threads repeat their calls for so long")
parser.add_argument("--while", dest="sign", default="", help="threads repeat their calls while this file is there")
parser.add_argument("--leave", action="store_true", help="exit with all connections open")
options = parser.parse_args()
time.sleep(options.settle_ms / 1000)
url = urllib.parse.urlsplit(options.base_url)
context = ssl.create_default_context(cafile=options.ca)
chosen = {int(n) for n in options.at.split(",") if n}
pauses = random.Random(options.seed)
outcomes, connections = {}, []


def text_of(stream):
    text = ""
    for line in stream:
        if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
            for choice in json.loads(line[5:])["choices"]:
                text += choice["delta"].get("content") or ""
    return text


def call(connection, number):
    word = " " + options.word if number in chosen else ""
    prompt = options.prompt.replace("{n}", str(number)) + word
    body = {"model": "gpt-4o-mini", "stream": True, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": prompt}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body).encode(),
                       {"Content-Type": "application/json", "Authorization": "Bearer sk-test-0000000000000000"})
    response = connection.getresponse()
    outcomes[number] = (response.status, len(text_of(response)))


def work(index, pause):
    time.sleep(pause)
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=60)
    if options.leave:
        connections.append(connection)
    until, number = time.monotonic() + options.seconds, index
    try:
        while number < index + options.each * options.threads or time.monotonic() < until or os.path.exists(options.sign):
            call(connection, number)
            number += options.threads
    except (OSError, ValueError, http.client.HTTPException) as problem:
        outcomes[number] = (0, repr(problem))


threads = [threading.Thread(target=work, args=(i, pauses.random() * options.spread_ms / 1000))
           for i in range(options.threads)]
for t in threads:
    t.start()
for t in threads:
    t.join()
for number in sorted(outcomes):
    print(number, *outcomes[number])
failed = any(status != 200 for status, _ in outcomes.values())
sys.stdout.flush()
if options.leave:
    os._exit(failed)
sys.exit(failed)
