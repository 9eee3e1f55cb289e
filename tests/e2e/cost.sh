#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the calls of a real run cost, and what is said of calls that cannot be priced.
. "$(dirname "$0")/lib.sh"

provider
S=$T/store
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE")
spantap() { "$SPANTAP" "$@" --store "$S"; }
edit() { "$PY" -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1]); db.execute(sys.argv[2]); db.commit()' "$S/spantap.db" "$1"; }
field() { spantap cost --json | "$PY" -c "import json, sys; print(json.load(sys.stdin)$1)"; }

"$SPANTAP" run --store "$S" -o "$T/tree" -- "${agent[@]}" --prompt hi >"$T/answer" || fail "run"

# gpt-4o-mini: 0.15 dollars a million of input, 0.075 from the cache, 0.6 of output.
spantap cost --json >"$T/cost"
spantap stats --json >"$T/stats"
"$PY" - "$T/cost" "$T/stats" <<'EOF' || fail "cost: $(cat "$T/cost")"
import json, sys
cost, stats = (json.load(open(f)) for f in sys.argv[1:])
c, s = cost["total"], stats["total"]
cached = s["cache_read_tokens"]
assert 0 < cached < s["input_tokens"]
want = ((s["input_tokens"] - cached) * .15 + cached * .075 + s["output_tokens"] * .6) / 1e6
assert abs(c["cost_usd"] - want) < 1e-12, (c, want)
assert c["is_whole"] and c["priced_calls"] == c["calls"] == 4, c
assert cost["prices"]["version"] and cost["prices"]["date"], cost
EOF
whole=$(field '["total"]["cost_usd"]')
is "columns of cost --tsv" 18 "$(spantap cost --tsv | awk -F'\t' '{print NF}')"
is "groups" "model gpt-4o-mini-2024-07-18 4,total  4" \
	"$(spantap cost --by model --tsv | cut -f1-3 | tr '\t' ' ' | paste -sd,)"
spantap cost | grep -q 'list prices of .* [0-9.]* (20' || fail "cost names no price list: $(spantap cost)"

# A call of another model, one without usage, one in another tier, one cut off: beside the sum, which says so.
seq() { echo "(SELECT seq FROM span WHERE kind=2 ORDER BY seq LIMIT 1 OFFSET $1)"; }
edit "UPDATE span SET model='llama-of-ours', attributes=json_set(attributes, '$.\"gen_ai.request.model\"', 'llama-of-ours') WHERE seq=$(seq 0)"
edit "UPDATE span SET attributes=json_remove(attributes, '$.\"gen_ai.usage.output_tokens\"') WHERE seq=$(seq 1)"
edit "UPDATE span SET attributes=json_set(attributes, '$.\"openai.response.service_tier\"', 'flex') WHERE seq=$(seq 2)"
edit "UPDATE span SET complete=0 WHERE seq=$(seq 3)"
is "why" "1 1 1 1 False" "$(field '["total"]' | "$PY" -c 'import ast, sys
t = ast.literal_eval(sys.stdin.read()); u = t["unpriced_calls"]
print(u["no_model"], u["no_usage"], u["service_tier"], t["at_least_calls"], t["is_whole"])')"
LC_ALL=C.UTF-8 spantap cost >"$T/out"
grep -q '^total .*≥ \$0\.0' "$T/out" || fail "no ≥: $(cat "$T/out")"
grep -q '^3 calls unpriced' "$T/out" || fail "no count: $(cat "$T/out")"
is "the rest costs less" True "$("$PY" -c "print($(field '["total"]["cost_usd"]') < $whole)")"

# None with a price: unknown, not 0.
edit "UPDATE span SET provider='nobody'"
is "nothing priced" None "$(field '["total"]["cost_usd"]')"
spantap cost | grep -q '^total  *4  *?  *?' || fail "unknown is not shown as unknown: $(spantap cost)"
is "empty in --tsv" "4 0 0 " "$(spantap cost --tsv | cut -f3-6 | tr '\t' ' ')"
status=0
"$SPANTAP" cost --by tool --store "$S" 2>"$T/err" || status=$?
is "exit code of cost --by tool" 2 "$status"
