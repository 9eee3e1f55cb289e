#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Clients that speak HTTP/2 (httpx with h2, curl and node with nghttp2), against the provider behind the h2
# library: they print the same when traced, over HTTP/1 too, and the spans equal what the provider wrote down.
. "$(dirname "$0")/lib.sh"

export F=$PWD/tests/fixtures PY
"$PY" -c 'import h2' 2>/dev/null || skip "python3-h2 is not installed"
provider
one=$BASE_URL one_ca=$CA_FILE
PROVIDER=provider_h2.py provider

# group NAME EXCHANGES EXPRESSION...: runs the script on stdin, in which `c NAME CMD...` is a client, over HTTP/1
# and then twice over HTTP/2, the second time traced; the provider's ids differ from run to run.
group() {
	local name=$1 n=$2 f how
	shift 2
	{
		echo 'c() { "${@:2}" >"$OUT/$1.out" 2>"$OUT/$1.err"; echo $? >"$OUT/$1.status"; }'
		cat
	} >"$T/$name.script"
	mkdir "$T/$name.one" "$T/$name.plain" "$T/$name.traced"
	if [ -z "${ONLY_HTTP2:-}" ]; then
		HTTP2=0 HTTP=http1.1 BASE_URL=$one CA_FILE=$one_ca OUT=$T/$name.one bash "$T/$name.script"
	fi
	HTTP2=1 HTTP=http2 OUT=$T/$name.plain bash "$T/$name.script"
	sleep 0.2
	mark
	HTTP2=1 HTTP=http2 OUT=$T/$name.traced traced "$name" bash "$T/$name.script"
	is "$name: exit code" 0 "$STATUS"
	sed -Ei 's/(chatcmpl-|fp_|msg_|req_)[0-9A-Za-z]+/ID/g; s/"created":[ 0-9]+//g' "$T/$name".{one,plain,traced}/* \
		2>/dev/null || :
	for f in "$T/$name.plain"/*; do
		same "$name: $(basename "$f") differs when traced" "$f" "$T/$name.traced/$(basename "$f")"
		[ -n "${ONLY_HTTP2:-}" ] || same "$name: $(basename "$f") differs from HTTP/1" "$T/$name.one/$(basename "$f")" "$f"
	done
	grep -q 'nothing lost' "$T/$name.tree" || fail "$name: loss: $(tail -n 3 "$T/$name.tree")"
	exchanges "$n" "$name"
	check "$name" 'matches_truth()' 'errors_match()' 'times_match()' 'in_shape()' 'all_complete()' "$@"
}

for api in openai anthropic; do
	API=$api group "httpx_$api" 12 'len(conversations) == 12' \
		'{c.get("server.address") for c in chats} == {"localhost"}' \
		'len({t["connection"] for t in truth}) == 8' <<'END'
export API
for STREAM in 0 1; do
	export STREAM
	PROMPT='[[script:length]] [[encoding:gzip]]' c httpx$STREAM "$PY" "$F/client_httpx.py"
	ASYNC=1 PROMPT='[[script:long]] [[encoding:gzip]]' c async$STREAM "$PY" "$F/client_httpx.py"
	ASYNC=1 PARALLEL=3 PROMPT='question {n} [[script:long]] [[delay-ms:1]]' c parallel$STREAM "$PY" "$F/client_httpx.py"
	PROMPT='[[script:error429]]' c e429$STREAM "$PY" "$F/client_httpx.py"
done
END
done

group curl 4 'len(conversations) == 4' <<'END'
c stream "$F/client_curl.sh"
GZIP=1 c stream_gzip "$F/client_curl.sh"
STREAM=0 c whole "$F/client_curl.sh"
STREAM=0 GZIP=1 c whole_gzip "$F/client_curl.sh"
END

# node NAME PROGRAM: eight streams at the same time on one connection, with tokens of all in between
node() {
	ONLY_HTTP2=1 NODE=$2 group "$1" 20 'len({t["connection"] for t in truth}) == 4' 'len(conversations) == 20' <<'END'
for API in openai anthropic; do
	export API
	STREAM=0 PARALLEL=2 PROMPT='whole {n} [[script:single]]' c ${API}0 "$NODE" "$F/client_http2.mjs"
	STREAM=1 PARALLEL=8 PROMPT='stream {n} [[script:long]] [[delay-ms:2]]' c ${API}1 "$NODE" "$F/client_http2.mjs"
done
END
}
if [ -n "$NODE22" ]; then node node22 "$NODE22"; else echo "SKIP node >= 22 is not installed"; fi
if [ -n "$NODE_DEBIAN" ]; then node debian "$NODE_DEBIAN"; else echo "SKIP Debian's node is not installed"; fi

# A process that answers: both sides of the exchange are followed. It is one call, seen twice: the server's side hangs
# below the client's and is not counted again.
cat >"$T/gateway.script" <<'END'
mkfifo "$D/end"
"$PY" "$F/provider_h2.py" --dir "$D" --until-stdin-eof <"$D/end" >"$D/log" 2>&1 &
exec 9>"$D/end"
until grep -q ready "$D/log"; do sleep 0.05; done
BASE_URL=https://localhost:$(cat "$D/port") CA_FILE=$D/ca.pem HTTP=http2 "$F/client_curl.sh"
exec 9>&-
wait
END
mkdir -m 777 "$T/gateway"
D=$T/gateway traced gateway bash "$T/gateway.script"
is "gateway: exit code" 0 "$STATUS"
TRUTH=$T/gateway/truth.jsonl check gateway 'len(truth) == 1' 'len(chats) == 2' \
	'[c.get("spantap.call.kind") for c in chats] == ["main", "relay"]' 'chats[1].parent is chats[0]' \
	'not differences(chats[0], truth[0])' 'output_text(chats[1]) == output_text(chats[0])' \
	'chats[1].get("gen_ai.usage.input_tokens") is None' 'all_complete()'
