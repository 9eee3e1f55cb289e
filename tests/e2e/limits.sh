#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# --sample, --max-cpu and --max-memory: conversations are kept whole or not at
# all, those with an error always; what is left out is counted, and the numbers
# add up to what the client did. Content goes first, and the spans say so.
. "$(dirname "$0")/lib.sh"

provider --reply single

dialogues() { # NAME OPTION... [-- OPTION of the client...]
	local name=$1 options=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
	shift || :
	OPTS="${options[*]}" traced "$name" "$PY" tests/e2e/dialogues.py --base-url "$BASE_URL" --ca "$CA_FILE" \
		--script "$T/script.json" "$@"
	[ "$STATUS" = 0 ] || fail "$name: status $STATUS: $(cat "$T/$name.err")"
}

# whole NAME MIN MAX: the conversations kept are complete, all with an error are there, the rest is counted;
# at least MIN and at most MAX are kept. Prints how many.
whole() {
	"$PY" - "$T/$1.otlp" "$T/$1.out" "$T/$1.store/spantap.db" "$2" "$3" <<'END' || { cat "$T/$1.err"; fail "$1"; }
import json, sqlite3, sys
sys.argv, (otlp, out, db, low, high) = ["", "/dev/stdin", "/dev/null"], sys.argv[1:]
def attributes(s):
    return {a["key"]: next(iter(a["value"].values())) for a in s.get("attributes", [])}
spans = [s for line in open(otlp) for r in json.loads(line)["resourceSpans"] for x in r["scopeSpans"] for s in x["spans"]]
traces = {}
for s in spans:
    traces.setdefault(s["traceId"], []).append(s)
done = [line.split() for line in open(out)]
failed = sum("400" in d for d in done)
kept_errors = 0
for trace, members in traces.items():
    a = [attributes(s) for s in members]
    chats = [x for x in a if x.get("gen_ai.operation.name") == "chat"]
    assert len(chats) == 3, (trace, len(chats), "calls of 3")
    assert len({s["spanId"] for s in members}) == len(members), "twice"
    assert sum(not s.get("parentSpanId") for s in members) == 1, "its root is not there"
    error = any("error.type" in x for x in chats)
    kept_errors += error
    reasons = {x.get("spantap.sample.reason") for x in a}
    assert len(reasons) == 1 and (error or reasons != {"error"}), reasons
row, = sqlite3.connect("file:" + db + "?mode=ro", uri=True).execute("SELECT counters FROM capture").fetchall()
counters = json.loads(row[0])
assert kept_errors == failed, (kept_errors, "of", failed, "with an error")
assert len(traces) + counters.get("sampled_out", 0) == len(done), (len(traces), counters, len(done))
assert counters.get("sampled_calls", 0) == 3 * counters.get("sampled_out", 0), counters
assert int(low) <= len(traces) <= int(high), (len(traces), "conversations are kept")
print(f"FIGURE {len(traces)} of {len(done)} conversations kept whole, {kept_errors} of them for an error;"
      f" {counters.get('pressed_spans', 0)} spans without content")
END
}

dialogues all --sample 100
whole all 60 60
check all 'all("spantap.sample.share" not in s.attrs for s in spans)'

# 6 have an error; of the 54 others a quarter is 14: 30 more or 1 would be chance in fewer than one of 10^5 runs.
dialogues quarter --sample 25%
whole quarter 8 36
check quarter 'all(s.get("spantap.sample.share") == 0.25 for s in spans)' 'all(s.get("gen_ai.input.messages") for s in chats)'
grep -q 'left out [0-9]* conversations as a whole' "$T/quarter.tree" || fail "the tree does not say it: $(tail -n 3 "$T/quarter.tree")"

dialogues errors --sample 0
whole errors 6 6
dialogues slow --sample 0 --sample-slow 1 -- --count 20 --slow 1200
whole slow 6 6 # 1, 6, 11, 16; 0 and 10 have an error
check slow 'len([s for s in conversations if s.get("spantap.sample.reason") == "slow"]) == 4'

# Too little for what is done: content goes first, then conversations; none of them half.
dialogues pressed --max-cpu 1 -- --count 100000 --seconds 12 --filler 20000
whole pressed 1 100000
grep -q 'above --max-cpu' "$T/pressed.err" || fail "no word of it: $(cat "$T/pressed.err")"
check pressed 'any(s.get("spantap.content.dropped") for s in chats)' \
	'all(not s.get("gen_ai.input.messages") for s in chats if s.get("spantap.content.dropped"))' \
	'all(s.get("gen_ai.input.messages") for s in chats if not s.get("spantap.content.dropped"))' \
	'any(s.get("spantap.sample.share", 1) < 1 for s in chats)'
"$SPANTAP" status --store "$T/pressed.store" >"$T/status" || [ $? = 4 ] || fail "status"
grep -q '^left out .* conversations with .* calls' "$T/status" || fail "status: $(cat "$T/status")"
"$SPANTAP" status --store "$T/pressed.store" --tsv | grep -q '^limit	pressure	[1-8]$' || fail "status --tsv"

wrong() { # WORDS OPTION...
	local words=$1 status=0
	shift
	"$SPANTAP" run "$@" -- true 2>"$T/err" || status=$?
	[ $status = 125 ] && grep -q -- "$words" "$T/err" || fail "$*: $status $(cat "$T/err")"
}
wrong 'no percentage' --sample 101
wrong 'no percentage' --sample x
wrong 'no percentage' --max-cpu 0
wrong 'at least 512 M' --max-memory 10M
wrong 'no number of seconds' --sample-slow -1 --sample 5
wrong '--sample-slow says' --sample-slow 5
wrong '--join-traces' --join-traces --sample 5
