#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Qwen Code: chat completions, from a child that node starts anew; runs git of its own while its tools work.
. "$(dirname "$0")/lib.sh"

provider --reply shell_twice
qwen=(OPENAI_BASE_URL="$BASE_URL/v1" OPENAI_API_KEY=dummy OPENAI_MODEL=gpt-4o
	"$NODE22" "$AGENTS/@qwen-code/qwen-code/cli.js" --auth-type openai --yolo)
agent qwen 3 "${SHELL_TWICE[@]}" 'conversations[0].get("gen_ai.agent.name") == "qwen-code"' \
	'all(t.get("gen_ai.tool.name") == "run_shell_command" for t in tools)' \
	-- "${qwen[@]}" 'What machine is this?'

# A sub-agent in the same process: its turn is below the call that holds its prompt.
agent qwen_delegates 5 'len(conversations) == 1' 'len(turns) == 2' 'len(tools) == 3' \
	'[t.parent.get("gen_ai.tool.name") for t in turns] == [None, "agent"]' \
	'turns[1].get("spantap.link.evidence") == "prompt"' \
	'[len([c for c in t.children if c in chats]) for t in turns] == [2, 3]' \
	-- "${qwen[@]}" 'What machine is this? [[script:delegate]]'

row qwen "$(version @qwen-code/qwen-code)" "$NODE22"
