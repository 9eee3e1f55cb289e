#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peers_h2.py server|client|requests CORPUS DIR: peers.py over HTTP/2, framed by the h2 library.

A connection carries up to AT_ONCE streams at a time, of any authority; which one sends next, how much, with how much
padding, and where the writes to TLS cut the frames is drawn. Some heads are longer than a frame (CONTINUATION), some
answers have a 103 before them or trailers behind, PING and PRIORITY come in between. `requests` writes what a client
says to DIR/requests.jsonl, for other clients.
"""
import base64
import collections
import json
import os
import random
import signal
import socket
import ssl
import sys
import traceback

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

import exchanges
import peers

AT_ONCE = 8
EACH = 250      # exchanges of one connection
LONG_HEAD = 30  # one head in so many needs CONTINUATION
OF_HTTP1 = {"keep-alive", "proxy-connection", "te", "http2-settings", "trailer"}


class Side:
    """One end of a connection: messages wait in `sending` until they are out, piece by piece."""

    def __init__(self, sock, is_client, draw):
        self.sock, self.draw, self.eof = sock, draw, False
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=is_client, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False, validate_inbound_headers=False))
        self.sending = {}  # stream: [body, sent, longest piece, trailers]
        self.out = bytearray()
        # Of a small window the client learns too late: the h2 library refuses what it sends before.
        windows = (3000, 65535, 1 << 20) if is_client else (65535, 1 << 20)
        self.h2.local_settings = h2.settings.Settings(client=is_client, initial_values={
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: draw.choice(windows),
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 20})
        self.h2.initiate_connection()

    def say(self, stream, head, body, trailers=()):
        if self.draw.randrange(LONG_HEAD) == 0:
            head.append(("x-long", "".join(self.draw.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ&*<>", k=30000))))
        self.h2.send_headers(stream, head, end_stream=not body and not trailers)
        if body or trailers:
            longest = max(self.draw.choice((9, 300, 3000, 16384)), len(body) // 60)
            self.sending[stream] = [body, 0, longest, trailers]

    def piece(self, stream):
        """One DATA frame; False when the window is shut."""
        body, sent, longest, trailers = self.sending[stream]
        room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
        pad = self.draw.choice((None, None, None, 0, 7, 255))
        if pad is not None and room <= pad + 1:
            pad = None
        room -= 0 if pad is None else pad + 1
        n = min(self.draw.randint(1, longest), len(body) - sent, room)
        if n <= 0 and body[sent:]:
            return False
        sent += n
        ends = sent == len(body)
        if body:
            self.h2.send_data(stream, body[sent - n:sent], end_stream=ends and not trailers, pad_length=pad)
        if not ends:
            self.sending[stream][1] = sent
            return True
        del self.sending[stream]
        if trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        return True

    def write(self, all_of_it):
        self.out += self.h2.data_to_send()
        while self.out and (all_of_it or len(self.out) > 20000):
            n = self.draw.choice((1, 8, 9, 100, 4000, 16384, 40000))
            self.sock.sendall(self.out[:n])
            del self.out[:n]

    def turn(self):
        """Says a piece of a stream; whether more can be said now."""
        shut = set()
        while len(shut) < len(self.sending):
            stream = self.draw.choice([s for s in self.sending if s not in shut])
            if self.piece(stream):
                if self.draw.randrange(200) == 0:
                    self.h2.ping(self.draw.randbytes(8))
                self.write(self.draw.randrange(3) == 0)
                return True
            shut.add(stream)
        self.write(True)
        return False

    def heard(self, wait):
        """Events, after `wait` for the first of them; none when the peer has gone."""
        self.sock.settimeout(60 if wait else 0)
        try:
            data = self.sock.recv(65536)
            self.eof = not data
        except (ssl.SSLWantReadError, BlockingIOError):
            data = b""
        finally:
            self.sock.settimeout(60)
        events = self.h2.receive_data(data) if data else []
        for e in events:
            if isinstance(e, h2.events.DataReceived) and e.flow_controlled_length:
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        return events

    def end(self):
        self.h2.close_connection()
        try:
            self.write(True)
            self.sock.unwrap()
        except OSError:
            pass
        self.sock.close()


def message(named, body, coding):
    return [(name.lower(), value) for name, value in named if name.lower() not in OF_HTTP1] + \
        [("content-encoding", coding)] * bool(coding), body


# ---- the server


def begin_answer(side, stream, x):
    draw = x.random("response h2")
    named, body = message(*exchanges.response_message(x))
    if draw.random() < 0.1:
        side.h2.send_headers(stream, [(":status", "103"), ("link", "</x>")])
    head = [(":status", str(x.status))] + named
    if not exchanges.bodyless(x) and draw.random() < 0.5:
        head.append(("content-length", str(len(body))))
    trailers = [("x-checksum", "none")] if draw.random() < 0.1 and not exchanges.bodyless(x) else []
    side.say(stream, head, body, trailers)


def answer(sock, every):
    side, asked = Side(sock, False, random.Random(exchanges.SEED)), {}
    while not side.eof:
        more = side.turn()
        for e in side.heard(not more):
            if isinstance(e, h2.events.RequestReceived):
                asked[e.stream_id] = int(dict(e.headers)["user-agent"].rpartition("/")[2])
            elif isinstance(e, h2.events.StreamEnded):
                begin_answer(side, e.stream_id, every[asked.pop(e.stream_id)])
            elif isinstance(e, h2.events.ConnectionTerminated):
                side.eof = True
    side.end()


def listen(server, context, every):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    context.set_alpn_protocols(["h2"])
    while True:
        raw, _ = server.accept()
        if not os.fork():
            try:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                answer(context.wrap_socket(raw, server_side=True), every)
            except Exception:
                traceback.print_exc()
            os._exit(0)
        raw.close()


# ---- the client


class Files:
    """The exchanges to make: a file's one after the other, of several files at the same time."""

    def __init__(self, every):
        self.waiting = collections.deque()
        for x in every:
            if not self.waiting or self.waiting[-1][0].path != x.path:
                self.waiting.append(collections.deque())
            self.waiting[-1].append(x)

    def next(self):
        return self.waiting.popleft() if self.waiting else None


