#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A request as it was sent: show --raw gives the bytes that the provider got, call by call of a conversation that
# grows; export --curl a command that sends them again. The key is in neither, and what is masked is said.
. "$(dirname "$0")/lib.sh"

which curl >/dev/null || skip "curl is not installed"
provider
export OPENAI_API_KEY=sk-proj-Canary0Canary1Canary2Canary3 ANTHROPIC_API_KEY=sk-ant-api03-Canary4Canary5Canary6
export CURL_CA_BUNDLE=$CA_FILE
digest() { sha256sum | cut -d' ' -f1; }
# truth N: digest of the Nth request that the provider got; its last: truth '$'
truth() { sed -n "$1p" "$TRUTH" | "$PY" -c 'import json, sys; print(json.loads(sys.stdin.read())["request_sha256"])'; }

for api in openai anthropic; do
	for level in full redacted; do
		S=$T/$api-$level
		mark
		"$SPANTAP" run --content $level --store "$S" -o "$S.tree" -- "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" \
			--ca "$CA_FILE" --api $api --prompt one --prompt two --prompt three >"$T/answer" || fail "run"
		exchanges 12 $api-$level
		id=$("$SPANTAP" ls --tsv --store "$S" | cut -f1)
		for n in $(seq 12); do
			"$SPANTAP" show "$id" --call $n --raw --store "$S" >"$T/body" 2>"$T/err" || fail "show: $(cat "$T/err")"
			is "$api, $level: request $n" "$(truth $n)" "$(digest <"$T/body")"
			[ ! -s "$T/err" ] || fail "$api, $level: request $n is whole, but: $(cat "$T/err")"
		done
		"$SPANTAP" export "$id" --call 11 --curl --store "$S" >"$T/command" || fail "export --curl"
		! grep -q Canary "$T/command" || fail "the key is in the command: $(cat "$T/command")"
		wanted=$(truth 11) TRUTH=$ALL_TRUTH
		is "without the key" 0 "$(sh "$T/command" 2>/dev/null | wc -c)"
		mark
		SPANTAP_AUTHORIZATION=$OPENAI_API_KEY SPANTAP_X_API_KEY=$ANTHROPIC_API_KEY sh "$T/command" >"$T/answer" ||
			fail "$(cat "$T/command")"
		exchanges 1 again
		is "$api, $level: what curl sent" "$wanted" "$(truth 1)"
		grep -q '"response_status": *200' "$TRUTH" || fail "status: $(cat "$TRUTH")"
		grep -q data: "$T/answer" || fail "no answer: $(cat "$T/answer")"
		TRUTH=$ALL_TRUTH
	done
done

# Without TLS, and over a UNIX socket; the second time what is captured is what the command for the first one sends.
provider --plain --unix "$T/model.sock"
for how in tcp unix; do
	export PY F=$PWD/tests/fixtures
	S=$T/$how
	mark
	[ $how = tcp ] || export UNIX_SOCKET=$T/model.sock
	"$SPANTAP" run --store "$S" -o "$S.tree" -- "$F/client_curl.sh" >"$T/answer" 2>&1 || fail "run: $(cat "$T/answer")"
	exchanges 1 $how
	id=$("$SPANTAP" ls --tsv --store "$S" | cut -f1)
	"$SPANTAP" export "$id" --call 1 --curl --store "$S" >"$T/command" || fail "export --curl"
	wanted=$(truth 1) TRUTH=$ALL_TRUTH
	mark
	"$SPANTAP" run --store "$S.again" -o "$S.tree" -- env SPANTAP_AUTHORIZATION=x sh "$T/command" >"$T/answer" ||
		fail "$(cat "$T/command")"
	exchanges 1 $how.again
	is "$how: what curl sent" "$wanted" "$(truth 1)"
	TRUTH=$ALL_TRUTH
	id=$("$SPANTAP" ls --tsv --store "$S.again" | cut -f1)
	"$SPANTAP" export "$id" --call 1 --curl --store "$S.again" | diff "$T/command" - || fail "$how: another command"
done
unset UNIX_SOCKET
provider

# What is masked at full is said: on show's and export's standard error, and in the command.
mark
"$SPANTAP" run --content full --store "$T/masked" -o "$T/masked.tree" -- "$PY" tests/fixtures/agent.py \
	--base-url "$BASE_URL" --ca "$CA_FILE" --prompt 'log in with --password hunter2Canary please' >"$T/answer" || fail "run"
exchanges 4 masked
id=$("$SPANTAP" ls --tsv --store "$T/masked" | cut -f1)
for n in 1 4; do
	"$SPANTAP" show "$id" --call $n --raw --store "$T/masked" >"$T/body" 2>"$T/err" || fail "show: $(cat "$T/err")"
	grep -q 'SHA-256 differs' "$T/err" || fail "nothing says that request $n is masked"
	grep -q 'password \[masked:password\] please' "$T/body" || fail "$(cat "$T/body")"
	[ "$(truth $n)" != "$(digest <"$T/body")" ] || fail "request $n is not masked"
	"$SPANTAP" export "$id" --call $n --curl --store "$T/masked" >"$T/command" 2>"$T/err" || fail "export --curl"
	grep -q 'SHA-256 differs' "$T/err" && head -n 1 "$T/command" | grep -q '^# .*SHA-256 differs' || fail "the command is silent"
	! grep -q Canary "$T/command" "$T/body" || fail "a credential is there"
done

# No body is kept below redacted; then there is no command either, and both say so.
"$SPANTAP" run --content shape --store "$T/shape" -o "$T/shape.tree" -- "$PY" tests/fixtures/agent.py \
	--base-url "$BASE_URL" --ca "$CA_FILE" --prompt one >"$T/answer" || fail "run"
id=$("$SPANTAP" ls --tsv --store "$T/shape" | cut -f1)
for what in "show $id --call 1 --raw" "export $id --call 1 --curl"; do
	! "$SPANTAP" $what --store "$T/shape" >"$T/body" 2>"$T/err" || fail "$what: exit code 0"
	[ ! -s "$T/body" ] && grep -q 'has no spantap.request.body' "$T/err" || fail "$what: $(cat "$T/err")"
done
for wrong in "$id --call 1" "$id --curl" "$id --call 1 --curl --format json" "--all --call 1 --curl" "$id --call 0 --curl"; do
	status=0
	"$SPANTAP" export $wrong --store "$T/shape" >"$T/out" 2>"$T/err" || status=$?
	is "exit code of export $wrong" 2 "$status"
done
