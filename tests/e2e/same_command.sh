#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Several agents of one process run the same command at the same time, and two agents say the same one after
# the other: nothing is mixed, and what cannot be told apart is linked with less confidence.
. "$(dirname "$0")/lib.sh"
provider

traced threads "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" --parallel 4 \
	--prompt 'x{n} [[script:one_tool]]'
check threads "len(conversations) == 4" "len(tools) == 4" "len(processes) == 4" "all_complete()" \
	"all(len(t.children) == 1 for t in tools)" \
	"all(p.get('spantap.link.confidence') <= 0.95 for p in processes)"

TRUTH=/dev/null
traced twice sh -c '"$0" "$@"; "$0" "$@" --api anthropic' "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" \
	--ca "$CA_FILE" --prompt 'x [[script:one_tool]]'
check twice "len(conversations) == 2" "len(chats) == 4" "all_complete()" \
	"all(len({d.get('gen_ai.provider.name') for d in c.descendants() if d in chats}) == 1 for c in conversations)" \
	"all(t.get('gen_ai.tool.call.result') for t in tools)"
