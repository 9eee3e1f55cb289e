# SPDX-License-Identifier: Apache-2.0
#
# lib.sh - what every end-to-end test begins with: . "$(dirname "$0")/lib.sh"
#
# Works in a directory of its own ($T, removed at exit), from the top of the
# tree. Only processes started here are traced, and only these are ended.

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/fixtures/env.sh
SPANTAP=${SPANTAP:-$PWD/build/spantap}
PY=${PYTHON:-python3}
T=$(mktemp -d "${TMPDIR:-/tmp}/spantap-e2e.XXXXXX")
chmod 755 "$T"
started=()

cleanup() {
	local status=$?
	for pid in "${started[@]:+${started[@]}}"; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || :
	done
	[ -n "${KEEP_T:-}" ] || rm -rf "$T"
	exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

skip() { echo "$*"; exit 77; }
fail() { echo "FAILED: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || skip "needs root"
[ -x "$SPANTAP" ] || fail "build/spantap is not there: run make"

# provider [options]: starts the local provider; sets BASE_URL, CA_FILE, TRUTH. PROVIDER: another program than provider.py.
provider() {
	local n=${#started[@]}
	mkdir -p "$T/p$n"
	"$PY" "tests/fixtures/${PROVIDER:-provider.py}" --dir "$T/p$n" --port 0 "$@" >"$T/p$n/log" 2>&1 &
	started+=($!)
	for _ in $(seq 200); do
		grep -qs "^ready" "$T/p$n/log" && break
		sleep 0.05
	done
	grep -q '^ready' "$T/p$n/log" || fail "the provider did not start: $(cat "$T/p$n/log")"
	export BASE_URL=https://localhost:$(cat "$T/p$n/port") CA_FILE=$T/p$n/ca.pem
	case " $* " in *" --plain "*) BASE_URL=http://127.0.0.1:$(cat "$T/p$n/port") CA_FILE=/etc/ssl/certs/ca-certificates.crt ;; esac
	export NODE_EXTRA_CA_CERTS=$CA_FILE
	TRUTH=$T/p$n/truth.jsonl
	ALL_TRUTH=$TRUTH
}

# traced NAME CMD...: runs CMD under spantap with a store of its own; leaves
# $T/NAME.{otlp,out,err,tree} and the exit status in $STATUS. OPTS: more options of run.
traced() {
	local name=$1
	shift
	STATUS=0
	"$SPANTAP" run --store "$T/$name.store" --otlp-file "$T/$name.otlp" -o "$T/$name.tree" ${OPTS:-} -- "$@" \
		>"$T/$name.out" 2>"$T/$name.err" || STATUS=$?
}

# recording NAME OPTION...: starts `spantap record` with outputs as traced() has them; returns when it is ready.
recording() {
	local name=$1
	shift
	"${RECORD_UNDER[@]:-env}" "$SPANTAP" record --store "$T/$name.store" --otlp-file "$T/$name.otlp" -o "$T/$name.tree" "$@" \
		2>"$T/$name.err" &
	RECORDER=$!
	started+=($RECORDER)
	for _ in $(seq 400); do
		grep -qs 'recording ' "$T/$name.err" && return 0
		kill -0 $RECORDER 2>/dev/null || break
		sleep 0.05
	done
	fail "$name: record does not start: $(cat "$T/$name.err")"
}

# recorded NAME: ends it; its exit status is 0.
recorded() {
	local status=0
	kill -TERM $RECORDER
	wait $RECORDER || status=$?
	is "$1: exit code of record" 0 $status
	grep -q 'recording ended: captured' "$T/$1.err" || fail "$1: no last line: $(cat "$T/$1.err")"
}

# gate NAME CMD...: starts CMD with $T/NAME.gate, a pipe, as standard input; its process is $CLIENT. CMD waits for a line.
gate() {
	local name=$1
	shift
	mkfifo "$T/$name.gate"
	"$@" <"$T/$name.gate" >"$T/$name.out" 2>"$T/$name.client" &
	CLIENT=$!
	started+=($CLIENT)
	exec 9>"$T/$name.gate"
}

# go NAME: lets it go on, and waits for its end; its exit status is 0.
go() {
	local status=0
	echo >&9
	exec 9>&-
	wait $CLIENT || status=$?
	is "$1: exit code of the client" 0 $status || fail "$(cat "$T/$1.client")"
}

# check NAME EXPRESSION...: Python expressions over the spans of $T/NAME.otlp (see spans.py), all must hold.
check() {
	local name=$1
	shift
	"$PY" tests/e2e/spans.py "$T/$name.otlp" "${TRUTH:-/dev/null}" "$@" || {
		echo "--- tree"; cat "$T/$name.tree"; echo "--- stderr"; cat "$T/$name.err"
		fail "$name"
	}
}

# mark: from here on, count the provider's exchanges anew (see exchanges).
mark() { MARK=$(wc -l <"$ALL_TRUTH"); }

# exchanges N NAME: waits until N exchanges have ended since mark; TRUTH is then $T/NAME.truth, which holds these.
exchanges() {
	for _ in $(seq 100); do
		[ "$(wc -l <"$ALL_TRUTH")" -lt $((MARK + $1)) ] || break
		sleep 0.05
	done
	TRUTH=$T/$2.truth
	tail -n +$((MARK + 1)) "$ALL_TRUTH" >"$TRUTH"
	[ "$(wc -l <"$TRUTH")" = "$1" ] || fail "$2: $(wc -l <"$TRUTH") exchanges instead of $1"
}

# same WHAT FILE FILE: equal, or the difference is shown.
same() { cmp -s "$2" "$3" || { diff "$2" "$3" | head -n 20; fail "$1"; }; }

# is WHAT WANTED GOT
is() { [ "$2" = "$3" ] || fail "$1: '$3' instead of '$2'"; }
