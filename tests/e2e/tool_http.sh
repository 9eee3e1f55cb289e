#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What tools fetch: requests of curl over HTTP/1.1, HTTP/2 and without TLS, of wget (GnuTLS) and of Python, each a span
# below the process that made it, secrets masked, no bodies. The agent's own requests that are no calls are no spans.
. "$(dirname "$0")/lib.sh"
command -v curl >/dev/null || skip "curl is not installed"

PROVIDER=provider_h2.py
H2=
if "$PY" -c 'import h2' 2>/dev/null; then
	provider
	H2=$BASE_URL H2_CA=$CA_FILE
fi
PROVIDER=provider.py provider --plain
PLAIN=$BASE_URL
PROVIDER=provider.py provider
CA=$CA_FILE KEY=sk-proj-abcdefghijklmnopqrstuvwxyz0123456789

# script NAME COMMAND...: the replies of a model that asks for these, one after the other.
script() {
	local file=$T/$1.json
	shift
	"$PY" - "$file" "$@" <<'END'
import json, sys
replies = [{"tool_calls": [{"name": "shell", "arguments": {"command": c}}]} for c in sys.argv[2:]] + [{"text": "Done."}]
json.dump({"replies": replies}, open(sys.argv[1], "w"))
END
}

# agent NAME: which also fetches something itself, before and after
agent() {
	cat >"$T/agent.sh" <<END
"$PY" - <<'PYTHON'
import runpy, ssl, sys, urllib.request
context = ssl.create_default_context(cafile="$CA")
urllib.request.urlopen("$BASE_URL/v1/models", context=context).read()
sys.argv = ["agent", "--base-url", "$BASE_URL", "--ca", "$CA", "--prompt", "[[script:$T/$1.json]]"]
try:
    runpy.run_path("tests/fixtures/agent.py", run_name="__main__")
finally:
    urllib.request.urlopen("$BASE_URL/v1/models", context=context).read()
PYTHON
END
	traced "$1" bash "$T/agent.sh"
	is "$1: exit code" 0 "$STATUS"
	grep -q 'nothing lost' "$T/$1.tree" || fail "$1: $(cat "$T/$1.tree")"
}
https='[s for s in spans if "http.request.method" in s.attrs and "gen_ai.operation.name" not in s.attrs]'

commands=("curl -sS --http1.1 --cacert $CA '$BASE_URL/v1/models?api_key=$KEY&limit=7' -H 'Authorization: Bearer $KEY'"
	"curl -sS --cacert $CA -d '{\"note\": \"to be seen by nobody\"}' $BASE_URL/nowhere | wc -c; true"
	"curl -sS $PLAIN/v1/models >/dev/null; curl -sS $PLAIN/v1/models $PLAIN/v1/models"
	"(sleep 0.1; curl -sS --cacert $CA $BASE_URL/v1/models) & wait")
[ -z "$H2" ] || commands+=("curl -sS --http2 --cacert $H2_CA $H2/v1/models")
script curls "${commands[@]}"
agent curls
check curls "len(tools) == ${#commands[@]}" 'all_complete()' \
	"len($https) == 6 + ${#H2} // max(${#H2}, 1)" \
	"all(s.parent in processes and s.parent.get('process.executable.name') == 'curl' for s in $https)" \
	"all(any(s in t.descendants() for t in tools) for s in $https)" \
	"all(s.get('process.pid') == s.parent.get('process.pid') and s.trace == chats[0].trace for s in $https)" \
	"all(s.get('spantap.link.evidence') == 'lineage' and s.get('spantap.link.confidence') > 0.6 for s in $https)" \
	"all(s.parent.start <= s.start <= s.end <= s.parent.end and s.raw['kind'] == 3 for s in $https)" \
	"all(s.get('gen_ai.conversation.id') == chats[0].get('gen_ai.conversation.id') for s in $https)" \
	"[s.get('url.full') for s in $https][0] == '$BASE_URL/v1/models?api_key=[masked:api_key]&limit=7'" \
	"[(s.get('http.request.method'), s.get('http.response.status_code'), s.error) for s in $https][:2] == [('GET', 200, False), ('POST', 404, True)]" \
	"$https[1].get('spantap.call.request_bytes') == 32 and $https[1].get('error.type') == '404'" \
	"all(s.get('spantap.call.response_bytes') > 20 and s.get('user_agent.original').startswith('curl/') for s in $https)" \
	"[(s.get('url.scheme'), s.get('spantap.tls.library'), s.get('network.transport')) for s in $https][2:5] == [('http', None, 'tcp')] * 3" \
	"$https[3].parent == $https[4].parent != $https[2].parent" \
	"not any('seen by nobody' in str(s.attrs) or 'owned_by' in str(s.attrs) for s in $https)" \
	"[s.get('network.protocol.version') for s in $https] == ['1.1'] * 6 + ['2'] * ('$H2' != '')"
