#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# What Prometheus is given: checked by its own tools, compared with the provider's log and the spans, through crashes
# of decode and sink, with too many models, and with clients that mean no good.
. "$(dirname "$0")/lib.sh"
SPANTAP=${SPANTAP_HOOKS:-$PWD/build/spantap-hooks}
[ -x "$SPANTAP" ] || skip "build/spantap-hooks is not there: run make build/spantap-hooks"

"$PY" -c 'import prometheus_client' 2>/dev/null || { echo "SKIP python3-prometheus-client is not installed"; exit 0; }
PROMTOOL=$(command -v promtool || ls "$SPANTAP_CACHE/promtool/promtool" 2>/dev/null || :)
[ -n "$PROMTOOL" ] || echo "SKIP promtool is not there: tools/setup.sh --tests fetches it"
provider
mkfifo "$T/in"
"$PY" tests/e2e/scraped_client.py <"$T/in" >"$T/done" 2>"$T/client.err" &
CLIENT=$!
started+=($CLIENT)
exec 9>"$T/in"
made=0

# make COUNT KIND [MODEL]: calls, up to their end.
make() {
	echo "$*" >&9
	made=$((made + 1))
	for _ in $(seq 600); do [ "$(wc -l <"$T/done")" -lt $made ] || return 0; sleep 0.05; done
	fail "the client: $(cat "$T/client.err")"
}

# scrape FILE [ACCEPT]
scrape() { curl -sS --fail --max-time 20 -H "Accept: ${2:-application/openmetrics-text;version=1.0.0}" "$URL" >"$T/$1"; }

# scraped FILE EXPRESSION...
scraped() { (cd tests/e2e && "$PY" scraped.py "$T/$1" "$T/m.otlp" "$TRUTH" "${@:2}") || { cat "$T/m.err"; fail "$1"; }; }

