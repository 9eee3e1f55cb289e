#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# MCP over standard input and output, client and server made with the official SDK: all requests and their answers,
# megabytes of them, with the tool calls that they are made for; over sockets (node's children) and over pipes; seen at
# the client, or at the server where that alone is followed; from the beginning, or joined. The tracepoint of system
# calls is there only while a session over pipes lasts.
. "$(dirname "$0")/lib.sh"
[ -n "$NODE22" ] && [ -d "$NODE_MODULES/@modelcontextprotocol/sdk" ] || skip "the MCP SDK is not installed"

cp tests/fixtures/mcp_client.mjs tests/fixtures/mcp_server.mjs "$T"
ln -s "$NODE_MODULES" "$T/node_modules"
SERVER=("$NODE22" "$T/mcp_server.mjs")
CLIENT_CMD=("$NODE22" "$T/mcp_client.mjs" "${SERVER[@]}")
unset TRUTH

# watched NAME: whether the capture of that name has its program at the end of system calls
watched() {
	local pid
	for pid in $(pgrep -f -- "--store $T/$1[.]store"); do
		! grep -qs 'tp_name:.*sys_exit' "/proc/$pid"/fdinfo/* || return 0
	done
	return 1
}

mcp='[s for s in spans if "mcp.method.name" in s.attrs]'
WHOLE=("all(s.get('spantap.complete') and s.get('spantap.mcp.transport') == 'stdio' and s.get('network.transport') == 'pipe' and
	(s.get('spantap.mcp.server.name'), s.get('spantap.mcp.server.version'), s.get('spantap.mcp.client.name')) ==
	('files', '2.1.0', 'tester') for s in $mcp)"
	"sorted(s.get('mcp.method.name') for s in $mcp) == ['initialize', 'notifications/cancelled', 'notifications/initialized',
	'sampling/createMessage', 'tools/call', 'tools/call', 'tools/call', 'tools/call', 'tools/call', 'tools/list']"
	"({s.get('gen_ai.tool.name'): s.get('error.type') for s in $mcp if s.get('mcp.method.name') == 'tools/call'} ==
	{'read': None, 'big': None, 'fail': 'tool_error', 'ask': None, 'slow': 'cancelled'})"
	"[s.get('spantap.mcp.asked_by') for s in $mcp if s.get('mcp.method.name') == 'sampling/createMessage'] == ['server']"
	"all(json.loads(s.get('gen_ai.tool.call.result'))['content'][0]['text'] == 'forty-two' for s in $mcp if s.get('gen_ai.tool.name') == 'ask')")

# session NAME: the whole session at the client
session() {
	"${CLIENT_CMD[@]}" >"$T/untraced.out" 2>"$T/untraced.err"
	OPTS='--content full' traced "$1" "${CLIENT_CMD[@]}"
	is "$1: exit code" 0 "$STATUS"
	same "$1: prints something else when traced" "$T/untraced.out" "$T/$1.out"
	same "$1: the server's stderr" "$T/untraced.err" "$T/$1.err"
	grep -q 'nothing lost' "$T/$1.tree" || fail "$1: $(cat "$T/$1.tree")"
	check "$1" "${WHOLE[@]}" "all(s.get('spantap.mcp.side') == 'client' for s in $mcp)" \
		"[(len(json.loads(s.get('gen_ai.tool.call.arguments'))['text']), len(json.loads(s.get('gen_ai.tool.call.result'))['content'][0]['text']))
		for s in $mcp if s.get('gen_ai.tool.name') == 'big'] == [(2000000, 3000000)]"
}
session sockets

# Pipes; each tool call with its request; the tracepoint of system calls goes when the server has ended.
provider
cat >"$T/two.json" <<'END'
{"replies": [{"tool_calls": [{"name": "mcp__files__read", "arguments": {"path": "/a"}},
                             {"name": "shell", "arguments": {"command": "sleep 0.5"}}]}, {"text": "Done."}]}
END
touch "$T/open"
PAUSE_WHILE=$T/open traced pipes "$PY" tests/fixtures/agent_stdio.py "${SERVER[*]}" --base-url "$BASE_URL" --ca "$CA_FILE" \
	--prompt "[[script:$T/two.json]]" &
run=$!
during=no after=yes
for _ in $(seq 200); do ! watched pipes || { during=yes; break; }; sleep 0.05; done
for _ in $(seq 600); do [ "$(wc -l <"$TRUTH")" -lt 2 ] || break; sleep 0.05; done
for _ in $(seq 200); do watched pipes || { after=no; break; }; sleep 0.05; done
kill -0 $run || fail "pipes: ended too early"
rm "$T/open"
wait $run
is "pipes: the tracepoint during the session" yes $during
is "pipes: the tracepoint after the session" no $after
check pipes 'len(tools) == 2' "len($mcp) == 3" "all(s.get('spantap.complete') for s in $mcp)" \
	"([(s.parent.get('gen_ai.tool.name'), s.get('spantap.link.evidence')) for s in $mcp if s.get('gen_ai.tool.name') == 'read']
	== [('mcp__files__read', 'mcp_arguments')])" \
	"all(s.get('spantap.mcp.server.name') == 'files' and s.get('spantap.mcp.client.name') == 'agent' for s in $mcp)"

# What only looks like it: tools with pipes at both ends, a protocol of JSON lines that is not MCP's.
cat >"$T/others.py" <<'END'
import json, os, subprocess, sys, time
def child(*argv): return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(len(child("cat").communicate(b"plain words\n" * 1000)[0]))
p = child("cat")
for n in range(5):
    p.stdin.write(json.dumps({"jsonrpc": "2.0", "id": n, "method": "textDocument/hover", "params": {}}).encode() + b"\n")
    p.stdin.flush()
    p.stdout.readline()
    time.sleep(0.4)
open(sys.argv[1], "w")
while os.path.exists(sys.argv[1]):
    time.sleep(0.05)
END
traced others "$PY" "$T/others.py" "$T/said" &
run=$!
for _ in $(seq 600); do [ ! -e "$T/said" ] || break; sleep 0.05; done
[ -e "$T/said" ] || fail "others: $(cat "$T/others.err")"
for _ in $(seq 200); do watched others || break; sleep 0.05; done
! watched others || fail "others: the tracepoint stays for what is not MCP"
rm "$T/said"
wait $run
check others "len($mcp) == 0"
! grep -q 'mcp ' "$T/others.tree" || fail "others: $(cat "$T/others.tree")"

# Only the server is followed.
cat >"$T/outer.sh" <<END
exec "$SPANTAP" run --store "$T/server.store" --otlp-file "$T/server.otlp" -o "$T/server.tree" -- ${SERVER[*]}
END
"$NODE22" "$T/mcp_client.mjs" bash "$T/outer.sh" >"$T/server.out" 2>"$T/server.err"
same "server: what the client prints" "$T/untraced.out" "$T/server.out"
for _ in $(seq 100); do [ ! -s "$T/server.tree" ] || break; sleep 0.05; done
check server "len($mcp) >= 9" "all(s.get('spantap.mcp.side') == 'server' for s in $mcp)" \
	"{s.get('gen_ai.tool.name') for s in $mcp if 'gen_ai.tool.name' in s.attrs} >= {'read', 'big', 'fail', 'ask'}" \
	"all(s.get('spantap.mcp.server.name') == 'files' for s in $mcp)"

# A session that was there before.
cat >"$T/later.py" <<'END'
import json, subprocess, sys
s = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
def ask(n, method, **params):
    s.stdin.write(json.dumps({"jsonrpc": "2.0", "id": n, "method": method, "params": params}) + "\n")
    s.stdin.flush()
    return json.loads(s.stdout.readline())
ask(1, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "later", "version": "1"})
print("ready", flush=True)
sys.stdin.readline()
for n in range(2, 5):
    print(ask(n, "tools/call", name="read", arguments={"path": str(n)})["result"]["content"][0]["text"])
s.stdin.close()
s.wait()
END
gate later "$PY" "$T/later.py" "${SERVER[@]}"
for _ in $(seq 200); do grep -qs ready "$T/later.out" && break; sleep 0.05; done
recording later --pid $CLIENT
go later
recorded later
check later "[s.get('jsonrpc.request.id') for s in $mcp] == ['2', '3', '4']" \
	"all(json.loads(s.get('gen_ai.tool.call.result'))['content'][0]['text'].startswith('the text of') for s in $mcp)"

# The sockets of node's children, where only the end of system calls shows them.
SPANTAP=$PWD/build/spantap-hooks
[ -x "$SPANTAP" ] || exit 0
export SPANTAP_TEST_WITHOUT=64
session calls
