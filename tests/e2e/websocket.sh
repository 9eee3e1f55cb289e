#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# WebSocket clients that we did not write (Debian's python3-websockets, node's own) over TLS: every message that the
# server read and wrote is seen at the proto seam, whole and in order, compressed and not.
. "$(dirname "$0")/lib.sh"

[ -n "$PYTHON" ] && "$PY" -c 'import websockets' 2>/dev/null || skip "needs python3-websockets"

# An authority and a certificate of its own, as the provider makes them.
mkdir "$T/ws"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$T/ws/key" -out "$T/ws/ca.pem" 2>"$T/openssl" ||
	fail "openssl: $(cat "$T/openssl")"
cat "$T/ws/key" "$T/ws/ca.pem" >"$T/ws/server.pem"
"$PY" tests/fixtures/websocket_server.py server "$T/ws" >"$T/ws/out" 2>&1 &
started+=($!)
for _ in $(seq 200); do
	grep -q '^ready' "$T/ws/out" && break
	sleep 0.05
done
grep -q '^ready' "$T/ws/out" || fail "the server did not start: $(cat "$T/ws/out")"
export NODE_EXTRA_CA_CERTS=$T/ws/ca.pem
{ read -r packed; read -r plain; } <"$T/ws/port"

# seen NAME: what the server logged since the last call is what the recording gives
read_lines=0
seen() {
	tail -n +$((read_lines + 1)) "$T/ws/log" >"$T/$1.log"
	read_lines=$(wc -l <"$T/ws/log")
	"$SPANTAP" replay --until=proto "$T/$1.rec" >"$T/$1.proto" 2>"$T/$1.replay" || fail "$1: $(cat "$T/$1.replay")"
	"$PY" - "$T/$1.log" "$T/$1.proto" "$1" <<'END' || { tail -n 3 "$T/$1.tree"; fail "$1"; }
import json, re, sys
def unescape(s):
    return re.sub(rb'\\(?:x([0-9a-f]{2})|u\{([0-9a-f]+)\}|(.))', lambda m: bytes([int(m[1], 16)]) if m[1] else
                  chr(int(m[2], 16)).encode() if m[2] else {b'n': b'\n', b't': b'\t', b'r': b'\r'}.get(m[3], m[3]), s)
sent = {"write": [], "read": []}
for line in open(sys.argv[1]):
    m = json.loads(line)
    sent[m["dir"]].append((m["text"], m["n"], m["crc32"] if m["n"] > 4096 else bytes.fromhex(m["data"])))
seen = {"write": [], "read": []}
ends = []
for line in open(sys.argv[2], "rb"):
    m = re.match(rb'\d+ message (write|read) (text|binary) (\d+) bytes "(.*)"(?:\xe2\x80\xa6 crc32=([0-9a-f]{8}))? ts=\d+$', line)
    if m:
        seen[m[1].decode()].append((m[2] == b"text", int(m[3]), m[5].decode() if m[5] else unescape(m[4])))
    if b" end damage=" in line:
        ends.append(line)
for d in sent:
    for i, (a, b) in enumerate(zip(sent[d], seen[d])):
        if a != b:
            sys.exit("%s message %d: sent %r, seen %r" % (d, i, a, b))
    if len(sent[d]) != len(seen[d]):
        sys.exit("%s: %d sent, %d seen" % (d, len(sent[d]), len(seen[d])))
upgraded = [e for e in ends if b"upgraded" in e]
if len(upgraded) != 1 or b"damage=none" not in upgraded[0]:
    sys.exit("ends: %r" % ends)
print("FIGURE", sys.argv[3] + ":", len(seen["write"]) + len(seen["read"]), "messages seen whole and in order")
END
}

# one NAME CMD...
one() {
	local name=$1
	shift
	OPTS="--content full --record $T/$name.rec"
	traced "$name" "$@"
	OPTS=
	[ "$STATUS" = 0 ] || fail "$name: exit code $STATUS: $(cat "$T/$name.err")"
	grep -q 'nothing lost' "$T/$name.tree" || fail "$name: $(tail -n 3 "$T/$name.tree")"
	seen "$name"
}

for kind in packed plain; do
	port=${!kind}
	one python_$kind "$PY" tests/fixtures/websocket_server.py client "wss://localhost:$port/" "$T/ws/ca.pem" 60
	[ -n "$NODE22" ] || { echo "SKIP node: not installed"; continue; }
	one node_$kind "$NODE22" tests/fixtures/client_websocket.mjs "wss://localhost:$port/" 60
done
grep -q 'header Sec-WebSocket-Extensions: permessage-deflate' "$T/python_packed.proto" || fail "nothing was compressed"

# The stop of replay: an unknown seam is a wrong call, a foreign file an error.
STATUS=0
"$SPANTAP" replay --until=llmm "$T/python_plain.rec" 2>"$T/err" || STATUS=$?
is "exit code with an unknown seam" 2 "$STATUS"
STATUS=0
"$SPANTAP" replay --until=proto "$T/ws/ca.pem" 2>"$T/err" || STATUS=$?
is "exit code with a foreign file" 1 "$STATUS"
