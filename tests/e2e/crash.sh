#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A record that crashes the decoder costs the call that it belongs to, and no
# other: 20 calls at the same time, one of them deadly, several times. With more
# crashes than decode is allowed, the run says so and still ends, and CMD never
# notices. Needs the variant of the program with the deadly word.
. "$(dirname "$0")/lib.sh"
SPANTAP=${SPANTAP_HOOKS:-$PWD/build/spantap-hooks}
[ -x "$SPANTAP" ] || skip "build/spantap-hooks is not there: run make build/spantap-hooks"
word=SPANTAP-TEST-CRASH

calls() { "$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" "$@"; }

# What the calls print does not depend on being traced.
provider --reply long --delay-ms 1
calls >"$T/untraced"

for round in 1 2 3 4; do
	provider --reply long --delay-ms 1
	traced "one$round" "$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" \
		--word "$word" --at $((round * 5 % 20)) --spread-ms 400 --seed "$round"
	[ "$STATUS" = 0 ] || fail "CMD's exit status is $STATUS: $(cat "$T/one$round.err")"
	cmp "$T/one$round.out" "$T/untraced" || fail "CMD printed something else"
	check "one$round" 'len(truth) == 20' 'damaged_calls("crashed the decoder") == 1'
	grep -q 'decode crashed (signal 6); the record' "$T/one$round.err" || fail "no word of the crash"
	grep -q 'decoder crashes: 1' "$T/one$round.tree" || fail "the summary is silent: $(cat "$T/one$round.tree")"
	"$PY" tests/e2e/stored.py "$T/one$round.store" "$T/one$round.otlp" /dev/null || fail "round $round: store"
done

# Deadly in the same connection as calls before and after it.
provider --reply long
traced keep "$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 2 --each 6 --word "$word" --at 5
[ "$STATUS" = 0 ] || fail "CMD's exit status is $STATUS"
check keep 'len(truth) == 12' 'damaged_calls("crashed the decoder") == 1'

# Eight deadly calls: after five, decode stays away. What is lost is said.
provider --reply long
start=$SECONDS
traced many "$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --each 40 \
	--word "$word" --at 2,6,10,14,18,22,26,30
took=$((SECONDS - start))
[ "$STATUS" = 0 ] || fail "CMD's exit status is $STATUS"
[ "$(wc -l <"$T/many.out")" = 40 ] || fail "CMD printed something else"
[ $took -le 30 ] || fail "the run took $took s"
grep -q 'decode crashed 6 times within a minute' "$T/many.err" || fail "no loud word: $(cat "$T/many.err")"
grep -q 'decoder crashes: ' "$T/many.tree" || fail "the summary is silent"
check many 'len(truth) == 40' 'damaged_calls("crashed the decoder") == 8'
echo "FIGURE run with 8 deadly calls: $took s, $(grep -c 'decode crashed (' "$T/many.err") crashes"

# Connections and processes that come and go while decode stays away.
provider --reply single
cat >"$T/away.sh" <<'END'
"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --each 7 --word "$1" --at 0,1,2,3,4,5
sleep 0.5
for i in 1 2 3; do
	"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 100 --prompt "away $i {n}" --leave
	sleep 0.3
done
END
export PY
traced away bash "$T/away.sh" "$word"
[ "$STATUS" = 0 ] || fail "CMD's exit status is $STATUS"
check away 'len(truth) == 307' 'damaged_calls("crashed the decoder") == 6'
