#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""exchanges.py: the recorded exchanges (../shared/corpus/README.md), and how each is said over HTTP.

What the recording lost (framing, chunks, writes) is drawn from a generator that is seeded by the exchange and SEED.
"""
import base64
import glob
import gzip
import json
import os
import random
import zlib

import brotli

import codings

SEED = int(os.environ.get("SEED", "1"))
FRAMING = {"content-length", "transfer-encoding", "content-encoding", "connection", "upgrade", "host", "expect"}


class Exchange:
    def __init__(self, number, path, n, item):
        self.number, self.path, self.n, self.item = number, path, n, item
        self.expect, self.provider, self.api = item["expect"], item.get("provider"), item.get("api") or ""
        self.scope = self.expect["scope"]
        self.method, self.status = item["request"]["method"], item["response"]["status"] or 0
        rest = item["request"]["url"].partition("://")[2] or item["request"]["url"]
        host, slash, target = rest.partition("/")
        self.host = host if host and not set(host) & set("<>* {}") else "api.example"
        self.target = (slash + target).partition("#")[0] or "/"

    def random(self, what):
        return random.Random(f"{SEED}/{self.number}/{what}")


def load(directory):
    """All exchanges in a fixed order."""
    found = []
    for path in sorted(glob.glob(directory + "/*/*.json")):
        with open(path, encoding="utf-8") as f:
            items = json.load(f)
        found += [(os.path.relpath(path, directory), n, item) for n, item in enumerate(items) if isinstance(item, dict)]
    return [Exchange(i, *each) for i, each in enumerate(found)]


def fields(headers):
    for name, value in headers.items() if isinstance(headers, dict) else headers or []:
        for one in value if isinstance(value, list) else [value]:
            if name and name[0] != ":" and name.lower() not in FRAMING and isinstance(one, str):
                yield name, one.replace("\r", " ").replace("\n", " ")


def encoding_of(headers):
    pairs = headers.items() if isinstance(headers, dict) else headers or []
    for name, value in pairs:
        if name.lower() == "content-encoding":
            return (value[0] if isinstance(value, list) else value).lower()
    return ""


def body_of(message, preserved):
    """The body as sent and its coding; a header may remain on a body that was decoded already."""
    raw = base64.b64decode(message.get("body_b64") or "")
    if raw[:2] == b"\x1f\x8b":
        return raw, "gzip"
    return raw, "br" if preserved and encoding_of(message.get("headers")) == "br" else ""


def plain(body, coding):
    """Without its coding; None when it cannot be removed, or is to be kept as recorded."""
    try:
        return {"": bytes, "gzip": gzip.decompress, "br": brotli.decompress}[coding](body)
    except (OSError, EOFError, zlib.error, brotli.error):
        return None


def recode(body, coding, draw):
    """In a coding drawn anew; a third of those that came with one keeps it."""
    bare = plain(body, coding)
    if not body or bare is None or (coding and draw.randrange(3) == 0):
        return body, coding
    return codings.drawn(bare, draw)


def agent(x):
    """The User-Agent as recorded, and which exchange it is: all spans tell it."""
    recorded = [value for name, value in fields(x.item["request"].get("headers")) if name.lower() == "user-agent"]
    return " ".join(recorded[:1] + [f"exchange/{x.number}"])


def request_message(x):
    """Header fields, body as sent, its coding. Every fourth request is compressed, as some clients do."""
    draw = x.random("request coding")
    body, coding = body_of(x.item["request"], False)
    if draw.randrange(4) == 0:
        body, coding = recode(body, coding, draw)
    named = [("user-agent", agent(x))]
    named += [(name, value) for name, value in fields(x.item["request"].get("headers")) if name.lower() != "user-agent"]
    return named, body, coding


def response_message(x):
    named = list(fields(x.item["response"].get("headers")))
    if bodyless(x):
        return named, b"", ""
    preserved = x.item.get("capture", {}).get("encoding_preserved")
    body, coding = recode(*body_of(x.item["response"], preserved), x.random("response coding"))
    return named, body, coding


def bodyless(x):
    return x.status in (204, 304) or x.method == "HEAD"


# ---- over HTTP/1.1


def lines(named):
    return "".join(f"{name}: {value}\r\n" for name, value in named)


def chunks(body, draw):
    out, at, longest = bytearray(), 0, draw.choice((40, 700, 5000, 100000))
    while at < len(body):
        n = draw.randint(1, longest)
        out += b"%x%s\r\n" % (len(body[at:at + n]), draw.choice((b"", b"", b";x=y"))) + body[at:at + n] + b"\r\n"
        at += n
    return bytes(out) + b"0\r\n\r\n"


def framed(head, body, coding, draw, to_close=False):
    head += f"content-encoding: {coding}\r\n" if coding else ""
    if to_close:
        return (head + "connection: close\r\n\r\n").encode("utf-8", "surrogateescape") + body
    if draw.random() < 0.5:
        head, body = head + "transfer-encoding: chunked\r\n\r\n", chunks(body, draw)
    else:
        head += f"content-length: {len(body)}\r\n\r\n"
    return head.encode("utf-8", "surrogateescape") + body


def request(x):
    named, body, coding = request_message(x)
    head = f"{x.method} {x.target} HTTP/1.1\r\nhost: {x.host}\r\n" + lines(named)
    if not body:
        return (head + "content-length: 0\r\n\r\n").encode("utf-8", "surrogateescape")
    return framed(head, body, coding, x.random("request"))


def response(x):
    """The bytes, and whether the connection ends with them."""
    draw = x.random("response")
    named, body, coding = response_message(x)
    head = f"HTTP/1.1 {x.status} x\r\n" + lines(named)
    if bodyless(x):
        return (head + "\r\n").encode("utf-8", "surrogateescape"), False
    to_close = draw.random() < 0.05
    if draw.random() < 0.1:
        head = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + head
    return framed(head, body, coding, draw, to_close), to_close


def pieces(data, draw):
    """Random splits of one message's writes; long ones in longer pieces, so that the number stays bounded."""
    longest = max(draw.choice((7, 200, 3000, 20000)), len(data) // 100)
    at = 0
    while at < len(data):
        n = draw.randint(1, longest)
        yield data[at:at + n]
        at += n
