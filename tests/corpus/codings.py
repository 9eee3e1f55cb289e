# SPDX-License-Identifier: Apache-2.0
"""codings.py: Content-Encodings as servers write them, drawn at random.

Pieces are flushed where a server would flush an event; gzip has one member or several, zstd one frame or several,
deflate is RFC 1950's or, as some servers send it, raw RFC 1951. The encoders are the libraries' own.
"""
import zlib

import brotli
import zstandard


def pieces(body, draw, most):
    """Up to `most` parts of random length."""
    cuts = sorted(draw.randrange(len(body) + 1) for _ in range(draw.randrange(most)))
    return [body[a:b] for a, b in zip([0] + cuts, cuts + [len(body)])]


def flushed(body, draw, compress, flush, finish):
    out = b""
    for piece in pieces(body, draw, 6):
        out += compress(piece)
        if draw.random() < 0.5:
            out += flush()
    return out + finish()


def zlib_stream(body, draw, window):
    c = zlib.compressobj(draw.choice((1, 6, 9)), zlib.DEFLATED, window)
    return flushed(body, draw, c.compress, lambda: c.flush(zlib.Z_SYNC_FLUSH), c.flush)


def gzip(body, draw):
    return b"".join(zlib_stream(member, draw, 31) for member in pieces(body, draw, draw.choice((1, 4))))


def deflate(body, draw):
    return zlib_stream(body, draw, draw.choice((15, -15)))


def br(body, draw):
    c = brotli.Compressor(quality=draw.choice((1, 5, 9)), lgwin=draw.choice((10, 18, 22)))
    return flushed(body, draw, c.process, c.flush, c.finish)


def zstd_frame(body, draw):
    c = zstandard.ZstdCompressor(level=draw.choice((1, 3, 10)), write_checksum=draw.random() < 0.5).compressobj()
    return flushed(body, draw, c.compress, lambda: c.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK), c.flush)


def zstd(body, draw):
    return b"".join(zstd_frame(frame, draw) for frame in pieces(body, draw, draw.choice((1, 3))))


CODINGS = {"gzip": gzip, "x-gzip": gzip, "deflate": deflate, "br": br, "zstd": zstd}


def drawn(body, draw):
    """The body in some coding and its name: none, one of the table, now and then two."""
    name = draw.choice(("", "gzip", "gzip", "deflate", "br", "br", "zstd", "zstd", "x-gzip", "gzip, br", "br, zstd"))
    for one in name.split(", ") if name else ():
        body = CODINGS[one](body, draw)
    return body, name
