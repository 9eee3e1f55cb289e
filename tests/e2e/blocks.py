#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""blocks.py STORE: writes the bytes of all blocks of the store to stdout, unpacked: what a search in its file does not see."""
import ctypes
import sqlite3
import sys

PLAIN, ZSTD, ZSTD_BASE = range(3)
zstd = ctypes.CDLL("libzstd.so.1")
for name in "ZSTD_createDCtx", "ZSTD_DCtx_refPrefix", "ZSTD_decompressDCtx":
    getattr(zstd, name).restype = ctypes.c_void_p if name == "ZSTD_createDCtx" else ctypes.c_size_t
context = ctypes.c_void_p(zstd.ZSTD_createDCtx())
rows = {num: rest for num, *rest in sqlite3.connect(f"file:{sys.argv[1]}/spantap.db?mode=ro", uri=True).execute(
    "select num, size, form, base, bytes from block")}


def unpack(num):
    size, form, base, data = rows[num]
    if form == PLAIN:
        return data
    prefix = unpack(base) if form == ZSTD_BASE else b""
    zstd.ZSTD_DCtx_refPrefix(context, prefix, ctypes.c_size_t(len(prefix)))
    out = ctypes.create_string_buffer(size + 1)
    n = zstd.ZSTD_decompressDCtx(context, out, ctypes.c_size_t(size + 1), data, ctypes.c_size_t(len(data)))
    assert n == size, (num, n, size)
    return out.raw[:n]


for block in sorted(rows):
    sys.stdout.buffer.write(unpack(block) + b"\n")
