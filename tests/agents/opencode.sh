#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# opencode: Anthropic messages, from Bun, a static BoringSSL without symbols and without .eh_frame.
. "$(dirname "$0")/lib.sh"

program=$AGENTS/opencode-linux-x64/bin/opencode
[ -x "$program" ] || skip "no opencode for this machine"

provider --reply shell_twice
mkdir -p "$T/home/.config/opencode"
cat >"$T/home/.config/opencode/opencode.json" <<END
{"autoupdate": false, "share": "disabled", "permission": {"bash": "allow", "edit": "allow"},
	"provider": {"anthropic": {"options": {"baseURL": "$BASE_URL/v1", "apiKey": "dummy"}}}}
END
opencode=(OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1 "$program")
agent opencode 4 'len(tools) == 2' \
	'all(c.get("spantap.tls.library") == "boringssl" for c in chats)' \
	-- "${opencode[@]}" run --model anthropic/claude-sonnet-4-5 'What machine is this?'

row opencode "$(version opencode-linux-x64)" "$program"
