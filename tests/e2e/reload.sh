#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# SIGHUP while calls are made all the time: rules, endpoints, their headers and retention change, a faulty file changes
# nothing, what cannot change is named; every call is stored once, and exported. The service manager hears of all of it.
. "$(dirname "$0")/lib.sh"

"$PY" -c 'import opentelemetry.proto' 2>/dev/null || skip "python3-opentelemetry-proto is not installed"
unset "${!OTEL_@}"
provider --reply long
C=$T/spantap.conf
NAME=reload-$$
cp "$(readlink -f "$(command -v "$PY")")" "$T/$NAME"
"$T/$NAME" -c 'import ssl' || skip "a copy of $PY does not work"
cp "$T/$NAME" "$T/later-$$"

# backend NAME: its address is $URL.
backend() {
	mkdir -p "$T/$1"
	"$PY" tests/fixtures/otlp_backend.py "$T/$1" ok >"$T/$1/port" 2>"$T/$1/err" &
	started+=($!)
	for _ in $(seq 100); do [ ! -s "$T/$1/port" ] || break; sleep 0.05; done
	URL=http://127.0.0.1:$(cat "$T/$1/port")
}
backend one; one=$URL
backend two; two=$URL
(umask 077 && echo 'x-key = first' >"$T/headers")

# manager SOCKET: what it hears goes to $T/heard.
manager() {
	"$PY" tests/e2e/manager.py "$1" >"$T/heard" &
	started+=($!)
	for _ in $(seq 100); do ! grep -qs ready "$T/heard" || break; sleep 0.05; done
	export NOTIFY_SOCKET=$1
}
# hears WORDS N: these words have come N times.
hears() {
	for _ in $(seq 200); do
		[ "$(grep -c "$1" "$T/heard")" -lt "$2" ] || return 0
		sleep 0.05
	done
	fail "the service manager does not hear '$1' $2 times: $(cat "$T/heard")"
}
# conf LINE...: the file, from now on.
conf() { (umask 077 && printf '%s\n' "$@" >"$C.new") && mv "$C.new" "$C"; }
# reload WORDS: SIGHUP, and what is said of it.
reloads=0
reload() {
	reloads=$((reloads + 1))
	local lines=$(wc -l <"$T/rec.err")
	kill -HUP $RECORDER
	hears 'RELOADING=1 | MONOTONIC_USEC=[0-9]' $reloads
	hears READY=1 $((reloads + 1))
	tail -n +$((lines + 1)) "$T/rec.err" >"$T/said"
	grep -q -- "$1" "$T/said" || fail "reload $reloads: no word of '$1': $(cat "$T/said")"
}
# exported N BACKEND: until a backend has N spans, or 10 s.
exported() {
	for _ in $(seq 200); do
		[ "$("$PY" -c 'import json, sys; print(sum(len(json.loads(l)["spans"]) for l in open(sys.argv[1])))' "$T/$2/taken.jsonl" 2>/dev/null || echo 0)" -lt "$1" ] || return 0
		sleep 0.05
	done
	fail "the backend $2 has less than $1 spans"
}

manager "$T/notify"
export WATCHDOG_USEC=2000000
conf "exe = $NAME" "otlp = $one" "otlp-headers-file = $T/headers"
gate load "$T/$NAME" -c 'import runpy, ssl, sys; sys.stdin.readline(); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")' \
	tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 2 --seconds 12
sleep 0.3
recording rec --config "$C"
unset NOTIFY_SOCKET WATCHDOG_USEC
hears 'READY=1 | STATUS=recording exe' 1
mark
echo >&9
exec 9>&-
exported 3 one

reload 'configuration read again: nothing changed'
conf "exe = $NAME" "otlp = $one" "otlp-headers-file = $T/headers" "otlp = $two" 'retain-days = 30'
reload 'spans go to 2 endpoints, retention'
exported 3 two
conf "exe = $NAME" 'bogus = 1' 'content = all' "otlp = $one"
reload 'refused as a whole'
grep -q 'spantap.conf:2: bogus: unknown key' "$T/said" && grep -q "spantap.conf:3: content: 'all'" "$T/said" || fail "$(cat "$T/said")"
before=$(wc -l <"$T/two/taken.jsonl")
(umask 077 && echo 'x-key = second' >"$T/headers")
conf "exe = $NAME" "exe = later-$$" "otlp = $one" "otlp = $two" "otlp-headers-file = $T/headers" 'retain-days = 30' 'content = none' 'redact = card'
reload "recording exe .*$NAME.*later-$$.*spans go to 2 endpoints"
grep -q -- '--content, --redact as before: that changes only when spantap is started again' "$T/said" || fail "$(cat "$T/said")"
"$T/later-$$" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --settle-ms 500 --prompt 'of the later one' >"$T/later.calls"
conf "exe = $NAME" "otlp = $two" "otlp-headers-file = $T/headers" 'retain-days = 30'
reload 'spans go to 1 endpoint'
for _ in 1 2 3; do kill -HUP $RECORDER; done
wait $CLIENT || fail "the client: $(cat "$T/load.client")"
hears WATCHDOG=1 5
recorded rec
hears STOPPING=1 1

calls=$(wc -l <"$T/load.out")
exchanges $((calls + 1)) rec
check rec "len(chats) == $calls + 1" 'matches_truth()' 'all_complete()' \
	'any("of the later one" in c.get("gen_ai.input.messages", "") for c in chats)'
