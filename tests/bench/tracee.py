#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a traced python client pays, and one that is not followed: CPU time, as ratios in one run.

Interleaved A/B rounds; of each variant the 25th percentile and the spread are printed.
  alone       no spantap
  traced      under `spantap run`
  bystander   not followed, while spantap traces another process that uses the same libssl
Absolute figures are this machine's, now; only the ratios mean something.
"""
import os
import subprocess
import sys
import tempfile

ROUNDS = int(os.environ.get("ROUNDS", "11"))
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SPANTAP = os.environ.get("SPANTAP", os.path.join(TOP, "build/spantap"))


def client(port, ca, mode, count, prefix=()):
    out = subprocess.run([*prefix, sys.executable, os.path.join(HERE, "client.py"), str(port), ca, mode, str(count)],
                         check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return float(out.stdout)


def p25(values):
    return sorted(values)[len(values) // 4]


def compare(port, ca, tmp, mode, count):
    runs = {"alone": [], "traced": [], "bystander": []}
    spantap = [SPANTAP, "run", "--store", os.path.join(tmp, "store"), "-o", os.devnull, "--"]
    for _ in range(ROUNDS):
        runs["alone"].append(client(port, ca, mode, count))
        runs["traced"].append(client(port, ca, mode, count, spantap))
        other = subprocess.Popen([*spantap[:3], os.path.join(tmp, "other"), *spantap[4:], sys.executable,
                                  os.path.join(HERE, "client.py"), str(port), ca, "idle", "600"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            subprocess.run(["sleep", "1"], check=True)  # until its probes are in place
            runs["bystander"].append(client(port, ca, mode, count))
        finally:
            other.terminate()
            other.wait()
    base = p25(runs["alone"])
    for name, v in runs.items():
        print(f"{mode:7} {name:10} {p25(v) * 1000:8.1f} ms CPU  x{p25(v) / base:.2f}   "
              f"({min(v) * 1000:.1f} to {max(v) * 1000:.1f}, {len(v)} rounds of {count})", flush=True)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        provider = subprocess.Popen([sys.executable, os.path.join(TOP, "tests/fixtures/provider.py"), "--dir", tmp],
                                    stdout=subprocess.PIPE, text=True)
        try:
            port = int(provider.stdout.readline().split()[1])
            ca = os.path.join(tmp, "ca.pem")
            compare(port, ca, tmp, "stream", 20)
            compare(port, ca, tmp, "small", 300)
        finally:
            provider.terminate()
            provider.wait()


main()
