#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The recorded traffic over real TLS: a traced client asks, an untraced server answers, and the spans must say what
# each recording expects. Then the same run's recording, decoded by nobody: the same spans.
. "$(dirname "$0")/../e2e/lib.sh"

corpus=${SPANTAP_CORPUS:-build/corpus/open}
[ -d "$corpus" ] || skip "no recorded traffic in $corpus (unpack it, or set SPANTAP_CORPUS)"
peers=tests/corpus/peers.py

"$PY" $peers server "$corpus" "$T" >"$T/server.log" 2>&1 &
started+=($!)
for _ in $(seq 400); do
	[ ! -f "$T/port" ] || break
	sleep 0.05
done
[ -f "$T/port" ] || fail "the server did not start: $(cat "$T/server.log")"

OPTS="--content full --record $T/rec"
traced live "$PY" $peers client "$corpus" "$T"
OPTS=
is "exit code ($(tail -n 3 "$T/live.err"))" 0 "$STATUS"
compared=0
"$PY" tests/corpus/compare.py "$corpus" "$T" "$T/live.otlp" || compared=$?

mkdir "$T/n"
mv "$T/rec" "$T/n/rec"
chown -R 65534:65534 "$T/n"
cp "$SPANTAP" "$T/spantap"
setpriv --reuid=65534 --regid=65534 --clear-groups env -u XDG_STATE_HOME HOME=/nonexistent \
	"$T/spantap" replay --content full --otlp-file "$T/n/again.otlp" -o "$T/n/again.tree" "$T/n/rec" \
	>"$T/again.out" 2>"$T/again.err" || fail "replay: $(tail -n 3 "$T/again.err")"
"$PY" tests/e2e/same_spans.py "$T/live.otlp" "$T/n/again.otlp" || fail "replay gave other spans"
echo "FIGURE replay without root: the same $(grep -o '"spanId"' "$T/live.otlp" | wc -l) spans"
[ $compared = 0 ] || fail "spans are not what the recordings expect"