def ask_one(side, x):
    named, body = message(*exchanges.request_message(x))
    stream = side.h2.get_next_available_stream_id()
    head = [(":method", x.method), (":scheme", "https"), (":authority", x.host), (":path", x.target)] + named
    if body and side.draw.random() < 0.5:
        head.append(("content-length", str(len(body))))
    side.say(stream, head, body)
    if side.draw.randrange(20) == 0:
        side.h2.prioritize(stream, weight=side.draw.randint(1, 256))
    return stream


def connect(port, draw):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection(("127.0.0.1", port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Side(context.wrap_socket(raw, server_hostname="h2.example"), True, draw)


def connection(files, port, draw, done):
    """Makes exchanges until there are no more, or the connection has had its share."""
    side, open_, made = connect(port, draw), {}, 0
    rest = []
    while True:
        while len(open_) < AT_ONCE and made < EACH:
            group = rest.pop() if rest else files.next()
            if not group:
                break
            open_[ask_one(side, group[0])] = group
            made += 1
        if not open_:
            break
        more = side.turn()
        for e in side.heard(not more):
            if isinstance(e, h2.events.StreamEnded):
                group = open_.pop(e.stream_id)
                done(group.popleft())
                rest += [group] * bool(group)
            elif isinstance(e, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                raise EOFError(f"the server gave up: {e}")
        if side.eof:
            raise EOFError("the connection ended inside a message")
    files.waiting.extendleft(rest)
    side.end()


def ask(every, port, made):
    files, draw = Files(every), random.Random(f"{exchanges.SEED}/{made}")
    with open(made, "w", encoding="ascii") as f:
        while files.waiting:
            connection(files, port, draw, lambda x: print(x.number, file=f))


def write_requests(every, directory):
    with open(directory + "/requests.jsonl", "w", encoding="ascii") as f:
        for x in every:
            if x.status >= 200:
                named, body = message(*exchanges.request_message(x))
                print(json.dumps({"number": x.number, "file": x.path, "method": x.method, "target": x.target, "host": x.host,
                                  "headers": named, "body": base64.b64encode(body).decode()}), file=f)


ROLES = {"server": peers.serve, "client": peers.run, "requests": write_requests}

if __name__ == "__main__":
    peers.listen, peers.ask = listen, ask
    role, corpus, where = sys.argv[1:]
    sys.exit(ROLES[role](exchanges.load(corpus), where))
