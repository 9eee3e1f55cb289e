#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""terminal.py [--interrupt WORD] CMD...: runs CMD on a new terminal, prints what appears there, exits as CMD does.

--interrupt: types ^C, once, a moment after WORD has appeared.
"""
import os
import pty
import sys
import time

args, word = sys.argv[1:], None
if args[0] == "--interrupt":
    word, args = args[1].encode(), args[2:]
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.environ.pop("NO_COLOR", None)
    os.execvp(args[0], args)
seen = b""
while True:
    try:
        piece = os.read(fd, 65536)
    except OSError:
        break
    if not piece:
        break
    seen += piece
    if word and word in seen:
        time.sleep(0.3)
        os.write(fd, b"\x03")
        word = None
os.write(1, seen.replace(b"\r\n", b"\n"))
status = os.waitpid(pid, 0)[1]
sys.exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
