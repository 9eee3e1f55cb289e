#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# When spantap itself is killed, the traced program goes on as if it had never
# been there: its instructions are the original ones again, the other processes
# of spantap write what they have and end, and the store is good for the next
# run. SIGINT and SIGTERM to spantap are CMD's.
. "$(dirname "$0")/lib.sh"

# until SECONDS COMMAND...: waits until it succeeds
until_() {
	local n=$(($1 * 20))
	shift
	for _ in $(seq "$n"); do
		"$@" && return 0
		sleep 0.05
	done
	return 1
}
child() { CHILD=$(pgrep -P "$1" -x "$2"); }
written() { [ "$(wc -l <"$T/killed.otlp" 2>/dev/null || echo 0)" -ge 2 ]; }
trapped() { [ "$("$PY" tests/e2e/breakpoints.py "$CMD" libssl.so | wc -l)" -ge 2 ]; }
clean() { "$PY" tests/e2e/breakpoints.py "$CMD" libssl.so >"$T/left" && [ ! -s "$T/left" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }

provider --reply long --delay-ms 1
touch "$T/going"
"$SPANTAP" run --store "$T/store" --otlp-file "$T/killed.otlp" -o "$T/killed.tree" -- \
	"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 4 --while "$T/going" >"$T/out" 2>"$T/err" &
probe=$!
started+=($probe)
until_ 5 child $probe "$(basename "$PY" | cut -c1-15)" || until_ 1 child $probe python3 || fail "CMD did not start"
CMD=$CHILD
roles=()
for role in decode sink inspect; do
	child $probe "spantap $role" || { [ $role = inspect ] || fail "no process 'spantap $role'"; continue; }
	roles+=("$CHILD")
done
until_ 5 written || fail "nothing was captured"
trapped || fail "no breakpoint in CMD's libssl: $("$PY" tests/e2e/breakpoints.py "$CMD" libssl.so)"
"$PY" tests/e2e/breakpoints.py "$CMD" libssl.so >"$T/sites"
if grep -v ' cc$' "$T/sites"; then fail "a byte of libssl is neither the original nor a breakpoint"; fi

kill -KILL $probe
wait $probe 2>/dev/null || :
start=$(date +%s%N)
until_ 10 clean || # 0.2 s, on a host with nothing else to do
	fail "breakpoints are left: $("$PY" tests/e2e/breakpoints.py "$CMD" libssl.so)"
restored=$((($(date +%s%N) - start) / 1000000))
for pid in "${roles[@]}"; do
	until_ 5 gone "$pid" || fail "process $pid is left: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
done
ended=$((($(date +%s%N) - start) / 1000000))
kill -0 "$CMD" || fail "CMD is gone"
sleep 1
rm "$T/going"
until_ 15 gone "$CMD" || fail "CMD does not end"
calls=$(wc -l <"$T/out")
[ "$calls" -ge 8 ] && [ "$(cut -d' ' -f2- "$T/out" | sort -u | wc -l)" -le 2 ] || fail "CMD's calls: $(cat "$T/out")"
if grep -v '^[0-9]* 200 [0-9]*$' "$T/out"; then fail "a call failed"; fi
[ "$(wc -l <"$TRUTH")" = "$calls" ] || fail "CMD made other calls than the provider saw"

# What was captured before is there, and the store works.
"$SPANTAP" ls --store "$T/store" --tsv -n 10000 >"$T/ls"
kept=$(wc -l <"$T/ls")
[ "$kept" -ge 4 ] || fail "the store holds $kept conversations"
grep -q 'ended without its counters' "$T/killed.tree" || fail "the tree does not say that the capture was cut"
"$PY" - "$T/killed.otlp" "$TRUTH" <<'END'
import json, sys
want = {json.loads(x)["response_id"]: json.loads(x) for x in open(sys.argv[2])}
whole = 0
for line in open(sys.argv[1]):
    for s in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        a = {x["key"]: x["value"] for x in s["attributes"]}
        if "gen_ai.response.id" in a and a.get("spantap.complete", {}).get("boolValue"):
            t = want[a["gen_ai.response.id"]["stringValue"]]
            assert a["spantap.call.request_sha256"]["stringValue"] == t["request_sha256"]
            whole += 1
print("complete calls in the file:", whole)
assert whole >= 4
END
OPTS="--store $T/store" traced next "$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 2
[ "$STATUS" = 0 ] || fail "the next run on the store: status $STATUS: $(cat "$T/next.err")"
[ "$("$SPANTAP" ls --store "$T/store" --tsv -n 10000 | wc -l)" = $((kept + 2)) ] || fail "the next run stored nothing"
echo "FIGURE $(wc -l <"$T/sites") breakpoints gone after $restored ms, all processes after $ended ms; CMD made $calls calls, $kept stored"

# Killed while CMD is not yet started, or just: nothing stays behind.
for ms in 02 10 30; do
	"$SPANTAP" run --store "$T/store" -o /dev/null -- sleep 0.7 >/dev/null 2>&1 &
	probe=$!
	sleep 0.$ms
	mine=$(pgrep -P $probe || :)
	kill -KILL $probe
	wait $probe 2>/dev/null || :
	for pid in $mine; do
		until_ 4 gone "$pid" || fail "process $pid is left: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
	done
done

# (A shell without job control starts what it puts into the background with SIGINT ignored.)
for signal in TERM INT HUP USR1; do
	rm -f "$T/signal"
	env --default-signal=INT "$SPANTAP" run --store "$T/store" -o /dev/null -- bash -c \
		"trap 'echo got; exit 9' $signal; echo up; while :; do sleep 0.05; done" >"$T/signal" 2>"$T/err" &
	probe=$!
	started+=($probe)
	until_ 5 grep -q up "$T/signal" || fail "CMD did not start: $(cat "$T/err")"
	kill -$signal $probe
	status=0
	wait $probe || status=$?
	[ $status = 9 ] && grep -q got "$T/signal" || fail "SIG$signal: status $status"
done
