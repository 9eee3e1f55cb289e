#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# --join-traces: a client that says which trace it is in. Its turns, with their calls, tools, processes and what these
# fetch, are spans of that trace below the client's span; without the option, and where not all calls of a turn say so,
# the client's span is a link.
. "$(dirname "$0")/lib.sh"

provider
TRACE=0af7651916cd43dd8448eb211c80319c SPAN=b7ad6b7169203331
cat >"$T/two.json" <<END
{"replies": [{"tool_calls": [{"name": "shell", "arguments": {"command": "curl -sS --cacert $CA_FILE $BASE_URL/v1/models | wc -c"}}]},
             {"text": "Done."}]}
END
AGENT=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" --prompt "[[script:$T/two.json]]")
linked='all([(l["traceId"], l["spanId"]) for l in c.raw.get("links", [])] == [("'$TRACE'", "'$SPAN'")] for c in chats)'

OPTS=--join-traces traced joined "${AGENT[@]}" --header "traceparent:00-$TRACE-$SPAN-01"
is "joined: exit code" 0 "$STATUS"
check joined 'matches_truth()' 'all_complete()' 'len(turns) == 1 and len(chats) == 2 and len(tools) == 1 and len(processes) >= 3' \
	"(turns[0].trace, turns[0].parent_id) == ('$TRACE', '$SPAN')" \
	"all(s.trace == '$TRACE' for s in turns + chats + tools + processes)" \
	"[s.trace for s in spans if 'http.request.method' in s.attrs and 'gen_ai.operation.name' not in s.attrs] == (['$TRACE'] if '$(command -v curl)' else [])" \
	"all(s in turns[0].descendants() for s in chats + tools + processes)" \
	"turns[0].get('spantap.link.evidence') == 'traceparent' and turns[0].get('spantap.link.confidence') == 1" \
	"conversations[0].trace != '$TRACE' and [(l['traceId'], l['spanId']) for l in turns[0].raw['links']] == [(conversations[0].trace, conversations[0].id)]" \
	"$linked"

# The store has the same tree, and shows it by the conversation's id.
id=$("$SPANTAP" ls --store "$T/joined.store" --json | "$PY" -c 'import json, sys; print(json.load(sys.stdin)[0]["trace_id"])')
"$SPANTAP" show --store "$T/joined.store" "$id" >"$T/shown"
grep -q 'turn 1' "$T/shown" && grep -q '#2 chat' "$T/shown" || fail "show: $(cat "$T/shown")"

mark
traced apart "${AGENT[@]}" --header "traceparent:00-$TRACE-$SPAN-01"
exchanges 3 apart
check apart 'all_complete()' "all(s.trace == conversations[0].trace != '$TRACE' for s in spans)" \
	"turns[0].parent == conversations[0]" "$linked"

# What is no trace context is none: nothing is joined, nothing linked.
mark
OPTS=--join-traces traced bad "${AGENT[@]}" --header "traceparent:00-00000000000000000000000000000000-$SPAN-01"
exchanges 3 bad
check bad 'all_complete()' "all(s.trace == conversations[0].trace for s in spans)" "not any(c.raw.get('links') for c in chats)"

# Two turns, each in a trace of its own, as a server that serves two requests makes them.
cat >"$T/two_turns.py" <<'END'
import http.client, json, ssl, sys
from urllib.parse import urlsplit
url, messages = urlsplit(sys.argv[1]), []
c = http.client.HTTPSConnection(url.hostname, url.port, context=ssl.create_default_context(cafile=sys.argv[2]))
for n, parent in enumerate(sys.argv[3:]):
    messages.append({"role": "user", "content": "question %d" % n})
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-test-0000000000000000"}
    if parent != "-":
        headers["traceparent"] = parent
    c.request("POST", "/v1/chat/completions", json.dumps({"model": "gpt-4o-mini", "messages": messages}), headers)
    messages.append(json.loads(c.getresponse().read())["choices"][0]["message"])
END
OPTS=--join-traces traced turns "$PY" "$T/two_turns.py" "$BASE_URL" "$CA_FILE" "00-${TRACE/0/1}-$SPAN-01" - "00-${TRACE/0/2}-$SPAN-00"
is "turns: exit code" 0 "$STATUS"
unset TRUTH
check turns 'all_complete()' 'len(turns) == 3 and len(conversations) == 1' \
	"[t.trace for t in turns] == ['${TRACE/0/1}', conversations[0].trace, '${TRACE/0/2}']" \
	"[t.parent_id for t in turns] == ['$SPAN', conversations[0].id, '$SPAN']" \
	"[c.trace for c in chats] == [t.trace for t in turns]" \
	"len({s.get('gen_ai.conversation.id') for s in spans}) == 1"
