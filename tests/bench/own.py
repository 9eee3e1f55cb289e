#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What spantap itself uses: processor time, memory and bytes written, for 1,000 LLM calls of 100 KB.

Two kinds of traffic: `session` (an agent that sends its history again with each call: SESSION calls that grow to twice
100 KB) and `fresh` (every body is new, the worst case). A row for each level of content, with export to an OTLP backend:
  CPU        seconds of a processor per 1,000 calls, of each process, beside those of the traced client and in all
  memory     the most that was seen: anonymous of all processes and the journal once
  store, out bytes a call: database with indexes after its checkpoint, and bodies of OTLP requests (gzip)
The text is of 20,000 words, the frequent ones often, as prose is. What it costs to start is left out. CALLS, SESSION and
LEVELS may be given.
Absolute figures are this machine's; the shares, the bytes and the ratio to the client's own time mean something.
"""
import http.client
import http.server
import json
import os
import random
import resource
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SPANTAP = os.environ.get("SPANTAP", os.path.join(TOP, "build/spantap"))
CALLS = int(os.environ.get("CALLS", "200"))
SESSION = int(os.environ.get("SESSION", "50"))
LEVELS = os.environ.get("LEVELS", "none shape redacted full").split()
BODY = 100_000
TICK = os.sysconf("SC_CLK_TCK")


def vocabulary():
    r = random.Random(1)
    return ["".join(r.choice("aeioubcdfghjklmnpqrstvwxyz") for _ in range(r.randint(2, 11))) for _ in range(20000)]


def words(r, size):
    """Zipf's law: the n-th word is 1/n as frequent as the first."""
    known, out = vocabulary.cached, []
    while size > 0:
        out.append(known[int(len(known) ** r.random()) - 1])
        size -= len(out[-1]) + 1
    return " ".join(out)


def client(port, ca, kind):
    """The traced program. Prints the seconds of a processor that it used for the calls."""
    r, vocabulary.cached = random.Random(7), vocabulary()
    conn = http.client.HTTPSConnection("localhost", port, context=ssl.create_default_context(cafile=ca))
    bodies = []
    for n in range(CALLS):
        step = n % SESSION
        if step == 0:
            messages = [{"role": "system", "content": words(r, BODY * 2 // SESSION)}]
        if kind == "session":
            messages = messages + [{"role": "user", "content": words(r, BODY * 2 // SESSION - 200)}]
        else:
            messages = [{"role": "user", "content": words(r, BODY)}]
        bodies.append(json.dumps({"model": "gpt-4o-mini", "messages": messages}))
        if kind == "session":
            messages = messages + [{"role": "assistant", "content": words(r, 100)}]
    print("begin", flush=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    for body in bodies:
        conn.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        conn.getresponse().read()
    now = resource.getrusage(resource.RUSAGE_SELF)
    print(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, sum(map(len, bodies)) / len(bodies))


class Backend(http.server.BaseHTTPRequestHandler):
    taken = 0

    def do_POST(self):
        Backend.taken += len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def stat(pid):
    """(name, parent, seconds) of a process, or None."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            text = f.read()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2:].split()
    return text[text.index("(") + 1:text.rindex(")")], int(fields[1]), (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    """(anonymous, shared) bytes."""
    try:
        with open(f"/proc/{pid}/status") as f:
            lines = dict(x.split(":", 1) for x in f if x.startswith(("RssAnon", "RssShmem")))
    except OSError:
        return 0, 0
    return tuple(int(lines.get(k, "0 kB").split()[0]) * 1024 for k in ("RssAnon", "RssShmem"))


def watch(spantap):
    """Looks at spantap and its roles until it ends: ({role: seconds}, bytes)."""
    cpu, most, begun = {}, 0, None
    line = threading.Thread(target=spantap.stdout.readline)
    line.start()
    while spantap.poll() is None:
        own = [(spantap.pid, "probe")]
        for name in os.listdir("/proc"):
            s = stat(name) if name.isdigit() else None
            if s and s[1] == spantap.pid and s[0].startswith("spantap "):
                own.append((int(name), s[0].split()[1]))
        anon = shared = 0
        for pid, name in own:
            s = stat(pid)
            a, sh = memory(pid)
            anon, shared = anon + a, max(shared, sh)
            if s:
                cpu[name] = max(cpu.get(name, 0), s[2])
        most = max(most, anon + shared)
        if not begun and not line.is_alive():
            begun = dict(cpu)
        time.sleep(0.02)
    return {k: v - (begun or {}).get(k, 0) for k, v in cpu.items()}, most


def measure(port, ca, tmp, kind, level, url):
    store = os.path.join(tmp, f"{kind}.{level}")
    Backend.taken = 0
    spantap = subprocess.Popen(
        [SPANTAP, "run", "--store", store, "-o", os.devnull, "--content", level, "--otlp", url, "--otlp-content", level, "--",
         sys.executable, os.path.abspath(__file__), "client", str(port), ca, kind], stdout=subprocess.PIPE, text=True)
    cpu, most = watch(spantap)
    own, size = map(float, spantap.stdout.read().split())
    if spantap.returncode:
        sys.exit(f"{kind} {level}: status {spantap.returncode}")
    per = 1000 / CALLS
    total = sum(cpu.values())
    roles = "  ".join(f"{k} {cpu.get(k, 0) * per:.2f}" for k in ("probe", "decode", "sink", "export"))
    stored = sum(os.path.getsize(os.path.join(store, f)) for f in os.listdir(store) if f.startswith("spantap.db"))
    print(f"{kind:7} {level:8} {size / 1000:4.0f} KB/call   CPU/1000: {roles}  all {total * per:.2f} s = x{total / own:.2f} of the "
          f"client's {own * per:.2f} s   {most / 2**20:.0f} MiB   store {stored / CALLS / 1000:.2f} KB/call   "
          f"out {Backend.taken / CALLS / 1000:.2f} KB/call", flush=True)


def main():
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{backend.server_address[1]}"
    with tempfile.TemporaryDirectory() as tmp:
        provider = subprocess.Popen([sys.executable, os.path.join(TOP, "tests/fixtures/provider.py"), "--dir", tmp, "--reply", "single"],
                                    stdout=subprocess.PIPE, text=True)
        try:
            port = int(provider.stdout.readline().split()[1])
            for kind in ("session", "fresh"):
                for level in LEVELS:
                    measure(port, os.path.join(tmp, "ca.pem"), tmp, kind, level, url)
        finally:
            provider.terminate()
            provider.wait()


if sys.argv[1:2] == ["client"]:
    client(int(sys.argv[2]), sys.argv[3], sys.argv[4])
else:
    main()