# wait_for NAME VALUE: until a scrape has so many.
wait_for() {
	for _ in $(seq 100); do
		scrape now text/plain
		[ "$(awk -v n="$1" 'index($1, n "{") == 1 || $1 == n { s += $2 } END { print s + 0 }' "$T/now")" -lt "$2" ] || return 0
		sleep 0.1
	done
	fail "$1 does not become $2: $(grep "^$1" "$T/now")"
}
CALLS=gen_ai_client_operation_duration_seconds_count

recording m --pid $CLIENT --metrics 0 9>&-
URL=$(grep -o 'http://127.0.0.1:[0-9]*/metrics' "$T/m.err")
PORT=${URL##*:} PORT=${PORT%/*}
scrape empty
scraped empty '"gen_ai_client_operation_duration_seconds" not in families' 'total("spantap_build", "", version="0.1.0") == 1' \
	'"gen_ai_client_token_usage" not in families'

make 3 body
make 2 stream
make 2 slow
make 4 503
wait_for $CALLS 11
sleep 1.2 # the exporters' round
scrape some
D=gen_ai_client_operation_duration_seconds
scraped some "total('$D', '_count') == len(truth) == 11" "total('$D', '_count', error_type='service_unavailable_error') == 4" \
	"buckets('$D') == counted(seconds(chats))" "abs(total('$D', '_sum') - sum(seconds(chats))) < 1e-6" \
	"buckets('$D')[7] == 2" "exemplars_are_spans('$D')" \
	"all(t['t_end'] - t['t_request_start'] < 1.28e9 for t in truth)" \
	'total("gen_ai_client_token_usage", "_count", gen_ai_token_type="input") == 7' \
	'total("gen_ai_client_token_usage", "_sum", gen_ai_token_type="input") == sum(tokens("prompt_tokens"))' \
	'total("gen_ai_client_token_usage", "_sum", gen_ai_token_type="output") == sum(tokens("completion_tokens"))' \
	'buckets("gen_ai_client_token_usage", gen_ai_token_type="input") == counted(tokens("prompt_tokens"), [4 ** i for i in range(14)])' \
	'total("gen_ai_client_operation_time_to_first_chunk_seconds", "_count") == 2' \
	'total("gen_ai_client_operation_time_per_output_chunk_seconds", "_count") == sum(c.get("spantap.call.chunks") - 1 for c in chats if c.get("gen_ai.request.stream"))' \
	'total("spantap_lost_bytes") == 0 and total("spantap_captured_bytes") > 1000' 'total("spantap_cost_usd") > 0' \
	'{s.labels["role"] for s in samples("spantap_process_cpu_seconds", "_total")} == {"probe", "decode", "sink", "metrics"}' \
	'all(s.value > 1e6 for s in samples("spantap_process_memory_bytes"))' \
	'total("spantap_libraries", "", state="attached") >= 1' 'total("spantap_processes_followed", "") >= 1' \
	'"spantap_export_spans" not in families' '"spantap_metrics_folded" not in families'
if [ -n "$PROMTOOL" ]; then
	scrape text text/plain
	"$PROMTOOL" check metrics <"$T/text" >"$T/lint" 2>&1 || fail "promtool: $(cat "$T/lint")"
fi

# What is passed over is counted while it goes on, in the status too.
make 2 batch
make 3 junk
wait_for spantap_connections_unknown_protocol_total 3
wait_for spantap_unread_total 2
"$SPANTAP" status --store "$T/m.store" >"$T/status" || :
grep -q '^passed over: 3 connections of an unknown protocol, 2 batches$' "$T/status" || fail "status: $(cat "$T/status")"
"$SPANTAP" status --store "$T/m.store" --tsv | grep -q "^total	batches	2$" || fail "status --tsv"
"$SPANTAP" status --store "$T/m.store" --json | "$PY" -c 'import json, sys; d = json.load(sys.stdin)["decode"]
t = d["totals"]; assert (t["unknown_protocol"], t["batches"], t["grpc"]) == (3, 2, 0) and d["journal"]["bytes"] > 0, d' || fail "status --json"

# Which format: as Prometheus asks, as curl does, and as nobody should.
type() { curl -sS -o /dev/null -w '%{content_type}' -H "Accept: $1" "$URL"; }
is "Prometheus" "application/openmetrics-text; version=1.0.0; charset=utf-8" \
	"$(type 'application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2')"
is "curl" "text/plain; version=0.0.4; charset=utf-8" "$(type '*/*')"
is "rather text" "text/plain; version=0.0.4; charset=utf-8" "$(type 'application/openmetrics-text;q=0.1,text/plain')"

# decode crashes: nothing that was counted goes back, and what decode itself counts says since when.
sleep 1.1
scrape before
make 1 crash
make 2 body
wait_for spantap_decode_crashes_total 1
wait_for $CALLS 13
sleep 1.2
scrape after
"$PY" - "$T/before" "$T/after" <<'END' || fail "counters went back"
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
def load(path):
    values, created = {}, {}
    for f in parse(open(path).read()):
        for s in f.samples:
            key = (s.name, tuple(sorted(s.labels.items())))
            if s.name.endswith("_created"):
                created[key] = s.value
            elif f.type in ("counter", "histogram"):
                values[key] = s.value
    return values, created
(a, ca), (b, cb) = load(sys.argv[1]), load(sys.argv[2])
reset = lambda key: any(cb.get((key[0].removesuffix("_total") + "_created", key[1]), 0) > v for v in
                        [ca.get((key[0].removesuffix("_total") + "_created", key[1]), 0)])
back = [k for k in a if b.get(k, -1) < a[k] and not reset(k)]
assert not back, [(k, a[k], b.get(k)) for k in back]
assert sum(v for k, v in b.items() if k[0] == "spantap_decode_crashes_total") == 1
END
grep -q 'decode crashed' "$T/m.err" || fail "no crash: $(cat "$T/m.err")"

# sink crashes: its successor goes on counting where it was.
calls=$(awk -v n=$CALLS 'index($1, n) == 1 { s += $2 } END { print s }' "$T/after")
for pid in $(pgrep -P $RECORDER); do
	! grep -qa 'sink' "/proc/$pid/cmdline" || kill -KILL "$pid"
done
make 1 body
wait_for $CALLS $((calls + 1))
scrape restarted
grep -q 'sink crashed' "$T/m.err" || fail "no crash: $(cat "$T/m.err")"
is "calls after a crash of sink" $((calls + 1)) "$(awk -v n=$CALLS 'index($1, n) == 1 { s += $2 } END { print s }' "$T/restarted")"

# More models than a metric may have series: the rest is counted together, and that is counted.
make 260 body 'model-%03d'
wait_for $CALLS $((calls + 261))
sleep 1.2
scrape many
scraped many "len(samples('$D', '_count')) <= 256" "total('$D', '_count') == $calls + 261" \
	"total('$D', '_count', gen_ai_request_model='other') >= 50" "total('spantap_metrics_folded', metric='gen_ai.client.operation.duration') == total('$D', '_count', gen_ai_request_model='other')"

# Whoever can connect.
for pid in $(pgrep -P $RECORDER); do
	! grep -qa 'metrics' "/proc/$pid/cmdline" || SERVER=$pid
done
"$PY" tests/e2e/hostile_scraper.py "$PORT" "$SERVER" >"$T/hostile" 2>&1 || fail "hostile: $(cat "$T/hostile")"
kill -0 "$SERVER" || fail "the server died: $(cat "$T/m.err")"
scrape last
exec 9>&-
wait $CLIENT || fail "client: $(cat "$T/client.err")"
recorded m

# From a file: a reload that changes nothing disturbs none of the roles, what cannot change is named; what sampling leaves
# out is in no metric of calls, and counted.
mkfifo "$T/again"
"$PY" tests/e2e/scraped_client.py <"$T/again" >"$T/done" 2>"$T/client.err" &
CLIENT=$!
started+=($CLIENT)
exec 9>"$T/again"
made=0
conf() { (umask 077 && printf '%s\n' "pid = $CLIENT" 'sample = 0' 'otlp-metrics = http://127.0.0.1:9' 'otlp = http://127.0.0.1:9' \
	'alert-webhook = http://127.0.0.1:9/x' "$@" >"$T/spantap.conf"); }
said() { for _ in $(seq 100); do ! grep -q -- "$1" "$T/c.err" || return 0; sleep 0.1; done; fail "no word of $1: $(cat "$T/c.err")"; }
roles() { pgrep -P $RECORDER -l | sort | paste -sd' '; }
conf 'metrics = 0' 'alert = error_rate>1%' 'alert = p95_ttft>9s'
recording c --config "$T/spantap.conf" 9>&-
URL=$(grep -o 'http://127.0.0.1:[0-9]*/metrics' "$T/c.err")
sleep 1.2
before=$(roles)
is "roles" 6 "$(wc -w <<<"$(pgrep -P $RECORDER -l | grep -oE 'decode|sink|export|metrics|webhook' | paste -sd' ')")"
kill -HUP $RECORDER
said 'read again: nothing changed'
conf 'metrics = 9464' 'alert = error_rate>1%' 'alert = p95_ttft>8s'
kill -HUP $RECORDER
said '--metrics, --alert as before'
sleep 0.5
is "roles after reloads" "$before" "$(roles)"
make 3 body
wait_for spantap_sample_waiting 1
scrape left text/plain
is "share" 0 "$(sed -n 's/^spantap_sample_share //p' "$T/left")"
is "left out" 0 "$(sed -n 's/^spantap_left_out_total{what="call"} //p' "$T/left")" # they may still fail
! grep -q '^gen_ai' "$T/left" || fail "left out, and measured: $(grep ^gen_ai "$T/left")"
is "rules" 2 "$(grep -c '^spantap_alert{' "$T/left")"
[ -z "$PROMTOOL" ] || "$PROMTOOL" check metrics <"$T/left" >"$T/lint" 2>&1 || fail "promtool: $(cat "$T/lint")"
make 1 503
wait_for $CALLS 1
exec 9>&-
wait $CLIENT || fail "client: $(cat "$T/client.err")"
recorded c
chmod 644 "$T/spantap.conf"
"$SPANTAP" record --config "$T/spantap.conf" --check-config 2>"$T/err" || :
grep -q 'alert-webhook: holds a key, but everybody may read the file' "$T/err" || fail "$(cat "$T/err")"

# A UNIX socket, left behind by the run before, and where it may be listened.
for _ in 1 2; do
	"$SPANTAP" run --store "$T/unix.store" -o "$T/tree" --metrics "unix:$T/metrics.sock" -- \
		curl -sS --fail --unix-socket "$T/metrics.sock" http://x/metrics >"$T/unix" || fail "unix: $(cat "$T/unix")"
	grep -q '^spantap_build{' "$T/unix" || fail "unix: $(cat "$T/unix")"
done
"$SPANTAP" run --store "$T/wide.store" -o "$T/tree" --metrics 127.0.0.1:0 -- true 2>"$T/err" || fail "run: $(cat "$T/err")"
for where in :9464 '*:9464' nowhere 9464x 1.2.3:9464 ::1:9464 127.0.0.1:70000 unix:; do
	is "--metrics $where" 125 "$("$SPANTAP" run --metrics "$where" -- true 2>"$T/err"; echo $?)"
	grep -qF -- "--metrics '$where': " "$T/err" || fail "$where: $(cat "$T/err")"
done
"$PY" -c 'import socket, sys, time; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); time.sleep(60)' >"$T/taken" &
started+=($!)
for _ in $(seq 100); do [ ! -s "$T/taken" ] || break; sleep 0.05; done
is "a port that is taken" 125 "$("$SPANTAP" run --store "$T/wide.store" --metrics "$(cat "$T/taken")" -- true 2>"$T/err"; echo $?)"
grep -q 'cannot listen for scrapers: Address already in use; choose another port' "$T/err" || fail "taken: $(cat "$T/err")"

# When spantap is killed, the processes that report end too, and the port is free.
"$SPANTAP" run --store "$T/killed.store" -o "$T/tree" --metrics 0 --otlp-metrics http://127.0.0.1:9 --alert 'error_rate>1%' \
	--alert-webhook http://127.0.0.1:9 -- sleep 30 2>"$T/err" &
PROBE=$!
started+=($PROBE)
for _ in $(seq 200); do ! grep -q 'metrics at' "$T/err" || ! pgrep -P $PROBE sleep >/dev/null || break; sleep 0.05; done
roles=$(pgrep -P $PROBE 'spantap') || fail "no roles: $(cat "$T/err")"
is "roles" "decode metrics metrics sink webhook" "$(ps -o comm= -p "$(paste -sd, <<<"$roles")" | sed 's/^spantap //; /inspect/d; /gate/d' | sort | paste -sd' ')"
started+=($(pgrep -P $PROBE sleep))
kill -KILL $PROBE
for _ in $(seq 100); do [ -n "$(ps -o pid= -p "$(paste -sd, <<<"$roles")")" ] || break; sleep 0.05; done
is "roles that are left" "" "$(ps -o args= -p "$(paste -sd, <<<"$roles")")"
