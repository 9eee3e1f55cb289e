#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hostile_scraper.py PORT PID: clients that a scraper's server must survive; between any two it still answers.

Prints a line a case. Fails when an honest scrape does, or when the server (PID) grows by more than 64 MB.
"""
import os
import random
import socket
import sys
import time

port, pid = int(sys.argv[1]), sys.argv[2]
rnd = random.Random(11)
ASK = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def connect():
    return socket.create_connection(("127.0.0.1", port), 10)


def answer(s):
    data = b""
    while True:
        try:
            got = s.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return data
        if not got:
            return data
        data += got


def ask(data=ASK):
    with connect() as s:
        try:
            s.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer(s)


def resident():
    return int(open("/proc/%s/statm" % pid).read().split()[1]) * 4096


def honest(case):
    got = ask()
    assert got.startswith(b"HTTP/1.1 200 OK\r\n"), (case, got[:100])
    head, body = got.split(b"\r\n\r\n", 1)
    assert b"Content-Length: %d\r\n" % len(body) in head, case
    print(case, "ok", flush=True)


def status(data):
    return ask(data).split(b" ")[1:2]


before = resident()
honest("first")
is_status = {b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n": b"200", b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n": b"200",
             b"GET /metrics/../store HTTP/1.1\r\nHost: x\r\n\r\n": b"404", b"GET / HTTP/1.0\r\n\r\n": b"404",
             b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello": b"405",
             b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc": b"400", b"GET /metrics HTTP/1.1\r\n bad\r\n\r\n": b"400",
             b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n": b"431",
             b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n": b"431"}
for data, wanted in is_status.items():
    assert status(data) == [wanted], (data[:60], wanted, ask(data)[:60])
assert ask(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"\r\n\r\n")
honest("statuses")
for n in range(300):
    ask(bytes(rnd.randrange(256) for _ in range(rnd.randrange(1, 400))) + b"\r\n\r\n")
honest("garbage")
with connect() as s:  # a byte at a time is slow, and no fault
    for byte in ASK:
        s.sendall(bytes([byte]))
    assert answer(s).startswith(b"HTTP/1.1 200")
honest("bytes")
idle = [connect() for _ in range(200)]  # more than it serves: the oldest make room
honest("idle")
for s in idle:
    s.close()
greedy = []  # who ask and do not read
for _ in range(60):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", port))
    s.sendall(ASK)
    greedy.append(s)
for s in greedy:
    s.close()
honest("greedy")
for _ in range(200):  # who leave at once
    s = connect()
    s.sendall(ASK)
    s.close()
honest("leaving")
slow = [connect() for _ in range(20)]
for s in slow:
    s.sendall(b"GET /metr")
time.sleep(7)
closed = 0
for s in slow:
    s.settimeout(5)
    closed += s.recv(1) == b""
assert closed == len(slow), closed
honest("slow")
grown = resident() - before
assert grown < 64 << 20, grown
