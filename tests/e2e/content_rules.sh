#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# Rules say how much is kept of what goes to a host, or is of a model: what they withhold is in no file, neither of the
# call nor of its tools and their processes; what they do not match is kept, and what is withheld is marked.
. "$(dirname "$0")/lib.sh"

provider
# The command line of CMD is no part of a call: the prompt does not stand there.
echo 'the heron waits' >"$T/prompt"
agent=(bash -c '"${@:2}" --prompt "$(cat "$1")"; exit $?' x "$T/prompt" "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE")

# kept NAME: whether the prompt is in a file that was written, the database's log included.
kept() { grep -rs heron "$T/$1.store" "$T/$1.otlp" "$T/$1.tree" | cut -c 1-400 >"$T/found"; [ -s "$T/found" ]; }

OPTS="--content full" traced all "${agent[@]}"
kept all || fail "without a rule the prompt is not kept"
check all 'len(chats) == 4' 'len(tools) == 3' 'not any(s.get("spantap.content.level") for s in spans)'

# rule NAME RULE: a run with it, all kept but for it.
rule() {
	STATUS=0
	"$SPANTAP" run --store "$T/$1.store" --otlp-file "$T/$1.otlp" -o "$T/$1.tree" --content full --rule "$2" -- "${agent[@]}" \
		>"$T/$1.out" 2>"$T/$1.err" || fail "$1: $(cat "$T/$1.err")"
}
for words in 'host:localhost content:none' 'model:gpt-4o* content:none'; do
	name=${words%%:*}
	mark
	rule "$name" "$words"
	! kept "$name" || fail "$words: the prompt was kept: $(cat "$T/found")"
	exchanges 4 "$name"
	check "$name" 'len(chats) == 4' 'len(tools) == 3' 'len(processes) == 5' 'all_complete()' \
		'all(s.get("spantap.content.level") == "none" for s in chats + tools + turns)' \
		'not any("gen_ai.input.messages" in s.attrs or "gen_ai.tool.call.arguments" in s.attrs for s in spans)' \
		'not any("process.command_args" in s.attrs or "process.working_directory" in s.attrs for s in processes)' \
		'all(c.get("gen_ai.usage.input_tokens") for c in chats)'
done
rule shape 'host:local* provider:openai content:shape'
! kept shape || fail "shape: the prompt was kept: $(cat "$T/found")"
check shape 'all("[withheld]" in c.get("gen_ai.input.messages") for c in chats)'
rule other 'host:api.example.com content:none'
kept other || fail "a rule of another host withheld it"

# In a configuration file, and it cannot change without a restart.
printf "comm = nobody-$$\nrule = 'host:a content:none'\nrule = \"model:m content:shape\"\n" >"$T/c"
"$SPANTAP" record --config "$T/c" --check-config >"$T/out" 2>&1 || fail "$(cat "$T/out")"
recording conf --config "$T/c"
sed -i 3d "$T/c"
kill -HUP $RECORDER
for _ in $(seq 100); do ! grep -q 'configuration read again' "$T/conf.err" || break; sleep 0.05; done
recorded conf
grep -q -- '--rule as before' "$T/conf.err" || fail "$(cat "$T/conf.err")"
for wrong in 'content:none' 'host:a' 'host:a content:x' 'color:red content:none'; do
	status=0
	"$SPANTAP" record --rule "$wrong" --check-config 2>"$T/err" >"$T/out" || status=$?
	is "exit code of '$wrong'" 2 $status
done
