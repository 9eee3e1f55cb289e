#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# Export over HTTP: both encodings give the same spans, and through every way to fail each span arrives.
. "$(dirname "$0")/lib.sh"

"$PY" -c 'import opentelemetry.proto' 2>/dev/null || { echo "SKIP python3-opentelemetry-proto is not installed"; exit 0; }
provider
unset "${!OTEL_@}"
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" --prompt "hello there")

# backend NAME SCRIPT: a backend in $T/NAME; URL is its address.
backend() {
	mkdir -p "$T/$1"
	"$PY" tests/fixtures/otlp_backend.py "$T/$1" "$2" >"$T/$1/port" 2>"$T/$1/err" &
	BACKEND=$!
	started+=($BACKEND)
	for _ in $(seq 100); do [ ! -s "$T/$1/port" ] || break; sleep 0.05; done
	URL=http://127.0.0.1:$(cat "$T/$1/port")
}

# arrived NAME STORE...: each span of the stores arrived at the backend NAME, and prints how many came twice.
arrived() {
	local name=$1 id
	shift
	for store in "$@"; do
		sqlite3 "$store/spantap.db" 'SELECT lower(hex(id)) FROM span' 2>/dev/null ||
			"$PY" -c 'import sqlite3, sys; [print(r[0].hex()) for r in sqlite3.connect(sys.argv[1]).execute("SELECT id FROM span")]' "$store/spantap.db"
	done | sort >"$T/wanted"
	"$PY" -c 'import json, sys; [print(s["id"]) for l in open(sys.argv[1]) for s in json.loads(l)["spans"]]' "$T/$name/taken.jsonl" |
		sort >"$T/got"
	is "$name: ids that did not arrive" 0 "$(comm -23 "$T/wanted" <(uniq "$T/got") | wc -l)"
	is "$name: ids of nobody" 0 "$(comm -13 "$T/wanted" <(uniq "$T/got") | wc -l)"
	uniq -d "$T/got" | wc -l
}

