#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A tool of an MCP server, over TLS: the request is below the call of the model that it is made for. An embedding is of
# the turn.
. "$(dirname "$0")/lib.sh"
provider
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
	-keyout "$T/tool.key" -out "$T/tool.pem" 2>/dev/null
"$PY" tests/fixtures/tool_server.py "$T/tool.pem" "$T/tool.key" >"$T/tool.port" 2>"$T/tool.err" &
started+=($!)
for _ in $(seq 200); do [ ! -s "$T/tool.port" ] || break; sleep 0.05; done
[ -s "$T/tool.port" ] || fail "the MCP server did not start: $(cat "$T/tool.err")"
cat >"$T/two.json" <<'END'
{"replies": [{"tool_calls": [{"name": "mcp__files__read", "arguments": {"path": "/a"}},
                             {"name": "mcp__files__read", "arguments": {"path": "/b"}}]}, {"text": "Both are read."}]}
END
traced mcp "$PY" tests/fixtures/agent_mcp.py "$(cat "$T/tool.port")" "$T/tool.pem" --base-url "$BASE_URL" --ca "$CA_FILE" \
	--prompt "[[script:$T/two.json]]"
is "exit code" 0 "$STATUS"
check mcp 'matches_truth()' 'all_complete()' 'len(tools) == 2' \
	'[len(t.children) for t in tools] == [1, 1]' \
	'all(t.children[0].get("mcp.method.name") == "tools/call" for t in tools)' \
	'all(json.loads(t.children[0].get("gen_ai.tool.call.arguments")) == json.loads(t.get("gen_ai.tool.call.arguments")) for t in tools)' \
	'all(t.children[0].get("spantap.link.evidence") == "mcp_arguments" for t in tools)' \
	'all(t.children[0].get("mcp.protocol.version") == "2025-06-18" for t in tools)' \
	'all(t.children[0].get("mcp.session.id") == "session-1" for t in tools)' \
	'all(t.start <= t.children[0].start and t.children[0].end <= t.end for t in tools)' \
	'all(t.children[0].raw["kind"] == 3 and t.children[0].name == "tools/call read" for t in tools)' \
	"all(t.children[0].get('server.port') == $(cat "$T/tool.port") for t in tools)"
vectors='[s for s in spans if s.get("gen_ai.operation.name") == "embeddings"]'
check mcp "len($vectors) == 2" "all(s.parent in turns and s.name == 'embeddings vectors-1' for s in $vectors)" \
	"all(s.get('gen_ai.request.encoding_formats') == ['float'] and s.get('spantap.call.output_count') == 1 for s in $vectors)" \
	"all(s.get('gen_ai.usage.input_tokens') == 3 and 'gen_ai.usage.output_tokens' not in s.attrs for s in $vectors)" \
	'len(turns) == 1 and len(conversations) == 1'
grep -q 'mcp tools/call read: /a' "$T/mcp.tree" && grep -q 'embeddings vectors-1' "$T/mcp.tree" || fail "the tree: $(cat "$T/mcp.tree")"
