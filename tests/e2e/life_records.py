#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""life_records.py RECORDING: how many records of forks, execs and exits it holds, and how many the last mark calls lost.

The format: 16 bytes of magic, then the records of bpf/events.h, each padded to 8 bytes.
"""
import struct
import sys

FORK, EXEC, EXIT, MARK = 1, 2, 3, 10
LIFE_LOST = 3

data = open(sys.argv[1], "rb").read()
at, counts, lost = 16, {FORK: 0, EXEC: 0, EXIT: 0}, 0
while at < len(data):
    kind, size = struct.unpack_from("=II", data, at)
    if kind in counts:
        counts[kind] += 1
    if kind == MARK and struct.unpack_from("=I", data, at + 16)[0] == LIFE_LOST:
        lost = struct.unpack_from("=Q", data, at + 24)[0]
    at += (size + 7) & ~7
print(counts[FORK], counts[EXEC], counts[EXIT], lost)
