#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Real clients, run without and with spantap: both print the same, and the spans
# equal what the provider wrote down. Detaching costs a second a run, so that the
# clients of one group share a run.
. "$(dirname "$0")/lib.sh"

provider
export F=$PWD/tests/fixtures PY
export AGENT="$PY $F/agent.py --base-url $BASE_URL --ca $CA_FILE"

# group NAME EXCHANGES EXPRESSION...: runs the script on stdin, in which `c NAME CMD...` is a client.
# PRINTS=ids when stdout differs from run to run by the provider's ids.
group() {
	local name=$1 n=$2 f
	shift 2
	{
		echo 'c() { "${@:2}" >"$OUT/$1.out" 2>"$OUT/$1.err"; echo $? >"$OUT/$1.status"; }'
		cat
	} >"$T/$name.script"
	mkdir "$T/$name.plain" "$T/$name.traced"
	OUT=$T/$name.plain bash "$T/$name.script"
	sleep 0.1
	mark
	OUT=$T/$name.traced traced "$name" bash "$T/$name.script"
	[ "$STATUS" = 0 ] || fail "$name: exit code $STATUS: $(cat "$T/$name.err")"
	[ -z "${PRINTS:-}" ] || sed -Ei 's/(chatcmpl-|fp_|msg_|req_)[0-9A-Za-z]+/ID/g; s/"created":[ 0-9]+//g' \
		"$T/$name".{plain,traced}/*.out
	for f in "$T/$name.plain"/*; do
		same "$name: $(basename "$f") differs when traced" "$f" "$T/$name.traced/$(basename "$f")"
	done
	[ ! -s "$T/$name.out$T/$name.err" ] || fail "$name: spantap wrote to CMD's outputs"
	grep -q 'nothing lost' "$T/$name.tree" || fail "$name: loss: $(tail -n 3 "$T/$name.tree")"
	exchanges "$n" "$name"
	check "$name" 'matches_truth()' 'errors_match()' 'tools_match()' 'times_match()' 'in_shape()' 'all_complete()' "$@"
}

# Three conversations at the same time in one process, with a command of its own each.
for i in 1 2 3; do
	cat >"$T/conversation$i.json" <<-END
		{"replies": [{"tool_calls": [{"name": "shell", "arguments": {"command": "sleep 0.$i; echo $i"}}]},
		{"text": "It is $i."}]}
	END
done
export SCRIPTS=$T

for api in openai anthropic; do
	# The sums are of: demo, whole, parallel tools, conversations, turns, the rest.
	API=$api group "agent_$api" 26 \
		'len(conversations) == 13 and len(turns) == 14' 'len(tools) == 3 + 3 + 2 + 3 + 1 + 1' \
		'len(processes) == 5 + 5 + 5 + 6 + 1 + 1' \
		'sorted(t.get("spantap.turn.index") for t in turns) == [1] * 13 + [2]' \
		'sum(c.get("gen_ai.response.time_to_first_chunk", 0) >= 0.2 for c in chats) == 1' \
		'sorted(c.get("http.response.status_code") for c in chats)[-2:] == [200, 401]' \
		'sum(c.error for c in chats) == 2' <<'END'
c demo $AGENT --api $API
c whole $AGENT --api $API --no-stream
c tools $AGENT --api $API --prompt '[[script:parallel]]'
c conversations $AGENT --api $API --parallel 3 --prompt "[[script:$SCRIPTS/conversation{n}.json]]"
sort -o $OUT/conversations.out $OUT/conversations.out
c turns $AGENT --api $API --prompt 'a [[script:one_tool]]' --prompt 'b [[script:single]]'
c tiny $AGENT --api $API --prompt '[[script:long]] [[split:tiny]]'
c close $AGENT --api $API --prompt '[[script:single]] [[framing:close]]'
c length $AGENT --api $API --prompt '[[script:one_tool]] [[framing:length]]'
c slow $AGENT --api $API --prompt '[[script:single]] [[head:separate]] [[first-token-ms:200]] [[delay-ms:10]]'
c e401 $AGENT --api $API --prompt '[[script:error401]]'
c midstream $AGENT --api $API --prompt '[[script:midstream_error]]'
END

	API=$api group "libraries_$api" 8 'len(conversations) == 8' \
		'sum(c.get("error.type") is not None for c in chats) == 2' <<'END'
export API
for STREAM in 0 1; do
	export STREAM
	c requests$STREAM "$PY" "$F/client_requests.py"
	PROMPT='[[script:length]] [[encoding:gzip]]' c httpx$STREAM "$PY" "$F/client_httpx.py"
	ASYNC=1 PROMPT='[[script:long]] [[encoding:gzip]]' c async$STREAM "$PY" "$F/client_httpx.py"
	PROMPT='[[script:error429]]' c e429$STREAM "$PY" "$F/client_requests.py"
done
END
done

PRINTS=ids group curl 4 'len(conversations) == 4' <<'END'
c stream "$F/client_curl.sh"
GZIP=1 c stream_gzip "$F/client_curl.sh"
STREAM=0 c whole "$F/client_curl.sh"
STREAM=0 GZIP=1 c whole_gzip "$F/client_curl.sh"
END

# node NAME PROGRAM: tools streamed and not, and a retry, with both official SDKs
node() {
	NODE=$2 group "$1" 12 'len(tools) == 4 and len(processes) == 4' \
		'sorted(c.get("spantap.call.kind") for c in chats) == ["main"] * 10 + ["retry"] * 2' <<'END'
for sdk in openai anthropic; do
	STREAM=0 c ${sdk}0 "$NODE" "$F/client_$sdk.mjs"
	STREAM=1 c ${sdk}1 "$NODE" "$F/client_$sdk.mjs"
	PROMPT='[[script:retry429]]' c ${sdk}_retry "$NODE" "$F/client_$sdk.mjs"
done
END
}
if [ -z "$NODE_MODULES" ]; then
	echo "SKIP the official SDKs for node are not installed (tools/setup.sh --tests)"
else
	if [ -n "$NODE22" ]; then node node22 "$NODE22"; else echo "SKIP node >= 22 is not installed"; fi
	if [ -n "$NODE_DEBIAN" ]; then node debian "$NODE_DEBIAN"; else echo "SKIP Debian's node is not installed"; fi
fi
