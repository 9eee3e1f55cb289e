#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What stats says of a store that two real runs made, against the same counted from its spans.
. "$(dirname "$0")/lib.sh"

provider
S=$T/store
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE")
spantap() { "$SPANTAP" "$@" --store "$S"; }

for words in one two; do
	"$SPANTAP" run --store "$S" -o "$T/tree" -- "${agent[@]}" --prompt "$words" >"$T/answer" || fail "run"
done
spantap stats >"$T/block"
grep -q '^calls  *8$' "$T/block" || fail "stats: $(cat "$T/block")"
is "columns of stats --tsv" 36 "$(spantap stats --tsv | awk -F'\t' '{print NF}')"
is "calls, failed, turns, tools, failed" "total  8 0 2 6 0" "$(spantap stats --tsv | cut -f1-7 | tr '\t' ' ')"
is "stats --by tool" "tool read_file 2,tool shell 4,total  6" \
	"$(spantap stats --by tool --tsv | cut -f1,2,6 | tr '\t' ' ' | sort | paste -sd,)"
for by in day model agent; do
	is "cost by $by, as spantap cost says" "$(spantap cost --by $by --tsv | cut -f1,2,3,4,6)" "$(spantap stats --by $by --tsv | cut -f1,2,34,35,36)"
done
spantap stats | grep -q '^US\$, list  *0\.0005$' || fail "stats: $(spantap stats)"
is "conversations" 3 "$(spantap stats --by conversation --tsv | wc -l)"
is "widest line" ok "$(spantap stats --by model | "$PY" -c 'import sys
print(max([len(l.rstrip("\n")) for l in sys.stdin]) <= 80 and "ok")')"

# The figures, counted again from show --json.
for id in $(spantap ls --tsv | cut -f1); do spantap show "$id" --json; done >"$T/spans"
spantap stats --json >"$T/stats"
"$PY" - "$T/spans" "$T/stats" <<'EOF' || fail "figures differ from the spans"
import json, math, sys
text, d, spans, at = open(sys.argv[1]).read().strip(), json.JSONDecoder(), [], 0
while at < len(text):
    value, at = d.raw_decode(text, at)
    spans += value["spans"]
    at += len(text[at:]) - len(text[at:].lstrip())
total = json.load(open(sys.argv[2]))["total"]
rank = lambda v, p: sorted(v)[math.ceil(len(v) * p / 100) - 1]
chats = [s for s in spans if s["kind"] == "chat"]
values = {"duration_ns": [s["duration_ns"] for s in chats],
          "first_token_ns": [s["attributes"]["gen_ai.response.time_to_first_chunk"] * 1e9 for s in chats],
          "tool_duration_ns": [s["duration_ns"] for s in spans if s["kind"] == "tool"]}
for key, v in values.items():
    assert total[key]["n"] == len(v) > 0, key
    for p in 50, 95, 99:
        assert abs(total[key][f"p{p}"] - rank(v, p)) <= 1, (key, p, total[key], v)
for kind in "input", "output":
    assert total[kind + "_tokens"] == sum(s["attributes"][f"gen_ai.usage.{kind}_tokens"] for s in chats)
assert total["cache_creation_tokens"] is None and total["calls_without_cache_creation_tokens"] == 8, total
EOF

# What is not known, what failed, and what traffic names.
"$PY" - "$S/spantap.db" <<'EOF'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
first = "(SELECT min(seq) FROM span WHERE kind=2)"
db.execute(f"""UPDATE span SET status=2, attributes=json_remove(attributes, '$."gen_ai.usage.input_tokens"',
    '$."gen_ai.response.time_to_first_chunk"') WHERE seq={first}""")
db.execute("""UPDATE span SET attributes=json_set(attributes, '$."gen_ai.tool.name"', 'a' || char(27) || ']52;c;b' || char(10))
    WHERE seq=(SELECT min(seq) FROM span WHERE kind=3)""")
db.execute("UPDATE span SET start_wall_ns=start_wall_ns-10*86400000000000 WHERE kind=1")
db.commit()
EOF
is "a failed call that does not say" "8 1 7 7" "$(spantap stats --tsv | cut -f3,4,12,24 | tr '\t' ' ')"
spantap stats | grep -q '+  *1 of 8 calls did not say' || fail "stats: $(spantap stats)"
spantap stats --by tool >"$T/tools"
! LC_ALL=C grep -q $'\033' "$T/tools" || fail "an escape byte came through"
is "escaped in --tsv" 1 "$(spantap stats --by tool --tsv | grep -cF 'a\x1b]52;c;b\n')"
is "--since, --until" "8 0,0 2" "$({ spantap stats --tsv --since 5d; spantap stats --tsv --until 5d; } | cut -f3,5 | tr '\t' ' ' | paste -sd,)"
is "nothing" "nothing to count in $S" "$(spantap stats --until 1970-01-02)"
for wrong in "--by colour" "--since yesterday" "--since 1d --until 2d" "more"; do
	status=0
	"$SPANTAP" stats --store "$S" $wrong >"$T/out" 2>"$T/err" || status=$?
	is "exit code of stats $wrong" 2 "$status"
	[ -s "$T/err" ] || fail "stats $wrong: no word"
done
! "$SPANTAP" stats --store "$T/none" 2>"$T/err" || fail "no store: exit code 0"