"$PY" tests/e2e/stored.py "$T/rec.store" "$T/rec.otlp" /dev/null || fail "the store"
"$PY" - "$T" <<'END' || fail "exports"
import json, sqlite3, sys
T = sys.argv[1]
stored = {r[0].hex() for r in sqlite3.connect(f"{T}/rec.store/spantap.db").execute("SELECT id FROM span")}
taken, keys = {}, {}
for name in ("one", "two"):
    lines = [json.loads(l) for l in open(f"{T}/{name}/taken.jsonl")]
    ids = [s["id"] for l in lines for s in l["spans"]]
    assert len(ids) == len(set(ids)), f"{name}: {len(ids) - len(set(ids))} spans came twice"
    taken[name] = set(ids)
    keys[name] = [{k.lower(): v for k, v in l["headers"].items()}.get("x-key") for l in lines]
missing = stored - taken["one"] - taken["two"]
assert not missing and taken["one"] | taken["two"] == stored, (len(missing), len(stored))
assert keys["one"][0] == "first" and "second" in keys["two"] and keys["two"][-1] == "second", keys
db = sqlite3.connect(f"{T}/rec.store/spantap.db")
configs = [json.loads(r[0])["retain_age_ns"] for r in db.execute("SELECT detail FROM audit_event WHERE kind='config' ORDER BY seq")]
assert configs == [0, 30 * 86400 * 10**9], configs
print(f"FIGURE {len(stored)} spans over reloads: {len(taken['one'])} and {len(taken['two'])} exported")
END

# again OPTION...: record starts again; what the one before it said is gone.
again() {
	rm -f "$T/rec.err"
	recording rec "$@"
}

# Started again over the same store: since when nobody watched is told, and kept; also after SIGKILL.
sleep 1.1
again --exe "$NAME"
recorded rec
grep -q 'nothing was watched from 20.*Z to 20.*Z ([1-9] s): spantap was not running' "$T/rec.err" || fail "$(cat "$T/rec.err")"
again --exe "$NAME"
sleep 0.7
kill -KILL "$(cat "$T/rec.store/lock")" $RECORDER
wait $RECORDER 2>/dev/null || :
sleep 1.1
manager "@spantap-e2e-$$"
again --exe "$NAME"
grep -q 'nothing was watched from .*spantap was killed' "$T/rec.err" || fail "$(cat "$T/rec.err")"
hears READY=1 1
recorded rec
hears STOPPING=1 1
is "watch events" "- 1 1 0" "$(sqlite3 "$T/rec.store/spantap.db" "SELECT group_concat(e, ' ') FROM (SELECT
	coalesce(json_extract(detail, '\$.ended'), '-') AS e FROM audit_event WHERE kind='watch_begin' ORDER BY seq)")"

# What an endpoint has not taken at the end is told, and where the next start goes on.
conf "exe = $NAME" 'otlp = http://127.0.0.1:9' "store = $T/rest.store"
recording rest --config "$C" --store "$T/rest.store"
"$T/$NAME" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --settle-ms 300 >"$T/rest.calls"
sleep 1
start=$SECONDS
recorded rest
[ $((SECONDS - start)) -le 30 ] || fail "the end took $((SECONDS - start)) s"
grep -q 'http://127.0.0.1:9/v1/traces: [1-9][0-9]* spans wait in the store, the next start goes on behind span' "$T/rest.err" ||
	fail "$(cat "$T/rest.err")"

# A store stays what it is, also for endpoints that come later.
conf "exe = $NAME" "store = $T/own.store"
rm -f "$T/rec.err"
"$SPANTAP" record --config "$C" 2>"$T/rec.err" &
RECORDER=$!
started+=($RECORDER)
for _ in $(seq 400); do ! grep -qs 'recording exe' "$T/rec.err" || break; sleep 0.05; done
conf "exe = $NAME" "store = $T/other.store" 'otlp = http://127.0.0.1:9'
kill -HUP $RECORDER
for _ in $(seq 200); do ! ls "$T"/own.store/otlp-*.json >"$T/notes" 2>&1 || break; sleep 0.05; done
grep -q 'own.store/otlp-' "$T/notes" || fail "the new endpoint reads no store, or another: $(cat "$T/rec.err")"
recorded rec
grep -q -- '--store as before' "$T/rec.err" || fail "$(cat "$T/rec.err")"
[ ! -e "$T/other.store" ] || fail "another store was begun"

# A sink that crashes too often is left alone for a minute, not for ever: the watchdog is fed meanwhile, and at the end
# it is tried once more.
manager "$T/watch"
export WATCHDOG_USEC=1000000
again --exe "$NAME"
unset NOTIFY_SOCKET WATCHDOG_USEC
hears WATCHDOG=1 3
away='sink crashed 4 times within a minute: next try'
for _ in $(seq 100); do
	kill -KILL "$(cat "$T/rec.store/lock")" 2>/dev/null || :
	sleep 0.2
	! grep -q "$away" "$T/rec.err" || break
done
grep -q "$away" "$T/rec.err" || fail "sink is not left alone: $(cat "$T/rec.err")"
hears WATCHDOG=1 $(($(grep -c WATCHDOG "$T/heard") + 3))