# figure STORE NAME: a figure of the only endpoint.
figure() { "$PY" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1"/otlp-*.json "$2"; }

# Two endpoints at once, both encodings, headers from option and variable, all levels of compression.
backend pb ok; pb=$URL
backend js ok; js=$URL
OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer%20k%3Dy, x-b=2' "$SPANTAP" run --store "$T/both.store" -o "$T/tree" \
	--content full --otlp-content full --otlp "$pb" --otlp "$js/v1/traces" --otlp-protocol http/json --otlp-compression none \
	--otlp-header x-own=1 --otlp-profile common -- "${agent[@]}" >"$T/out" 2>"$T/err" || fail "run: $(cat "$T/err")"
is "pb: twice" 0 "$(arrived pb "$T/both.store")"
is "js: twice" 0 "$(arrived js "$T/both.store")"
"$PY" - "$T/pb/taken.jsonl" "$T/js/taken.jsonl" <<'END' || fail "JSON and protobuf differ"
import json, sys
def load(path):
    lines = [json.loads(l) for l in open(path)]
    return lines, {s["id"]: s for l in lines for s in l["spans"]}
(pl, pb), (jl, js) = load(sys.argv[1]), load(sys.argv[2])
assert pb == js and len(pb) > 8, (len(pb), len(js))
head = lambda l: {k.lower(): v for k, v in l["headers"].items()}
p, j = head(pl[0]), head(jl[0])
assert p["authorization"] == "Bearer k=y" and p["x-b"] == "2" and p["content-encoding"] == "gzip", p
assert j["x-own"] == "1" and "authorization" not in j and "content-encoding" not in j, j
assert all(l["path"] == "/v1/traces" for l in pl + jl)
assert pl[0]["resource"]["service.name"] == "spantap" and pl[0]["resource"]["host.name"]
chats = [s for s in pb.values() if s["name"].startswith("chat")]
assert len(chats) == 4
for s in chats:
    a = s["attributes"]
    assert "hello there" in a["gen_ai.input.messages"] and s["kind"] == 3 and s["end"] > s["start"]
    assert a["openinference.span.kind"] == "LLM" and a["gen_ai.usage.cost"] > 0
    assert a["langfuse.observation.completion_start_time"].endswith("Z") and a["gen_ai.server.ttft"] > 0
    assert not any(k.startswith("spantap.request.body") for k in a)
END

# Without a word of it, no text leaves the host; below --content, neither.
backend default ok
"$SPANTAP" run --store "$T/default.store" -o "$T/tree" --otlp "$URL" -- "${agent[@]}" >"$T/out" 2>"$T/err" || fail "run: $(cat "$T/err")"
is "default: twice" 0 "$(arrived default "$T/default.store")"
! grep -q 'hello there' "$T/default/taken.jsonl" || fail "text left the host"
grep -q '\[withheld\]' "$T/default/taken.jsonl" || fail "no shape of the text"

# Every failure in turn; nothing is lost, and what comes twice is exactly what was answered too late.
backend worst "503 cut 429:1 lost 401 413:3 ok slow:100 partial ok"
"$SPANTAP" run --store "$T/worst.store" -o "$T/tree" --otlp "$URL" -- bash -c '"$@" && sleep 12' x "${agent[@]}" \
	>"$T/out" 2>"$T/err" || fail "run: $(cat "$T/err")"
"$PY" - "$T/worst" "$T/worst.store" <<'END' || fail "worst: $(cat "$T/worst/requests.jsonl" "$T/worst.store"/otlp-*.json)"
import glob, json, sqlite3, sys
taken = [json.loads(l) for l in open(sys.argv[1] + "/taken.jsonl")]
asked = [json.loads(l) for l in open(sys.argv[1] + "/requests.jsonl")]
state = json.load(open(glob.glob(sys.argv[2] + "/otlp-*.json")[0]))
stored = {r[0].hex() for r in sqlite3.connect(sys.argv[2] + "/spantap.db").execute("SELECT id FROM span")}
words = [a["word"] for a in asked]
assert words[:6] == ["503", "cut", "429:1", "lost", "401", "413:3"], words
assert asked[3]["at"] - asked[2]["at"] >= 1, "Retry-After was not kept"
ids = [s["id"] for t in taken for s in t["spans"]]
lost = asked[words.index("lost")]["spans"]
rejected = words.count("partial")
assert len(set(ids)) >= len(stored) - rejected and set(ids) <= stored, (len(set(ids)), len(stored))
assert len(ids) - len(set(ids)) == lost, (len(ids), len(set(ids)), lost)
assert state["exported"] == len(stored) - rejected and state["rejected"] == rejected, state
assert state["failures"] >= 3 and state["waiting"] == 0 and state["error"] is None, state
END
grep -q 'does not take spans now; they wait in the store: HTTP 503: failed with \\x1b' "$T/err" || fail "said: $(cat "$T/err")"
grep -q 'takes spans again' "$T/err" || fail "said: $(cat "$T/err")"

# A backend that is down for the whole run: a later one sends what waited.
backend down ok
kill $BACKEND; wait $BACKEND 2>/dev/null || :
"$SPANTAP" run --store "$T/down.store" -o "$T/tree" --otlp "$URL" -- "${agent[@]}" >"$T/out" 2>"$T/err" || fail "run: $(cat "$T/err")"
[ "$(figure "$T/down.store" waiting)" -gt 8 ] || fail "nothing waits"
"$SPANTAP" status --store "$T/down.store" >"$T/status" || :
grep -q "! $URL/v1/traces  0 spans exported, [0-9]* wait" "$T/status" || fail "status: $(cat "$T/status")"
OTLP_PORT=${URL##*:} "$PY" tests/fixtures/otlp_backend.py "$T/down" >"$T/down/port" 2>"$T/down/err" &
started+=($!)
for _ in $(seq 100); do [ ! -s "$T/down/port" ] || break; sleep 0.05; done
"$SPANTAP" run --store "$T/down.store" -o "$T/tree" --otlp "$URL" -- true 2>"$T/err" || fail "run: $(cat "$T/err")"
is "down: twice" 0 "$(arrived down "$T/down.store")"
is "down: waiting" 0 "$(figure "$T/down.store" waiting)"

# One span that the backend never takes is skipped, the others go; one that is too large goes without its content.
backend poison "poison:process ok"
"$SPANTAP" run --store "$T/poison.store" -o "$T/tree" --otlp "$URL" -- bash -c '"$@" && sleep 3' x "${agent[@]}" >"$T/out" 2>"$T/err" ||
	fail "run: $(cat "$T/err")"
n=$(sqlite3 "$T/poison.store/spantap.db" "SELECT count(*) FROM span WHERE name = 'process'")
is "poison: refused" "$n" "$(figure "$T/poison.store" refused)"
is "poison: exported" "$(($(sqlite3 "$T/poison.store/spantap.db" 'SELECT count(*) FROM span') - n))" "$(figure "$T/poison.store" exported)"
backend large large:3000
"$SPANTAP" run --store "$T/large.store" -o "$T/tree" --content full --otlp-content full --otlp-compression none --otlp "$URL" -- \
	bash -c '"$@" && sleep 3' x "${agent[@]}" >"$T/out" 2>"$T/err" || fail "run: $(cat "$T/err")"
is "large: twice" 0 "$(arrived large "$T/large.store")"
[ "$(figure "$T/large.store" without_content)" -gt 0 ] || fail "large: $(cat "$T"/large.store/otlp-*.json)"
is "large: marked" "$(figure "$T/large.store" without_content)" \
	"$("$PY" -c 'import json, sys; print(sum(bool(s["attributes"].get("spantap.content.dropped")) for l in open(sys.argv[1]) for s in json.loads(l)["spans"]))' "$T/large/taken.jsonl")"

# TLS with a name to look up, an authority of our own, and a certificate that the backend demands.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost -keyout "$T/tls.key" -out "$T/tls.crt" 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=spantap \
	-keyout "$T/client.key" -out "$T/client.crt" 2>/dev/null
cat "$T/tls.key" "$T/tls.crt" >"$T/tls.pem"
OTLP_TLS=$T/tls.pem OTLP_CLIENT_CA=$T/client.crt backend tls ok
URL=https://localhost:${URL##*:}
tls=(--otlp "$URL" --otlp-ca "$T/tls.crt" --otlp-cert "$T/client.crt" --otlp-key "$T/client.key")
"$SPANTAP" run --store "$T/tls.store" -o "$T/tree" "${tls[@]}" -- "${agent[@]}" >"$T/out" 2>"$T/err" || fail "run: $(cat "$T/err")"
is "tls: twice" 0 "$(arrived tls "$T/tls.store")"
"$SPANTAP" run --store "$T/bad.store" -o "$T/tree" --otlp "$URL" -- "${agent[@]}" >"$T/out" 2>"$T/err" || fail "run: $(cat "$T/err")"
grep -q 'does not take spans now; they wait in the store: .*certificate' "$T/err" || fail "bad TLS: $(cat "$T/err")"
[ "$(figure "$T/bad.store" exported)" = 0 ] || fail "exported to a backend that cannot be trusted"

# What is wrong with the call is said before anything starts.
is "no URL" 125 "$("$SPANTAP" run --otlp ftp://x -- true 2>/dev/null; echo $?)"
is "grpc" 125 "$(OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 "$SPANTAP" run -- true 2>/dev/null; echo $?)"
is "no header" 125 "$("$SPANTAP" run --otlp "$URL" --otlp-header 'a b=c' -- true 2>/dev/null; echo $?)"
