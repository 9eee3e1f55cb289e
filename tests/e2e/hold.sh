#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Programs with TLS linked in that nobody has seen before, each executed from a file of its own: they wait in
# execve(2) until they have their probes, and not one byte is missed. Nobody notices: no waitpid() of the parent
# returns, and whatever becomes of spantap meanwhile, they go on.
[ -n "${HOLD_MOUNTS:-}" ] || HOLD_MOUNTS=own exec unshare --mount --propagation shared bash "$0" "$@"
. "$(dirname "$0")/lib.sh"

RUNS=${RUNS:-30}
"$SPANTAP" doctor >"$T/doctor" || :
grep -q 'ok *hold at exec' "$T/doctor" || skip "$(grep -A 3 'hold at exec' "$T/doctor")"

provider
export CA_FILE BASE_URL

# fresh NAME PROGRAM ARGUMENT...: $RUNS copies of it, one after the other; each makes one call.
cat >"$T/fresh" <<'END2'
for n in $(seq "$RUNS"); do
	cp "$1" "$T/copy.$n"
	"$T/copy.$n" "${@:2}" || exit 1
	rm "$T/copy.$n"
done
END2
export RUNS T
fresh() {
	local name=$1
	shift
	mark
	traced "$name" bash "$T/fresh" "$@"
	is "$name: exit code" 0 "$STATUS"
	exchanges "$RUNS" "$name"
}
held() {
	fresh "$@"
	check "$1" 'matches_truth()' 'all_complete()' "len(chats) == $RUNS" 'not any(c.get("spantap.tls.joined_late") for c in chats)'
	grep -q 'nothing lost' "$T/$1.tree" || fail "$1: loss"
	"$SPANTAP" status --store "$T/$1.store" --json >"$T/$1.status" || :
	echo "FIGURE $1: $RUNS of $RUNS; held: $(grep -o '"hold":{[^}]*}' "$T/$1.status" || :)"
}
# Without, it shows whether this test can fail: what is missed is not there, or said to be.
not_held() {
	OPTS=--no-hold fresh "$@"
	echo "FIGURE $1, --no-hold: $("$PY" tests/e2e/spans.py "$T/$1.otlp" "$TRUTH" \
		'print(sum(bool(c.get("spantap.complete")) and not c.get("spantap.tls.joined_late") for c in chats), "of", len(truth), "whole and in time,", len(chats), "seen") or True' |
		head -n 1)"
}

if GO=$(type -P go); then
	GOCACHE=${SPANTAP_CACHE:-$T}/go-build GO111MODULE=off CGO_ENABLED=0 "$GO" build -ldflags='-s -w' -o "$T/go" \
		tests/fixtures/client_go.go || fail "go build"
	held go "$T/go"
	not_held go_not "$T/go"
else
	echo "SKIP Go is not installed (tools/setup.sh --tests)"
fi
if cc -O1 -o "$T/openssl" tests/fixtures/client_reuse.c -l:libssl.a -l:libcrypto.a -lpthread -ldl 2>/dev/null; then
	strip "$T/openssl"
	held openssl "$T/openssl" new 1
	not_held openssl_not "$T/openssl" new 1
else
	echo "SKIP no static libssl"
fi
