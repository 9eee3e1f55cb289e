#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Claude Code: Anthropic messages, from Bun, a static BoringSSL without symbols.
. "$(dirname "$0")/lib.sh"

program=$AGENTS/@anthropic-ai/claude-code-linux-x64/claude
[ -x "$program" ] || skip "no Claude Code for this machine"

provider --reply shell_twice
claude=(ANTHROPIC_BASE_URL="$BASE_URL" ANTHROPIC_API_KEY=dummy IS_SANDBOX=1 DISABLE_AUTOUPDATER=1
	CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 "$program" --print --dangerously-skip-permissions)
SIDE=1 agent claude 3 "${SHELL_TWICE[@]}" 'all(t.get("gen_ai.tool.name") == "Bash" for t in tools)' \
	'all(c.get("spantap.tls.library") == "boringssl" for c in chats)' \
	-- "${claude[@]}" 'What machine is this? [[encoding:gzip]]'

row claude_code "$(version @anthropic-ai/claude-code-linux-x64)" "$program" claude
