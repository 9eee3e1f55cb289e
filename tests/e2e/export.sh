#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What export writes of two real runs: OTLP equal to that of the capture, JSON, and events that Perfetto can lay out.
. "$(dirname "$0")/lib.sh"

provider
S=$T/store
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE")
spantap() { "$SPANTAP" "$@" --store "$S"; }

for words in one two; do
	"$SPANTAP" run --store "$S" --otlp-file "$T/run.otlp" -o "$T/tree" -- "${agent[@]}" --prompt "$words" >"$T/answer" ||
		fail "run"
done
for format in otlp json chrome; do
	spantap export --all --format $format -o "$T/all.$format" || fail "export $format"
	is "mode of the file" 600 "$(stat -c %a "$T/all.$format")"
	spantap export --all --format $format | cmp - "$T/all.$format" || fail "stdout and -o differ"
done
spantap export "$(spantap ls --tsv | head -n 1 | cut -c1-8)" --format json >"$T/one.json"

"$PY" - "$T" <<'EOF' || fail "what was exported"
import json, sys
T = sys.argv[1]

def otlp(name):
    spans = [s for line in open(f"{T}/{name}") for r in json.loads(line)["resourceSpans"]
             for sc in r["scopeSpans"] for s in sc["spans"]]
    return {s["spanId"]: s for s in spans}, len(spans)

captured, n = otlp("run.otlp")
exported, m = otlp("all.otlp")
assert n == m == len(exported) == 28, (n, m)
for key, span in captured.items():
    order = lambda s: dict(s, attributes=sorted(s["attributes"], key=lambda a: a["key"]))
    assert order(span) == order(exported[key]), (span, exported[key])

conversations = json.load(open(f"{T}/all.json"))
assert {s["span_id"] for c in conversations for s in c["spans"]} == set(exported)
assert json.load(open(f"{T}/one.json")) in conversations

trace = json.load(open(f"{T}/all.chrome"))
events = trace["traceEvents"]
slices = [e for e in events if e["ph"] == "X"]
assert {e["args"]["span_id"] for e in slices} == set(exported) and len(slices) == 28
named = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
assert {e["pid"] for e in events if e["name"] == "process_name"} == {1, 2}
rows = {}
for e in slices:
    assert e["dur"] >= 0 and {"name", "cat", "ts", "pid", "tid"} <= set(e), e
    assert (e["pid"], e["tid"]) in named, e
    rows.setdefault((e["pid"], e["tid"]), []).append(e)
for row, v in rows.items(): # by the boot clock: a microsecond's fraction is lost in a double
    v.sort(key=lambda e: e["args"]["start_boot_ns"])
    for a, b in zip(v, v[1:]):
        assert a["args"]["start_boot_ns"] + a["args"]["duration_ns"] <= b["args"]["start_boot_ns"], (row, a, b)
assert {"conversation", "turns", "model calls", "tools", "processes", "processes 2"} <= set(named.values()), named
assert all(e["ph"] in "XM" for e in events)
EOF

! spantap export --all --format json -o "$T/all.json" 2>"$T/err" || fail "a file was overwritten"
grep -q 'exists' "$T/err" || fail "no reason: $(cat "$T/err")"
! spantap export zzzz --format json -o "$T/none.json" 2>"$T/err" || fail "an unknown id: exit code 0"
[ ! -e "$T/none.json" ] || fail "a file is left of an export that failed"
for wrong in "--all" "--format json" "a b --format json" "a --all --format json" "a --format xml"; do
	status=0
	"$SPANTAP" export $wrong --store "$S" >"$T/out" 2>"$T/err" || status=$?
	is "exit code of export $wrong" 2 "$status"
done
[ ! -c /dev/full ] || ! spantap export --all --format otlp >/dev/full 2>"$T/err" || fail "a full disk: exit code 0"
