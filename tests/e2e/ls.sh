#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Filters of ls, on a store with four conversations of two programs.
. "$(dirname "$0")/lib.sh"

provider
S=$T/store
ls() { "$SPANTAP" ls --store "$S" --tsv "$@" | wc -l; }

for words in 'walk the dog' 'feed the cat'; do
	"$SPANTAP" run --store "$S" -o "$T/tree" -- "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" \
		--prompt "$words" >"$T/answer" || fail "run"
done
cp "$(readlink -f "$PY")" "$T/walker"
sleep 1.1
before=$(date +%Y-%m-%dT%H:%M:%S)
"$SPANTAP" run --store "$S" -o "$T/tree" -- "$T/walker" tests/fixtures/client_steps.py 'chat:the dog again' >"$T/answer" || fail "run"
"$SPANTAP" run --store "$S" -o "$T/tree" -- "$T/walker" tests/fixtures/client_steps.py 'chat:[[script:error-429]] now' >"$T/answer" 2>&1 || :

is "all" 4 "$(ls)"
is "--agent" 2 "$(ls --agent WALK)"
is "--agent of nobody" 0 "$(ls --agent cod-ex)"
is "--model" 4 "$(ls --model 4o-mini)"
is "--host" 4 "$(ls --host localhost)"
is "--host of nobody" 0 "$(ls --host api.example)"
is "--since" 2 "$(ls --since "$before")"
is "--until" 2 "$(ls --until "$before")"
is "--text" 2 "$(ls --text dog)"
is "--text, two words" 1 "$(ls --text 'again dog')"
is "--text and --agent" 1 "$(ls --text dog --agent python)"
is "--min-cost" 4 "$(ls --min-cost 0)"
is "--min-cost of none" 0 "$(ls --min-cost 1)"
is "status" "$(ls)" "$(($(ls --status ok) + $(ls --status err) + $(ls --status part) + $(ls --status open)))"
is "-n counts what is shown" 1 "$(ls -n 1 --agent walker)"
"$SPANTAP" ls --store "$S" --agent nobody >"$T/none"
grep -q 'no such conversation' "$T/none" || fail "nothing said: $(cat "$T/none")"
for wrong in '--status good' '--min-cost x' '--since yesterdayish' '--since 2026-01-02 --until 2026-01-01'; do
	is "$wrong" 2 "$("$SPANTAP" ls --store "$S" $wrong 2>/dev/null; echo $?)"
done
