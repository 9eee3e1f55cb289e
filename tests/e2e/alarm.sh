#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# "TLS on the wire but no plaintext seen": said of a client whose TLS library
# spantap cannot listen to (Botan), with its peer and the remedy, not of one that is
# captured; and what spantap status shows of both, in each form.
. "$(dirname "$0")/lib.sh"

BOTAN=$(command -v botan) && ldd "$BOTAN" | grep -q libbotan || skip "botan is not installed (tools/setup.sh --tests)"
provider --reply long --delay-ms 1
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2 -keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
"$PY" tests/e2e/slow_server.py "$T" 25 >"$T/port" 2>"$T/slow" &
started+=($!)
for _ in $(seq 100); do
	[ -s "$T/port" ] && break
	sleep 0.05
done
PORT=$(cat "$T/port")

# ask PORT: what the client sends. It ends when the server closes.
ask() { printf 'GET / HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n\r\n' "$1" >"$T/ask.$1"; }
ask "$PORT"

# A name that a terminal would obey.
cp "$BOTAN" "$T/"$'bo\e[31mtan'
gate blind bash -c 'read -r _; f=$1; shift; { cat "$f"; sleep 20; } | "$@"; exit 0' x "$T/ask.$PORT" \
	"$T/"$'bo\e[31mtan' tls_client localhost "--port=$PORT" --skip-system-cert-store "--trusted-cas=$T/cert.pem"
BLIND=$CLIENT
"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --seconds 12 >"$T/calls" &
SEEN=$!
started+=($SEEN)
sleep 0.5
recording alarm --pid $BLIND --pid $SEEN
echo >&9
for _ in $(seq 120); do
	grep -q 'no plaintext seen' "$T/alarm.err" && break
	sleep 0.1
done
grep -q "TLS on the wire to 127.0.0.1:$PORT, but no plaintext seen: it uses libbotan" "$T/alarm.err" ||
	grep -q "TLS on the wire to \[::1\]:$PORT, but no plaintext seen: it uses libbotan" "$T/alarm.err" ||
	fail "no alarm: $(cat "$T/alarm.err")"
sleep 1.5
is "alarms" 1 "$(grep -c 'no plaintext seen' "$T/alarm.err")"

status=0
"$SPANTAP" status --store "$T/alarm.store" --json >"$T/status.json" || status=$?
is "exit code of status with an alarm" 3 $status
is "mode of status.json" 600 "$(stat -c %a "$T/alarm.store/status.json")"
"$PY" - "$T/status.json" $SEEN "$PORT" <<'END' || fail "status --json: $(cat "$T/status.json")"
import json, sys
s = json.load(open(sys.argv[1]))
p = s["probe"]
assert s["writer"] > 0 and s["age"] < 30, s["age"]
assert p["alarms"] == 1 and p["omitted"] == 0
by_alarm = {bool(x["alarm"]): x for x in p["processes"]}
blind, seen = by_alarm[True], by_alarm[False]
assert blind["comm"].startswith("bo\x1b") and blind["exe"].endswith("tan"), blind
assert blind["wire"] == 1 and blind["plaintext"] == 0 and blind["libraries"] == [], blind
assert len(blind["unsupported"]) == 1 and blind["unsupported"][0].startswith("libbotan"), blind
assert [x.rsplit(":", 1)[1] for x in blind["alarm"]["peers"]] == [sys.argv[3]], blind
assert "libbotan" in blind["alarm"]["remedy"]
assert seen["pid"] == int(sys.argv[2]) and seen["plaintext"] >= 1 and seen["alarm"] is None and seen["late"], seen
(lib,) = seen["libraries"]
assert lib["state"] == "attached" and lib["site"] in ("fast", "slow") and "libssl" in lib["path"], lib
t = p["totals"]
assert t["captured_bytes"] > 0 and t["lost_bytes"] == 0 and t["processes_followed"] >= 3, t
assert p["data_ring"]["bytes"] > 0 and p["capabilities"]["used"]
END
"$SPANTAP" status --store "$T/alarm.store" --tsv >"$T/status.tsv" || :
is "columns of a process" 11 "$(awk -F'\t' '/^process/ {print NF}' "$T/status.tsv" | sort -u)"
is "columns of a total" 3 "$(awk -F'\t' '/^total/ {print NF}' "$T/status.tsv" | sort -u)"
"$SPANTAP" status --store "$T/alarm.store" >"$T/status" || :
if grep $'\e' "$T/status" "$T/status.tsv" "$T/alarm.err"; then fail "an escape sequence went through"; fi
grep -q '! TLS on the wire but no plaintext seen, to ' "$T/status" || fail "$(cat "$T/status")"
kill $SEEN 2>/dev/null || :
exec 9>&-

# It ended before five seconds had passed: that is said when it ends.
recorded alarm
"$PY" tests/e2e/slow_server.py "$T" 0.2 >"$T/port2" 2>"$T/slow2" &
started+=($!)
sleep 0.5
ask "$(cat "$T/port2")"
gate brief bash -c 'read -r _; f=$1; shift; { cat "$f"; sleep 1; } | "$@"; exit 0' x "$T/ask.$(cat "$T/port2")" \
	botan tls_client localhost "--port=$(cat "$T/port2")" --skip-system-cert-store "--trusted-cas=$T/cert.pem"
recording brief --pid $CLIENT
go brief
for _ in $(seq 40); do
	grep -q 'has ended: it had TLS' "$T/brief.err" && break
	sleep 0.05
done
grep -q 'has ended: it had TLS on the wire, but no plaintext was seen' "$T/brief.err" || fail "$(cat "$T/brief.err")"
recorded brief

# While a command runs, too; nobody has ever written to another store.
"$SPANTAP" run --store "$T/run.store" -o "$T/run.tree" -- sleep 4 &
RUN=$!
started+=($RUN)
for _ in $(seq 60); do
	[ -e "$T/run.store/status.json" ] && break
	sleep 0.05
done
status=0
"$SPANTAP" status --store "$T/run.store" >"$T/status" || status=$?
is "exit code of status of run" 0 $status
grep -q 'recording CMD' "$T/status" || fail "$(cat "$T/status")"
kill -TERM $RUN
wait $RUN || :
status=0
"$SPANTAP" status --store "$T/none" 2>"$T/err" || status=$?
is "exit code of status of no store" 1 $status
grep -q 'no capture has written' "$T/err" || fail "$(cat "$T/err")"
printf '{"written":1,"probe":"x","decode":[1]}' >"$T/run.store/status.json"
"$SPANTAP" status --store "$T/run.store" >/dev/null && fail "a writer that is not there" || [ $? = 4 ] || fail "status of nonsense"
printf '{' >"$T/run.store/status.json"
"$SPANTAP" status --store "$T/run.store" >/dev/null 2>&1 && fail "a broken file" || [ $? = 1 ] || fail "status of a broken file"
