#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# SIGKILL to each process of a recording in turn, then to all of them at once, while a client makes calls and the
# spans are exported. The client notices nothing; every call that ended while a recording was there is stored, only
# those in work when decode was killed may be marked; what is stored arrives at the backend, over 10,000 spans; what
# arrives twice was in flight when its exporter was killed.
. "$(dirname "$0")/lib.sh"
"$PY" -c 'import opentelemetry.proto' 2>/dev/null || skip "python3-opentelemetry-proto is not installed"

provider --reply single
mkdir "$T/backend"
"$PY" tests/fixtures/otlp_backend.py "$T/backend" ok >"$T/backend/port" 2>"$T/backend/err" &
started+=($!)
for _ in $(seq 100); do [ ! -s "$T/backend/port" ] || break; sleep 0.05; done
URL=http://127.0.0.1:$(cat "$T/backend/port")

# begin NAME: a recording of the client into the store that both share.
begin() {
	recording "$1" --store "$T/store" --pid "$CLIENT" --otlp "$URL" --http all
	echo "$1 begin $(boot)" >>"$T/times"
}
boot() { "$PY" -c 'import time; print(time.clock_gettime_ns(time.CLOCK_BOOTTIME))'; }
role() { pgrep -P "$RECORDER" -x "spantap $1"; }
# calls N: waits until so many more calls have ended.
calls() {
	local until=$(($(wc -l <"$TRUTH") + $1))
	for _ in $(seq 1200); do
		[ "$(wc -l <"$TRUTH")" -lt $until ] || return 0
		sleep 0.05
	done
	fail "the client makes no calls any more"
}
# back ROLE PID: waits until the role has a new process.
back() {
	for _ in $(seq 300); do
		local now=$(role "$1" || :)
		[ -z "$now" ] || [ "$now" = "$2" ] || return 0
		sleep 0.05
	done
	fail "no new $1: $(cat "$T"/*.err)"
}

touch "$T/going"
gate client "$PY" -c 'import sys, runpy, ssl; sys.stdin.readline(); sys.argv[:] = sys.argv[1:]; runpy.run_path(sys.argv[0])' \
	tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 4 --while "$T/going"
begin first
echo >&9
calls 400
for round in 1 2; do
	for r in sink export decode; do
		back $r 0 # an exporter waits for 10 s before it comes back
		pid=$(role $r)
		kill -KILL "$pid"
		echo "$r killed $(boot)" >>"$T/times"
		calls 300
	done
done
all=$(pgrep -P "$RECORDER" | grep -vx "$CLIENT" || :)
echo "first end $(boot)" >>"$T/times"
kill -KILL "$RECORDER" $all
wait "$RECORDER" 2>/dev/null || :
calls 100
begin second
calls 1000
rm "$T/going"
exec 9>&-
wait $CLIENT || fail "the client failed: $(tail -n 3 "$T/client.out") $(cat "$T/client.client")"
echo "second end $(boot)" >>"$T/times"
recorded second
for word in 'sink crashed: starting it again' 'decode crashed (signal 9)' 'exporter ended (signal 9)'; do
	[ "$(grep -c "$word" "$T/first.err")" = 2 ] || fail "not said twice: $word: $(cat "$T/first.err")"
done
grep -v '^[0-9]* 200 [0-9]*$' "$T/client.out" && fail "a call failed"

# What the exporters have not sent when the recording ends, the next one sends.
for _ in 1 2 3; do
	"$SPANTAP" status --store "$T/store" | grep -q ', 0 wait' && break
	"$SPANTAP" run --store "$T/store" --otlp "$URL" -o /dev/null -- sleep 3
done

"$PY" - "$T/store/spantap.db" "$TRUTH" "$T/backend/taken.jsonl" "$T/times" <<'END' || { cat "$T"/*.err; fail "kills"; }
import collections, json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
truth = [json.loads(x) for x in open(sys.argv[2])]
times = [x.split() for x in open(sys.argv[3 + 1])]
at = {(a, b): int(t) for a, b, t in times if b in ("begin", "end")}
kills = [(a, int(t)) for a, b, t in times if b == "killed"]
stored = {}
for attributes, complete in db.execute("SELECT attributes, complete FROM span WHERE name LIKE 'chat%'"):
    a = json.loads(attributes)
    if "gen_ai.response.id" in a:
        assert a["gen_ai.response.id"] not in stored, "stored twice"
        stored[a["gen_ai.response.id"]] = (a, complete)
whole = marked = 0
for t in truth:
    watched = any(at[n, "begin"] < t["t_request_start"] and t["t_end"] < at[n, "end"] - 1_500_000_000 for n in ("first", "second"))
    got = stored.pop(t["response_id"], None)
    if got and got[1]:
        assert got[0]["spantap.call.request_sha256"] == t["request_sha256"], t["response_id"]
        whole += 1
    elif watched:
        # A call of whose records one was in work when decode was killed, or that is not to be told from these.
        near = any(r == "decode" and t["t_request_start"] - 1e9 < k < t["t_end"] + 3e9 for r, k in kills)
        assert near, ("missing" if not got else "incomplete", t["response_id"], got)
        marked += 1
assert not stored, "calls of nobody"
assert marked <= 16, (marked, "calls damaged by two kills of decode")
ids = {i.hex() for i, in db.execute("SELECT id FROM span")}
requests = [[s["id"] for s in json.loads(l)["spans"]] for l in open(sys.argv[3])]
times_seen = collections.Counter(i for r in requests for i in r)
missing, foreign = ids - set(times_seen), set(times_seen) - ids
assert not missing and not foreign, (len(missing), "never arrived", len(foreign), "of nobody")
again = [i for i, n in times_seen.items() if n > 1]
batches = {k for k, r in enumerate(requests) for i in r if times_seen[i] > 1}
assert len(batches) <= 2 * 3, (len(again), "twice, in", len(batches), "requests, after three kills of an exporter")
assert len(ids) >= 10000, len(ids)
print(f"FIGURE {len(truth)} calls, six kills of one process and one of all: {whole} whole, {marked} marked; {len(ids)} spans arrived, {len(again)} twice")
END
