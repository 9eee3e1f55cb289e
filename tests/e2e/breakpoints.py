#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""breakpoints.py PID LIBRARY: where the code of LIBRARY in the memory of PID differs from the file.

Prints "OFFSET BYTE" (hex) for each byte. Code of a shared library is not relocated: only probes differ. Exits 2 when
PID does not map the library.
"""
import sys

pid, library = sys.argv[1:3]
found = False
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
    for line in maps:
        fields = line.split(None, 5)
        if len(fields) < 6 or "x" not in fields[1] or library not in fields[5]:
            continue
        found = True
        begin, end = (int(x, 16) for x in fields[0].split("-"))
        offset = int(fields[2], 16)
        with open(fields[5].strip(), "rb") as file:
            file.seek(offset)
            want = file.read(end - begin)
        memory.seek(begin)
        have = memory.read(len(want))
        for i, (h, w) in enumerate(zip(have, want)):
            if h != w:
                print(f"{offset + i:x} {h:02x}")
sys.exit(0 if found else 2)
