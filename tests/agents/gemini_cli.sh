#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# gemini-cli: the Gemini API, from a child that node starts anew; its shell runs the command within a script.
. "$(dirname "$0")/lib.sh"

gemini=$AGENTS/@google/gemini-cli/bundle/gemini.js
[ -f "$gemini" ] || skip "gemini-cli is not installed (tools/setup.sh --agents)"

PROVIDER=provider_gemini.py
provider --reply shell_twice
mkdir -p "$T/home/.gemini"
cat >"$T/home/.gemini/settings.json" <<END
{"security": {"auth": {"selectedType": "gemini-api-key"}}, "general": {"enableAutoUpdate": false, "disableAutoUpdate": true},
	"privacy": {"usageStatisticsEnabled": false}, "telemetry": {"enabled": false}}
END
gemini=(GEMINI_API_KEY=dummy GOOGLE_GEMINI_BASE_URL="$BASE_URL" GEMINI_CLI_TRUST_WORKSPACE=true NO_COLOR=1
	"$NODE22" "$gemini" --model gemini-2.5-flash --yolo)
# (Its own measurements of its start depend on how long that takes.)
TOOLS_MATCH='shell_tools_match(subshell=True)' UNLIKE='^\[STARTUP\]' agent gemini 3 "${SHELL_TWICE[@]}" 'all(t.get("gen_ai.tool.name") == "run_shell_command" for t in tools)' \
	'all(c.get("gen_ai.provider.name") == "gcp.gemini" for c in chats)' \
	-- "${gemini[@]}" --prompt 'What machine is this? [[encoding:gzip]]'

row gemini_cli "$(version @google/gemini-cli)" "$NODE22" gemini
