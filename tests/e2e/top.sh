#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# top while a call is under way, and after it: against the server's truth.
. "$(dirname "$0")/lib.sh"

provider
S=$T/store
top() { "$SPANTAP" top --store "$S" "$@"; }

cat >"$T/client.py" <<'END'
import http.client, json, os, ssl, sys, urllib.parse
url = urllib.parse.urlsplit(os.environ["BASE_URL"])
c = http.client.HTTPSConnection(url.hostname, url.port, timeout=60,
                                context=ssl.create_default_context(cafile=os.environ["CA_FILE"]))
body = {"model": "gpt-4o-mini", "stream": True, "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "hello"}]}
def ask(**headers):
    c.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json", **headers})
    return c.getresponse()
ask().read()
answer = ask(**{"x-test-first-token-ms": "4000"})
print("under way", flush=True)
answer.read()
print("done", flush=True)
sys.stdin.readline()
END
mkfifo "$T/gate"
"$SPANTAP" run --store "$S" -o "$T/tree" -- "$PY" "$T/client.py" <"$T/gate" >"$T/client" 2>"$T/err" &
capture=$!
exec 9>"$T/gate"

# until WORD EXPRESSION: the client has said WORD, and what top says fulfils the expression within 3 s.
until_top() {
	for _ in $(seq 200); do ! grep -qs "$1" "$T/client" || break; sleep 0.05; done
	for _ in $(seq 30); do
		top --json >"$T/top" && "$PY" -c 'import json, sys
d = json.load(open(sys.argv[1]))
a = d["agents"][0] if d["agents"] else {}
sys.exit(not eval(sys.argv[2].replace("\n", " ")))' "$T/top" "$2" && return
		sleep 0.1
	done
	fail "$1: $2: $(cat "$T/top")"
}

until_top 'under way' 'len(d["agents"]) == 1 and a["agent"] == "python3" and a["in_flight"] == 1 and 0 < a["oldest_s"] < 4
	and d["flights"][0]["model"] == "gpt-4o-mini" and a["calls"] == 1 and a["output_tokens_per_s"] > 0 and a["usd_per_hour"] > 0'
"$PY" -c 'import json, os, sys; os.kill(json.load(open(sys.argv[1]))["writer"], 0)' "$T/top" || fail "the writer"
top >"$T/human"
grep -q '^python3 .* 1 ' "$T/human" || fail "table: $(cat "$T/human")"
grep -q '^in flight$' "$T/human" || fail "no call in flight: $(cat "$T/human")"
until_top 'done' 'len(d["agents"]) == 1 and a["in_flight"] == 0 and a["oldest_s"] is None and a["calls"] == 2 and a["failed"] == 0'
echo >&9
exec 9>&-
wait $capture || fail "run: $(cat "$T/err")"

# The figures against those of stats; another window; many frames.
output=$("$SPANTAP" stats --store "$S" --json | "$PY" -c 'import json, sys; print(json.load(sys.stdin)["total"]["output_tokens"])')
is "tokens in a window of 100 s" "$output" "$(top --window 100 --tsv | awk -F'\t' '{printf "%.0f", $7 * 100}')"
is "columns" 11 "$(top --tsv | awk -F'\t' '{print NF}')"
is "no writer" None "$(top --json | "$PY" -c 'import json, sys; print(json.load(sys.stdin)["writer"])')"
is "frames" 2 "$(top -n 2 -d 1 | grep -c '^spantap top')"
is "escape codes of no terminal" 0 "$(top -n 2 -d 1 | grep -c $'\033')"
is "wrong number" 2 "$(top -n x 2>/dev/null; echo $?)"
is "no store" 1 "$("$SPANTAP" top --store "$T/none" 2>/dev/null; echo $?)"
