#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# Rules that hold are said, shown as metrics, and told to a webhook that fails at first; those that do not are not.
. "$(dirname "$0")/lib.sh"

provider
# webhook NAME STATUS...: URL is its address.
webhook() {
	"$PY" tests/fixtures/webhook.py "$T/$1.hook" "${@:2}" >"$T/$1.port" &
	started+=($!)
	for _ in $(seq 100); do [ ! -s "$T/$1.port" ] || break; sleep 0.05; done
	URL=http://127.0.0.1:$(cat "$T/$1.port")/secret-path
}
# said NAME TEXT: a line of the capture has it, within some seconds.
said() {
	for _ in $(seq 200); do ! grep -qF "$2" "$T/$1.err" || return 0; sleep 0.1; done
	fail "$1: not said: $2: $(cat "$T/$1.err")"
}

webhook m 503 500 200
mkfifo "$T/in"
"$PY" tests/e2e/scraped_client.py <"$T/in" >"$T/done" 2>"$T/client.err" &
CLIENT=$!
started+=($CLIENT)
exec 9>"$T/in"
recording m --pid $CLIENT --metrics 0 --alert-webhook "$URL" --alert 'error_rate>30%  over 10s' --alert 'p95_duration>=600ms' \
	--alert 'cost_per_day>0.00001' --alert 'p95_ttft>10s' --alert 'error_rate>=0.3 for 1h' 9>&-
METRICS=$(grep -o 'http://127.0.0.1:[0-9]*/metrics' "$T/m.err")
curl -sS --fail "$METRICS" >"$T/before"
sleep 1.5
curl -sS --fail "$METRICS" >"$T/before"
is "alerts before a call" "0 0 0 0 0" "$(grep '^spantap_alert{' "$T/before" | awk '{ print $NF }' | paste -sd' ')"
! grep -q '^spantap_alert_value' "$T/before" || fail "a value of no call: $(cat "$T/before")"
echo "2 slow" >&9
said m 'alert: p95_duration>=600ms: it is 0.'
said m 'alert: cost_per_day>0.00001: it is $0.00'
! grep -q 'alert: error_rate' "$T/m.err" || fail "no call failed: $(cat "$T/m.err")"
echo "5 503" >&9
said m "alert: error_rate>30% over 10s: 5 of "
curl -sS --fail "$METRICS" >"$T/during"
for _ in $(seq 30); do
	grep -q '^spantap_alert{rule="error_rate>30% over 10s"} 1$' "$T/during" && break
	sleep 0.1
	curl -sS --fail "$METRICS" >"$T/during"
done
grep -q '^spantap_alert{rule="error_rate>30% over 10s"} 1$' "$T/during" || fail "$(grep alert "$T/during")"
grep -q '^spantap_alert{rule="error_rate>=0.3 for 1h"} 0$' "$T/during" || fail "$(grep alert "$T/during")"
grep -q '^spantap_alert_value{rule="error_rate>=0.3 for 1h"} 0.7' "$T/during" || fail "$(grep alert "$T/during")"
grep -q '^spantap_alert_fired_total{rule="p95_ttft>10s"} 0$' "$T/during" || fail "$(grep alert "$T/during")"
said m 'alert over: error_rate>30% over 10s'
for _ in $(seq 100); do [ "$(grep -c '"status": 200' "$T/m.hook")" -lt 4 ] || break; sleep 0.1; done
exec 9>&-
wait $CLIENT || fail "client: $(cat "$T/client.err")"
recorded m
! grep -q 'p95_ttft' "$T/m.err" || fail "$(cat "$T/m.err")"
"$PY" - "$T/m.hook" <<'END' || fail "webhook: $(cat "$T/m.hook")"
import json, sys
posts = [json.loads(l) for l in open(sys.argv[1])]
assert [p["status"] for p in posts][:3] == [503, 500, 200] and posts[0]["body"] == posts[1]["body"] == posts[2]["body"], posts
taken = [p for p in posts if p["status"] == 200]
assert all(p["path"] == "/secret-path" and p["type"] == "application/json" for p in posts)
assert all(set(p["body"]) == {"source", "version", "host", "rule", "state", "value", "at"} for p in posts), posts
told = [(p["body"]["rule"], p["body"]["state"]) for p in taken]
assert sorted(told) == sorted({("p95_duration>=600ms", "firing"), ("cost_per_day>0.00001", "firing"),
                               ("error_rate>30% over 10s", "firing"), ("error_rate>30% over 10s", "resolved")}), told
p95 = next(p["body"]["value"] for p in taken if p["body"]["rule"].startswith("p95"))
assert 0.68 < p95 < 1.3, p95
END

# The same tool call again and again; the second run's arguments are but shapes, and as equal.
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" --header x-test-script:loop)
for content in redacted shape; do
	webhook "$content" 500
	OPTS="--content $content --alert tool_loop>=4 --alert tool_loop>6 --alert-webhook $URL" traced "$content" bash -c '"$@" && sleep 2' x "${agent[@]}"
	is "loop: exit code" 0 $STATUS
	grep -q "alert: tool_loop>=4: [4-6] times shell: 'spantap show [0-9a-f]*' shows it" "$T/$content.err" || fail "$content: $(cat "$T/$content.err")"
	! grep -q 'tool_loop>6' "$T/$content.err" || fail "$content: $(cat "$T/$content.err")"
	! grep -q 'nowhere' "$T/$content.hook" || fail "what was said was told"
	grep -q '"state": "firing"' "$T/$content.hook" || fail "$content: not told: $(cat "$T/$content.err")"
	grep -q 'was not told of an alert: HTTP 500' "$T/$content.err" || fail "$content: given up in silence: $(cat "$T/$content.err")"
	! grep -q 'secret-path' "$T/$content.err" || fail "the webhook's path is shown"
done
OPTS="--alert tool_loop>=4" traced demo "${agent[@]:0:6}"
! grep -q 'alert: ' "$T/demo.err" || fail "different calls are no loop: $(cat "$T/demo.err")"

# What is wrong with a rule is said.
while IFS='|' read -r rule why; do
	is "--alert $rule" 125 "$("$SPANTAP" run --alert "$rule" -- true 2>"$T/err"; echo $?)"
	grep -qF -- "--alert '$rule': $why" "$T/err" || fail "$rule: $(cat "$T/err")"
done <<'END'
errors>1|it begins with error_rate,
error_rate=1|behind its subject stands > or >=
error_rate>120%|the limit of error_rate is a part from 0 to 1
p95_ttft>1x|the limit of p95_ttft is a time
error_rate>0.1 for 5|'for' takes a time up to 24h
cost_per_day>5 over 1h|cost_per_day is of 24 h
tool_loop>=3 soon|behind the limit may stand 'over'
END
is "--content none" 125 "$("$SPANTAP" run --content none --alert 'tool_loop>3' -- true 2>/dev/null; echo $?)"
is "a webhook alone" 125 "$("$SPANTAP" run --alert-webhook http://127.0.0.1:1 -- true 2>/dev/null; echo $?)"
