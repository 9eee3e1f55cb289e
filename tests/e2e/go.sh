#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Programs built by every Go that is installed, with symbols, stripped, position-independent and linked by the C
# linker: net/http over HTTP/1.1 and HTTP/2, one request and 50 goroutines that share connections; a program that
# ran already; and one that Debian ships (hey).
. "$(dirname "$0")/lib.sh"

GO=$(type -P go) || skip "Go is not installed (tools/setup.sh --tests)" # go is a function here
export F=$PWD/tests/fixtures PY GOCACHE=${SPANTAP_CACHE:-$T}/go-build GO111MODULE=off GOFLAGS='' GOTOOLCHAIN=local
unset GODEBUG
build() { "$GO" build "${@:2}" -o "$T/$1" "$F/client_go.go" || fail "$GO build $*"; }

build symbols
build stripped -ldflags='-s -w'
build pie -buildmode=pie -ldflags='-s -w'
HOW=(symbols stripped pie)
if command -v gcc >/dev/null; then
	build cgo -ldflags='-linkmode=external -s -w'
	HOW+=(cgo)
fi
for other in /usr/lib/go-*/bin/go; do
	[ -x "$other" ] && [ "$(realpath "$other")" != "$(realpath "$GO")" ] || continue
	GO=$other build "$(basename "${other%/bin/go}")" -buildmode=pie -ldflags='-s -w'
	HOW+=("$(basename "${other%/bin/go}")")
done
provider
ONE=$BASE_URL ONE_CA=$CA_FILE
PROVIDER=
if "$PY" -c 'import h2' 2>/dev/null; then
	PROVIDER=provider_h2.py provider
	TWO=$BASE_URL TWO_CA=$CA_FILE ALL_TWO=$TRUTH
else
	TWO=''
	echo "SKIP HTTP/2: python3-h2 is not installed"
fi

# one NAME PROGRAM EXCHANGES EXPRESSION...: the program prints the same when traced, and the spans equal the truth.
one() {
	local name=$1 n=$3
	"$T/$2" >"$T/$name.plain" 2>&1 || fail "$name: $(cat "$T/$name.plain")"
	sleep 0.1
	mark
	traced "$name" "$T/$2"
	is "$name: exit code" 0 "$STATUS"
	sed -Ei 's/(chatcmpl-|fp_)[0-9A-Za-z]+/ID/g; s/"created":[ 0-9]+//g' "$T/$name.plain" "$T/$name.out"
	same "$name: differs when traced" "$T/$name.plain" "$T/$name.out"
	[ ! -s "$T/$name.err" ] || fail "$name: $(cat "$T/$name.err")"
	grep -q 'nothing lost' "$T/$name.tree" || fail "$name: loss: $(tail -n 3 "$T/$name.tree")"
	exchanges "$n" "$name"
	check "$name" 'matches_truth()' 'errors_match()' 'times_match()' 'in_shape()' 'all_complete()' \
		'{c.get("spantap.tls.library") for c in chats} == {"go crypto/tls"}' \
		'not any(c.get("spantap.tls.joined_late") for c in chats)' "${@:4}"
}

for how in "${HOW[@]}"; do
	"$SPANTAP" doctor --exe "$T/$how" >"$T/doctor" || fail "doctor: $(cat "$T/doctor")"
	grep -q 'Go crypto/tls 1\.' "$T/doctor" && grep -q 'crypto/tls.(\*Conn).Read .*simulated' "$T/doctor" || fail "doctor: $(cat "$T/doctor")"
	export BASE_URL=$ONE CA_FILE=$ONE_CA HTTP2=0
	ALL_TRUTH=$T/p0/truth.jsonl
	PROMPT='[[script:long]]' one "$how" "$how" 1
	# How it was linked makes no difference from here on; the version of Go might.
	case $how in symbols | pie | cgo) continue ;; esac
	PROMPT='question {n} [[script:long]] [[delay-ms:1]]' PARALLEL=50 CONNECTIONS=8 REQUESTS=2 one "$how.many" "$how" 100 \
		'len(conversations) == 100' 'len({t["connection"] for t in truth}) <= 8' '"HTTP/1.1 200 OK" in open("'"$T/$how.many.out"'").read()'
	[ -n "$TWO" ] || continue
	export BASE_URL=$TWO CA_FILE=$TWO_CA HTTP2=1
	ALL_TRUTH=$ALL_TWO
	PROMPT='question {n} [[script:long]] [[delay-ms:1]]' PARALLEL=50 one "$how.two" "$how" 50 \
		'len(conversations) == 50' 'len({t["connection"] for t in truth}) <= 2' '"HTTP/2.0 200 OK" in open("'"$T/$how.two.out"'").read()'
done

export BASE_URL=$ONE CA_FILE=$ONE_CA HTTP2=0
ALL_TRUTH=$T/p0/truth.jsonl

# One that ran already, with connections on which Read waits: nothing of what follows is missed.
PROMPT='question {n} [[script:long]]' WAIT=1 REQUESTS=2 PARALLEL=4 CONNECTIONS=2 gate late "$T/stripped"
for _ in $(seq 100); do
	[ "$(grep -c 'question' "$ALL_TRUTH")" -lt 4 ] || break
	sleep 0.05
done
sleep 1
mark
recording late --pid "$CLIENT"
go late
sleep 0.5
recorded late
exchanges 4 late
check late 'matches_truth()' 'in_shape()' 'sum(bool(c.get("spantap.tls.joined_late")) for c in chats) >= 2'
grep -q 'nothing lost' "$T/late.err" || fail "late: $(cat "$T/late.err")"

if command -v hey >/dev/null; then
	printf '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi [[script:long]]"}]}' >"$T/body"
	mark
	traced hey hey -n 12 -c 4 -m POST -T application/json -H 'Authorization: Bearer sk-test-0' -D "$T/body" \
		"$BASE_URL/v1/chat/completions"
	is "hey: exit code" 0 "$STATUS"
	grep -Eq '\[200\][[:space:]]+12 responses' "$T/hey.out" || fail "hey: $(cat "$T/hey.out")"
	exchanges 12 hey
	check hey 'matches_truth()' 'in_shape()' 'all_complete()' '{c.get("spantap.tls.library") for c in chats} == {"go crypto/tls"}'
else
	echo "SKIP hey is not installed (tools/setup.sh --tests)"
fi
