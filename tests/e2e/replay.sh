#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A recording, decoded again by somebody without privileges, gives the same spans.
. "$(dirname "$0")/lib.sh"

provider
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE")
OPTS="--content full --record $T/rec"
traced live bash -c '"$@"; "$@" --api anthropic --prompt "[[script:parallel]]"' x "${agent[@]}"
OPTS=
is "exit code" 0 "$STATUS"
check live 'len(chats) == 6' 'matches_truth()' 'all_complete()'
is "mode of the recording" "600 0" "$(stat -c '%a %u' "$T/rec")"

# nobody's directory, in which the recording is readable
mkdir "$T/n"
cp "$T/rec" "$T/n/rec"
chown -R 65534:65534 "$T/n"
cp "$SPANTAP" "$T/spantap"
chmod 755 "$T/spantap"
nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups env -u XDG_STATE_HOME HOME=/nonexistent "$@"; }
# replay NAME FILE: the exit status in $STATUS
replay() {
	STATUS=0
	nobody "$T/spantap" replay --content full --otlp-file "$T/n/$1.otlp" --store "$T/n/$1.store" -o "$T/n/$1.tree" "$2" \
		>"$T/$1.out" 2>"$T/$1.err" || STATUS=$?
}

replay again "$T/n/rec"
is "exit code of replay" 0 "$STATUS"
[ ! -s "$T/again.out" ] || fail "replay wrote to stdout"
"$PY" tests/e2e/same_spans.py "$T/live.otlp" "$T/n/again.otlp" || fail "replay gave other spans"
same "the tree of replay" <(sed '$d' "$T/live.tree") <(sed '$d' "$T/n/again.tree")
is "owner of the replayed file" "600 65534" "$(stat -c '%a %u' "$T/n/again.otlp")"

# Without --store only the tree is printed, nothing is kept.
nobody "$T/spantap" replay --content full "$T/n/rec" >"$T/out" 2>"$T/err" || fail "replay to stderr"
grep -q 'turn 1' "$T/err" || fail "no tree on stderr: $(cat "$T/err")"
[ ! -s "$T/out" ] || fail "replay wrote to stdout"

# A run never overwrites a recording, and needs --content full; CMD is then not started.
before=$(sha256sum <"$T/rec")
for options in "--content full --record $T/rec" "--record $T/rec2" "--content redacted --record $T/rec2"; do
	OPTS=$options
	traced refused touch "$T/started"
	is "exit code with $options" 125 "$STATUS"
	[ ! -e "$T/started" ] || fail "CMD was started with $options"
	[ -s "$T/refused.err" ] || fail "no word with $options"
done
OPTS=
is "the recording" "$before" "$(sha256sum <"$T/rec")"
[ ! -e "$T/rec2" ] || fail "a recording without --content full"

# Cut: what comes before the cut, and a word about it. Foreign: a clear error.
size=$(stat -c %s "$T/rec")
head -c $((size * 2 / 3 + 3)) "$T/rec" >"$T/n/cut"
"$PY" - "$T/rec" "$T/n/damaged" <<'END'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
at = len(b) * 2 // 3
b[at:at + 4096] = b"\xff" * 4096
open(sys.argv[2], "wb").write(b)
END
chmod 644 "$T/n"/{cut,damaged}
for kind in cut damaged; do
	replay $kind "$T/n/$kind"
	[ "$STATUS" -lt 125 ] || fail "$kind: exit code $STATUS: $(cat "$T/$kind.err")"
	[ -s "$T/$kind.err" ] || fail "$kind: no word (exit code $STATUS)"
	"$PY" tests/e2e/same_spans.py --some "$T/live.otlp" "$T/n/$kind.otlp" || fail "$kind: other spans than before"
done
: >"$T/n/empty"
head -c 100000 /dev/urandom >"$T/n/foreign"
head -c 20 "$T/rec" >"$T/n/head"
chmod 644 "$T/n"/{empty,foreign,head}
for kind in empty foreign head nothere; do
	replay $kind "$T/n/$kind"
	is "$kind: exit code" 1 "$STATUS"
	grep -q "'$T/n/$kind'" "$T/$kind.err" || fail "$kind: $(cat "$T/$kind.err")"
done
