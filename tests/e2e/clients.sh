#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Real clients, run without and with spantap: both print the same, and the spans
# equal what the provider wrote down.
. "$(dirname "$0")/lib.sh"

provider
F=$PWD/tests/fixtures
AGENT=("$PY" "$F/agent.py" --base-url "$BASE_URL" --ca "$CA_FILE")


# A case: call NAME EXCHANGES CMD...; PRINTS=ids when stdout differs from run to run by the provider's ids.
# MORE: further expressions that must hold.
call() {
	local name=$1 n=$2 plain=0
	shift 2
	"$@" >"$T/plain.out" 2>"$T/plain.err" || plain=$?
	sleep 0.05
	mark
	traced "$name" "$@"
	is "$name: exit code" "$plain" "$STATUS"
	if [ "${PRINTS:-}" = ids ]; then
		for o in "$T/plain.out" "$T/$name.out"; do
			sed -Ei 's/(chatcmpl-|fp_|msg_|req_)[0-9A-Za-z]+/ID/g; s/"created":[ 0-9]+//g' "$o"
		done
	fi
	same "$name: stdout" "$T/plain.out" "$T/$name.out"
	same "$name: stderr" "$T/plain.err" "$T/$name.err"
	[ -s "$T/$name.out" ] || [ "$plain" != 0 ] || fail "$name: no answer"
	exchanges "$n" "$name"
	check "$name" 'matches_truth()' 'errors_match()' 'tools_match()' 'times_match()' 'in_shape()' \
		'all_complete()' "${MORE[@]:-True}"
	MORE=()
	rm -r "$T/$name".*
}

one='len(conversations) == 1 and len(turns) == 1'
for api in openai anthropic; do
	MORE=("$one" 'len(tools) == 3 and len(processes) == 5')
	call "agent_${api}_demo" 4 "${AGENT[@]}" --api $api
	MORE=("$one" 'len(tools) == 3 and len(processes) == 5')
	call "agent_${api}_whole" 4 "${AGENT[@]}" --api $api --no-stream
	MORE=("$one" 'len(tools) == 2 and tools[0].start < tools[1].end and tools[1].start < tools[0].end')
	call "agent_${api}_parallel_tools" 2 "${AGENT[@]}" --api $api --prompt '[[script:parallel]]'
	MORE=('len(conversations) == 3 and len(turns) == 3 and len(tools) == 3')
	call "agent_${api}_conversations" 6 "${AGENT[@]}" --api $api --parallel 3 --prompt 'no. {n} [[script:one_tool]]'
	MORE=('len(conversations) == 1 and [t.get("spantap.turn.index") for t in turns] == [1, 2]')
	call "agent_${api}_turns" 3 "${AGENT[@]}" --api $api --prompt 'a [[script:one_tool]]' --prompt 'b [[script:single]]'
	call "agent_${api}_tiny" 1 "${AGENT[@]}" --api $api --prompt '[[script:long]] [[split:tiny]]'
	call "agent_${api}_close" 2 "${AGENT[@]}" --api $api --prompt '[[script:one_tool]] [[framing:close]]'
	MORE=('chats[0].get("gen_ai.response.time_to_first_chunk") >= 0.2')
	call "agent_${api}_slow" 1 "${AGENT[@]}" --api $api \
		--prompt '[[script:single]] [[head:separate]] [[first-token-ms:200]] [[delay-ms:10]]'
	MORE=('chats[0].get("http.response.status_code") == 401')
	call "agent_${api}_401" 1 "${AGENT[@]}" --api $api --prompt '[[script:error401]]'
	MORE=('chats[0].get("http.response.status_code") == 200')
	call "agent_${api}_midstream" 1 "${AGENT[@]}" --api $api --prompt '[[script:midstream_error]]'

	export API=$api
	for stream in 0 1; do
		call "requests_$api$stream" 1 env STREAM=$stream "$PY" "$F/client_requests.py"
		PROMPT='[[script:length]] [[encoding:gzip]]' \
			call "httpx_$api$stream" 1 env STREAM=$stream "$PY" "$F/client_httpx.py"
		PROMPT='[[script:long]] [[encoding:gzip]]' \
			call "async_$api$stream" 1 env STREAM=$stream ASYNC=1 "$PY" "$F/client_httpx.py"
	done
	PROMPT='[[script:error429]]' call "requests_429_$api" 1 "$PY" "$F/client_requests.py"
done

for gzip in 0 1; do
	PRINTS=ids call "curl_stream_gzip$gzip" 1 env GZIP=$gzip "$F/client_curl.sh"
	PRINTS=ids call "curl_whole_gzip$gzip" 1 env GZIP=$gzip STREAM=0 "$F/client_curl.sh"
done

# node NAME PROGRAM SDK: tools streamed and not, retries, the answer after a retry
node() {
	local name=$1 node=$2 sdk=$3
	for stream in 0 1; do
		MORE=("$one" 'len(tools) == 1 and len(processes) == 1')
		call "${name}_$sdk$stream" 2 env STREAM=$stream "$node" "$F/client_$sdk.mjs"
	done
	MORE=('[c.get("spantap.call.kind") for c in chats] == ["main", "retry"]')
	PROMPT='[[script:retry429]]' call "${name}_${sdk}_retry" 2 "$node" "$F/client_$sdk.mjs"
}
for sdk in openai anthropic; do
	if [ -z "$NODE_MODULES" ]; then
		echo "SKIP the official $sdk SDK for node is not installed (tools/setup.sh --tests)"
		continue
	fi
	if [ -n "$NODE22" ]; then node node22 "$NODE22" $sdk; else echo "SKIP node >= 22 is not installed"; fi
	if [ -n "$NODE_DEBIAN" ]; then node debian "$NODE_DEBIAN" $sdk; else echo "SKIP Debian's node is not installed"; fi
done
