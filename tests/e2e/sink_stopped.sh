#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# A writer that stands still for 12 s (a slow disk) costs nothing: the spans
# wait in decode. A writer that is killed is started again and gets what it had
# not acknowledged.
. "$(dirname "$0")/lib.sh"

# run NAME: spantap in the background over calls for 8 s and more; PROBE, SINK
run() {
	local name=$1
	shift
	"$SPANTAP" run --store "$T/$name.store" --otlp-file "$T/$name.otlp" -o "$T/$name.tree" -- \
		"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" "$@" >"$T/$name.out" 2>"$T/$name.err" &
	PROBE=$!
	started+=($PROBE)
	for _ in $(seq 100); do
		SINK=$(pgrep -P $PROBE -x 'spantap sink' || :)
		[ -n "$SINK" ] && [ "$(wc -l <"$TRUTH")" -ge "$WAIT" ] && return
		sleep 0.05
	done
	fail "no sink, or no calls: $(cat "$T/$name.err")"
}

ended() {
	STATUS=0
	wait "$PROBE" || STATUS=$?
	[ "$STATUS" = 0 ] || fail "$1: status $STATUS: $(cat "$T/$1.err")"
}

# Answers of 1000 deltas.
cat >"$T/big.json" <<'END'
{"replies": [{"text": "step {i}: nothing of this answer may be lost while nobody writes. ", "deltas": 1000}]}
END
provider --reply "$T/big.json"
WAIT=4
run stopped --threads 8 --each 30
kill -STOP "$SINK"
sleep 12
kill -CONT "$SINK"
start=$(date +%s%N)
ended stopped
took=$((($(date +%s%N) - start) / 1000000))
[ "$(wc -l <"$TRUTH")" = 240 ] || fail "$(wc -l <"$TRUTH") calls"
"$PY" tests/e2e/stored.py "$T/stopped.store" "$T/stopped.otlp" "$TRUTH" >"$T/stored" || fail "$(cat "$T/stored")"
grep -q 'nothing lost' "$T/stopped.tree" || fail "losses: $(tail -n 1 "$T/stopped.tree")"
echo "FIGURE sink stopped for 12 s: $(cat "$T/stored"); ended $took ms after it went on"

# Killed, twice, in the middle.
provider --reply long --delay-ms 1
WAIT=10
run killed --threads 6 --seconds 4
kill -KILL "$SINK"
sleep 1
SINK=$(pgrep -P $PROBE -x 'spantap sink') || fail "sink was not started again: $(cat "$T/killed.err")"
sleep 0.7
kill -KILL "$SINK"
ended killed
[ "$(wc -l <"$T/killed.out")" = "$(wc -l <"$TRUTH")" ] || fail "CMD was disturbed"
grep -q 'sink crashed: starting it again' "$T/killed.err" || fail "no word of it: $(cat "$T/killed.err")"
"$PY" tests/e2e/stored.py "$T/killed.store" "$T/killed.otlp" "$TRUTH" --twice >"$T/stored" || fail "$(cat "$T/stored")"
echo "FIGURE sink killed twice: $(cat "$T/stored")"
