#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A local model server without TLS, on TCP and on a UNIX socket: the same spans as over TLS, from clients that we did
# not write; nothing of what is not HTTP; each call once when client and server are both followed; calls on a
# connection that is older than the capture; and the same from the ends of system calls, as before Linux 6.3.
. "$(dirname "$0")/lib.sh"

provider --plain --unix "$T/model.sock"
PORT=${BASE_URL##*:}
export F=$PWD/tests/fixtures PY BASE_URL
SAME=('matches_truth()' 'all_complete()' 'errors_match()'
	'not any("spantap.tls.library" in c.attrs or "spantap.tls.joined_late" in c.attrs for c in chats)')
TCP=("all(c.get('server.port') == $PORT and c.get('server.address') == '127.0.0.1' for c in chats)"
	'all(c.get("network.transport") == "tcp" for c in chats)')

# one NAME EXCHANGES CMD...
one() {
	local name=$1 n=$2
	shift 2
	mark
	traced "$name" "$@"
	is "$name: exit code" 0 "$STATUS"
	grep -q 'nothing lost' "$T/$name.tree" || fail "$name: $(cat "$T/$name.tree")"
	exchanges "$n" "$name"
	check "$name" "len(chats) == $n" "${SAME[@]}" "${MORE[@]}"
}

# all NAME: the clients
all() {
	MORE=("${TCP[@]}")
	one "$1.curl" 1 "$F/client_curl.sh"
	STREAM=0 one "$1.whole" 1 "$F/client_curl.sh"
	GZIP=1 one "$1.gzip" 1 "$F/client_curl.sh"
	one "$1.requests" 1 "$PY" "$F/client_requests.py"
	STREAM=1 API=anthropic one "$1.httpx" 1 "$PY" "$F/client_httpx.py"
	ASYNC=1 PARALLEL=3 one "$1.async" 3 "$PY" "$F/client_httpx.py"
	[ -z "$NODE22" ] || one "$1.node" 2 "$NODE22" "$F/client_openai.mjs"
	MORE=("all(c.get('server.address') == '$T/model.sock' and 'server.port' not in c.attrs for c in chats)"
		'all(c.get("network.transport") == "unix" for c in chats)')
	UNIX_SOCKET=$T/model.sock one "$1.unix" 1 "$F/client_curl.sh"
	STREAM=0 UNIX_SOCKET=$T/model.sock one "$1.unix.whole" 1 "$F/client_curl.sh"
}
all events

# Megabytes in one call of many buffers; what is read in many small pieces, and only looked at before.
cat >"$T/vector.py" <<'END'
import json, socket, sys
body = json.dumps({"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "z" * 3000000}]}).encode()
head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nAuthorization: Bearer sk-test-0000000000000000\r\n" \
       b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (sys.argv[1].encode(), len(body))
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
parts = [head] + [body[i:i + 7001] for i in range(0, len(body), 7001)]
while parts:
    n = s.sendmsg(parts[:300])
    while parts and n >= len(parts[0]):
        n -= len(parts.pop(0))
    if n:
        parts[0] = parts[0][n:]
got, room = 0, [bytearray(1), bytearray(13), bytearray(300)]
while True:
    s.recv(5, socket.MSG_PEEK)
    n = s.recvmsg_into(room)[0]
    if not n:
        break
    got += n
print(got)
END
MORE=("${TCP[@]}")
one vector 1 "$PY" "$T/vector.py" "$PORT"

# What is not HTTP stays in the kernel.
cat >"$T/other.py" <<'END'
import socket, threading
a = socket.create_server(("127.0.0.1", 0))
def serve():
    s = a.accept()[0]
    while True:
        d = s.recv(65536)
        if not d: return
        s.sendall(b"+OK" + d)
threading.Thread(target=serve, daemon=True).start()
c = socket.create_connection(a.getsockname())
for i in range(300):
    c.sendall(b"*2\r\n$3\r\nGET\r\n" + b"k" * 5000)
    got = 0
    while got < 5016: got += len(c.recv(65536))
END
traced other "$PY" "$T/other.py"
is "other: exit code" 0 "$STATUS"
grep -q '^captured 0 bytes' "$T/other.tree" || fail "other: $(cat "$T/other.tree")"

# Both ends followed: one call, at the server below the client's.
cat >"$T/both.sh" <<'END'
mkdir "$1"
"$PY" "$F/provider.py" --dir "$1" --plain --unix "$1/s" >"$1/log" 2>&1 &
for i in $(seq 200); do grep -qs ^ready "$1/log" && break; sleep 0.05; done
BASE_URL=http://127.0.0.1:$(cat "$1/port") "$F/client_curl.sh"
BASE_URL=http://127.0.0.1:$(cat "$1/port") STREAM=0 PROMPT=again "$F/client_curl.sh"
UNIX_SOCKET=$1/s PROMPT=third "$F/client_curl.sh"
kill $!
wait
END
traced both bash "$T/both.sh" "$T/both"
is "both: exit code" 0 "$STATUS"
TRUTH=$T/both/truth.jsonl
check both 'len(chats) == 6' 'all_complete()' \
	'len([c for c in chats if c.get("spantap.call.kind") == "relay"]) == 3' \
	'all(c.parent in chats and c.raw["kind"] == 2 and "gen_ai.usage.input_tokens" not in c.attrs and
		c.get("spantap.call.request_sha256") == c.parent.get("spantap.call.request_sha256")
		for c in chats if c.get("spantap.call.kind") == "relay")' 'len(conversations) == 3'
is "both: calls in the list" 3 "$("$SPANTAP" ls --store "$T/both.store" --json | "$PY" -c 'import json, sys; print(sum(c["calls"] for c in json.load(sys.stdin)))')"

# A connection that was in use before: its next calls are seen, whole.
cat >"$T/late.py" <<'END'
import http.client, json, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for n in range(3):
    c.request("POST", "/v1/chat/completions", json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "%d" % n}]}),
              {"Content-Type": "application/json", "Authorization": "Bearer sk-test-0000000000000000"})
    print(len(c.getresponse().read()), flush=True)
    if n == 0:
        sys.stdin.readline()
END
gate late "$PY" "$T/late.py" "$PORT"
for _ in $(seq 100); do [ ! -s "$T/late.out" ] || break; sleep 0.05; done
recording late --pid $CLIENT
mark
go late
recorded late
exchanges 2 late
check late 'len(chats) == 2' "${SAME[@]}"

# Linux before 6.3: only the end of system calls shows what passes, and it is watched from the first connection on.
SPANTAP=$PWD/build/spantap-hooks
[ -x "$SPANTAP" ] || exit 0
export SPANTAP_TEST_WITHOUT=64
WARM='import socket, time; s = socket.create_connection(("127.0.0.1", '$PORT')); time.sleep(0.5)'
MORE=("${TCP[@]}")
one calls.curl 1 bash -c '"$PY" -c "$0" & sleep 0.3; "$F/client_curl.sh"; wait' "$WARM"
one calls.vector 1 bash -c '"$PY" -c "$0" & sleep 0.3; "$PY" "$1" "$2"; wait' "$WARM" "$T/vector.py" "$PORT"
MORE=('all(c.get("network.transport") == "unix" for c in chats)')
UNIX_SOCKET=$T/model.sock one calls.unix 1 bash -c '"$PY" -c "$0" & sleep 0.3; "$F/client_curl.sh"; wait' "$WARM"
