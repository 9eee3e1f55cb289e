#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""manager.py SOCKET: a service manager's side of sd_notify(3); prints a line a datagram, its lines joined by " | ",
behind the time in seconds. A name that begins with '@' is an abstract one."""
import socket
import sys
import time

path = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("\0" + path[1:] if path[0] == "@" else path)
print("ready", flush=True)
while True:
    words = listener.recv(65536).decode().split("\n")
    print(f"{time.monotonic():.3f}", " | ".join(words), flush=True)
