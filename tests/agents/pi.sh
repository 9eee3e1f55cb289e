#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# pi: Anthropic messages, then chat completions.
. "$(dirname "$0")/lib.sh"

provider --reply shell_twice
mkdir -p "$T/home/.pi/agent"
cat >"$T/home/.pi/agent/models.json" <<END
{"providers": {
	"messages": {"baseUrl": "$BASE_URL", "api": "anthropic-messages", "apiKey": "dummy",
		"models": [{"id": "claude-sonnet-4-6"}]},
	"chat": {"baseUrl": "$BASE_URL/v1", "api": "openai-completions", "apiKey": "dummy", "models": [{"id": "gpt-4o"}]}
}}
END
pi=(PI_OFFLINE=1 "$NODE22" "$AGENTS/@mariozechner/pi-coding-agent/dist/cli.js" --print)
for model in messages/claude-sonnet-4-6 chat/gpt-4o; do
	agent "pi_${model%/*}" 3 "${SHELL_TWICE[@]}" 'all(t.get("gen_ai.tool.name") == "bash" for t in tools)' \
		-- "${pi[@]}" --model "$model" 'What machine is this? [[encoding:gzip]]'

	# Two processes, one conversation; two tools at once, and an answer in the smallest pieces.
	agent "pi_${model%/*}_continues" 5 'len(conversations) == 1' 'len(tools) == 4' \
		'[t.get("spantap.turn.index") for t in turns] == [1, 2]' \
		'len({t.get("process.pid") for t in turns}) == 2' \
		-- bash -c '"$@" "What machine is this?" && "$@" --continue "$0"' \
		'And now? [[script:shell_parallel]] [[split:tiny]]' env "${pi[@]}" --model "$model"
done

row pi "$(version @mariozechner/pi-coding-agent)" "$NODE22" pi_chat
