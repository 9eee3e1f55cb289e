#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What diff says of the calls of a real run: each continues the one before; then of prompts that were changed.
. "$(dirname "$0")/lib.sh"

provider
S=$T/store
spantap() { "$SPANTAP" "$@" --store "$S"; }

"$SPANTAP" run --store "$S" -o "$T/tree" -- "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" \
	--prompt "look around" >"$T/answer" || fail "run"
id=$(spantap ls --tsv | cut -f1)
[ -n "$id" ] || fail "no conversation"
for n in 2 3 4; do
	spantap diff "$id#$n" >"$T/diff$n" || fail "diff #$n"
	grep -q '^cache  *whole: ' "$T/diff$n" || fail "call $n: $(cat "$T/diff$n")"
	is "call $n: removed or changed" 0 "$(spantap diff "$id#$n" --tsv | cut -f2 | grep -cE 'removed|changed')"
	is "call $n: columns" "5" "$(spantap diff "$id#$n" --tsv | awk -F'\t' '{print NF}' | sort -u)"
done
is "the same call" "whole" "$(spantap diff "$id#2" "$id#2" --tsv | awk '$1 == "cache" {print $2}')"
is "backwards" "removed" "$(spantap diff "$id#4" "$id#3" --tsv | awk '$1 == "messages" {print $2}' | tail -1)"

# Another conversation, whose prompt goes on differently and tries the terminal, with another parameter.
"$SPANTAP" run --store "$S" -o "$T/tree" -- "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" \
	--prompt $'look away\e]52;c;x\a' >"$T/answer" || fail "run"
other=$(spantap ls -n 1 --tsv | cut -f1)
sqlite3 "$S/spantap.db" "UPDATE span SET attributes = json_set(attributes, '\$.\"gen_ai.request.temperature\"', 0.25)
	WHERE hex(trace) = upper('$other') AND kind = 2"
spantap diff "$id#1" "$other#1" >"$T/changed" || fail "diff of two conversations"
grep -q '^cache  *broken in messages, item 2, byte 6' "$T/changed" || fail "changed: $(cat "$T/changed")"
grep -q '^gen_ai.request.temperature: .* -> 0.25$' "$T/changed" || fail "parameter: $(cat "$T/changed")"
grep -q '^    + look away\\x1b]52;c;x' "$T/changed" || fail "place: $(cat "$T/changed")"
is "escape bytes" 0 "$(grep -c $'\x1b' "$T/changed")"
spantap diff "$id#1" "$other#1" --json | "$PY" -c 'import json, sys
d = json.load(sys.stdin)
assert d["cache"]["broken"] and d["cache"]["item"] == 2, d["cache"]
assert "gen_ai.request.temperature" in d["parameters"]
assert d["a"]["kind"] == d["b"]["kind"] == "chat"' || fail "diff --json"

is "no call before" 2 "$(spantap diff "$id#1" 2>/dev/null; echo $?)"
is "no such call" 1 "$(spantap diff "$id#99" 2>/dev/null; echo $?)"
is "no number" 2 "$(spantap diff "$id" 2>/dev/null; echo $?)"
grep -q 'ID#N' <(spantap diff "$id" 2>&1) || fail "no remedy"