grep -q 'GET https://localhost.*status 200' "$T/curls.tree" || fail "the tree: $(cat "$T/curls.tree")"
grep -q 'status 404' "$T/curls.tree" || fail "the tree: $(cat "$T/curls.tree")"
! grep -q "$KEY" "$T/curls.otlp" "$T/curls.tree" || fail "the key is in an output"

# Others' TLS, and what only forks.
cat >"$T/forks.py" <<END
import os, ssl, sys, urllib.request
context = ssl.create_default_context(cafile="$CA")
if os.fork() == 0:
    urllib.request.urlopen("$BASE_URL/v1/models?child", context=context).read()
    os._exit(0)
os.wait()
END
commands=("$PY $T/forks.py")
n_wget=0 n_requests=0
[ -z "$(command -v wget)" ] || n_wget=1 commands+=("wget -q -O - --ca-certificate=$CA $BASE_URL/v1/models?wget")
! "$PY" -c 'import requests' 2>/dev/null || n_requests=3 commands+=("$PY -c 'import requests; [requests.get(\"$BASE_URL/v1/models?requests\", verify=\"$CA\") for _ in range(3)]'")
script others "${commands[@]}"
agent others
check others 'all_complete()' \
	"sum('child' in s.get('url.full') for s in $https) == 1" \
	"sum('wget' in s.get('url.full') for s in $https) == $n_wget" \
	"sum('requests' in s.get('url.full') for s in $https) == $n_requests" \
	"len($https) == 1 + $n_wget + $n_requests" \
	"all(s.parent in processes and any(s in t.descendants() for t in tools) for s in $https)"

# With --http llm too: a connection is looked at before it is left alone.
script llm "curl -sS --cacert $CA $BASE_URL/v1/models"
OPTS='--http llm' agent llm
check llm "len($https) == 1" "$https[0].parent.get('process.executable.name') == 'curl'"

# One that goes on: what is not looked at any more is said on the span of its program.
script many "CA_FILE=$CA BASE_URL=$BASE_URL $PY tests/fixtures/client_steps.py get:/a@files.test get:/b@files.test sleep:300 get:/c@files.test get:/d@files.test sleep:1200"
OPTS='--http llm' agent many
check many "len($https) == 2" "len({s.parent.id for s in $https}) == 1" \
	"$https[0].parent.get('spantap.process.ignored_bytes') > 150" \
	"sum('spantap.process.ignored_bytes' in p.attrs for p in processes) == 1"

# A tool inside the agent: the URL that it is given tells. Its redirections and the agent's own requests are not known to be its.
cat >"$T/fetcher.py" <<'END'
import json, ssl, sys, urllib.request
base, script, context = sys.argv[1], sys.argv[2], ssl.create_default_context(cafile=sys.argv[3])
messages = [{"role": "user", "content": "[[script:%s]]" % script}]
tools = [{"type": "function", "function": {"name": "web_fetch", "parameters": {"type": "object", "properties": {"url": {"type": "string"}}}}}]
def get(url):
    return urllib.request.urlopen(url, context=context).read().decode()
while True:
    body = json.dumps({"model": "gpt-4o-mini", "messages": messages, "tools": tools}).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-test-0000000000000000"}
    request = urllib.request.Request(base + "/v1/chat/completions", body, headers)
    message = json.load(urllib.request.urlopen(request, context=context))["choices"][0]["message"]
    messages.append(message)
    if not message.get("tool_calls"):
        break
    for call in message["tool_calls"]:
        get(base + "/v1/models?telemetry")
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": get(json.loads(call["function"]["arguments"])["url"])})
END
"$PY" - "$T/fetch.json" "$BASE_URL" <<'END'
import json, sys
calls = [{"name": "web_fetch", "arguments": {"url": sys.argv[2] + "/v1/models" + q}} for q in ("?one", "?two#part")]
json.dump({"replies": [{"tool_calls": calls}, {"text": "Done."}]}, open(sys.argv[1], "w"))
END
traced fetch "$PY" "$T/fetcher.py" "$BASE_URL" "$T/fetch.json" "$CA"
is "fetch: exit code" 0 "$STATUS"
check fetch 'all_complete()' 'len(tools) == 2' "len($https) == 2" \
	"all(s.parent in tools and s.get('spantap.link.evidence') == 'url' for s in $https)" \
	"all(json.loads(s.parent.get('gen_ai.tool.call.arguments'))['url'].split('#')[0] == s.get('url.full') for s in $https)" \
	"all('spantap.tool.started' in t.attrs for t in tools)"

# Without content: the host and the outcome, not what was asked for.
script shape "curl -sS --cacert $CA $BASE_URL/v1/models"
OPTS='--content shape' agent shape
check shape "len($https) == 1" "'url.full' not in $https[0].attrs" "$https[0].get('server.address') == 'localhost'" \
	"$https[0].get('http.response.status_code') == 200"

# No tool, no span.
traced none curl -sS --cacert "$CA" "$BASE_URL/v1/models"
is "none: exit code" 0 "$STATUS"
[ ! -s "$T/none.otlp" ] || check none 'len(spans) == 0'
