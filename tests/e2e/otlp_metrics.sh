#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# Metrics over OTLP: both encodings, decoded by OpenTelemetry's own definitions, say the same as the spans; a request
# that an endpoint did not take is made up for by the next one.
. "$(dirname "$0")/lib.sh"

"$PY" -c 'import opentelemetry.proto' 2>/dev/null || { echo "SKIP python3-opentelemetry-proto is not installed"; exit 0; }
provider
unset "${!OTEL_@}"
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" --prompt "hello there")

# backend NAME SCRIPT: a backend in $T/NAME; URL is its address.
backend() {
	mkdir -p "$T/$1"
	"$PY" tests/fixtures/otlp_backend.py "$T/$1" "$2" >"$T/$1/port" 2>"$T/$1/err" &
	started+=($!)
	for _ in $(seq 100); do [ ! -s "$T/$1/port" ] || break; sleep 0.05; done
	URL=http://127.0.0.1:$(cat "$T/$1/port")
}

backend pb ok
OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer%20k' traced pb "${agent[@]}" # the variable alone starts nothing
[ ! -e "$T/pb/metrics.jsonl" ] || fail "metrics that nobody asked for"
OPTS="--otlp-metrics $URL" OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer%20k' traced pb "${agent[@]}"
is "pb: exit code" 0 $STATUS
backend js "503 503 ok"
OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=$URL/v1/metrics OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/json OTEL_METRIC_EXPORT_INTERVAL=400 \
	OTEL_EXPORTER_OTLP_COMPRESSION=none traced js bash -c '"$@" && sleep 3' x "${agent[@]}"
is "js: exit code" 0 $STATUS
grep -q 'does not take metrics: HTTP 503: failed as told; the next ones' "$T/js.err" || fail "said: $(cat "$T/js.err")"
grep -q 'takes metrics again' "$T/js.err" || fail "said: $(cat "$T/js.err")"
is "js: said once" 1 "$(grep -c 'does not take metrics' "$T/js.err")"
backend general ok
OTEL_EXPORTER_OTLP_ENDPOINT=$URL OTEL_METRICS_EXPORTER=otlp traced general "${agent[@]}"
[ -s "$T/general/metrics.jsonl" ] && [ -s "$T/general/taken.jsonl" ] || fail "general: $(cat "$T/general.err")"

"$PY" - "$T" <<'END' || fail "metrics differ from the spans"
import bisect, json, sys
T = sys.argv[1]
BOUNDS = [0.01 * 2 ** i for i in range(14)]
def val(v): return int(v["intValue"]) if "intValue" in v else next(iter(v.values()))
for name in "pb", "js", "general":
    lines = [json.loads(l) for l in open(f"{T}/{name}/metrics.jsonl")]
    last = {m["name"]: m for m in lines[-1]["metrics"]}
    spans = [s for l in open(f"{T}/{name}.otlp") for rs in json.loads(l)["resourceSpans"]
             for ss in rs["scopeSpans"] for s in ss["spans"]]
    if name == "pb": # two runs wrote this file one after the other: the second one's spans
        spans = spans[len(spans) // 2:]
    chats = [s for s in spans if s["name"].startswith("chat")]
    assert len(chats) == 4 and lines[-1]["resource"]["service.name"] == "spantap", (name, len(chats))
    d = last["gen_ai.client.operation.duration"]
    assert (d["kind"], d["temporality"], d["unit"]) == ("histogram", 2, "s"), d
    [p] = d["points"]
    assert p["count"] == 4 and all(abs(a - b) < 1e-9 for a, b in zip(p["bounds"], BOUNDS)) and 0 < p["start"] < p["time"]
    seconds = [(int(s["endTimeUnixNano"]) - int(s["startTimeUnixNano"])) / 1e9 for s in chats]
    buckets = [0] * 15
    for v in seconds:
        buckets[bisect.bisect_left(BOUNDS, v)] += 1
    assert p["buckets"] == buckets and abs(p["sum"] - sum(seconds)) < 1e-6, (p, seconds)
    ids = {(s["traceId"], s["spanId"]) for s in chats}
    assert p["exemplars"] and all((e[0], e[1]) in ids for e in p["exemplars"]), p
    assert isinstance(p["attributes"]["server.port"], int) and p["attributes"]["gen_ai.request.model"] == "gpt-4o-mini"
    t = {x["attributes"]["gen_ai.token.type"]: x for x in last["gen_ai.client.token.usage"]["points"]}
    for kind in "input", "output":
        wanted = sum(val(a["value"]) for s in chats for a in s["attributes"] if a["key"] == f"gen_ai.usage.{kind}_tokens")
        assert t[kind]["sum"] == wanted > 0, (t, wanted)
    assert last["spantap.captured"]["kind"] == "sum" and last["spantap.captured"]["monotonic"]
    assert last["spantap.build"]["kind"] == "gauge" and last["spantap.build"]["points"][0]["value"] == 1
lines = [json.loads(l) for l in open(f"{T}/js/metrics.jsonl")]
assert len(lines) >= 3 and all(l["encoding"] == "application/json" for l in lines), len(lines)
starts = {p["start"] for l in lines for m in l["metrics"] if m["name"] == "spantap.spans" for p in m["points"]}
assert len(starts) == 1, starts
head = {k.lower(): v for k, v in json.loads(open(f"{T}/pb/metrics.jsonl").readline())["headers"].items()}
assert head["authorization"] == "Bearer k" and head["content-encoding"] == "gzip", head
END
is "no URL" 125 "$("$SPANTAP" run --otlp-metrics ftp://x -- true 2>/dev/null; echo $?)"
is "no interval" 125 "$(OTEL_METRIC_EXPORT_INTERVAL=soon "$SPANTAP" run --otlp-metrics http://127.0.0.1:1 -- true 2>/dev/null; echo $?)"
