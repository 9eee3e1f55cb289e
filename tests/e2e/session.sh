#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A session of an agent: a hundred calls, each with the system prompt, twenty tools and all that was said before. At full
# the store takes a twentieth of what was captured at most, with its word index, and every body comes back as it was sent.
. "$(dirname "$0")/lib.sh"

provider --reply single
cat >"$T/session.py" <<'END'
import http.client, json, os, random, ssl, urllib.parse
r = random.Random(7)
known = ["".join(r.choice("aeioubcdfghjklmnpqrstvwxyz") for _ in range(r.randint(2, 11))) for _ in range(20000)]
def words(size):  # the n-th word is 1/n as frequent as the first
    out = []
    while size > 0:
        out.append(known[int(len(known) ** r.random()) - 1] if r.random() < 0.95 else str(r.randint(0, 10 ** 9)))
        size -= len(out[-1]) + 1
    return " ".join(out)
tools = [{"type": "function", "function": {"name": f"tool_{n}", "description": words(1500), "parameters": {
    "type": "object", "properties": {f"p{k}": {"type": "string", "description": words(80)} for k in range(5)}}}} for n in range(20)]
messages = [{"role": "system", "content": words(12000)}]
url = urllib.parse.urlsplit(os.environ["BASE_URL"])
c = http.client.HTTPSConnection(url.hostname, url.port, context=ssl.create_default_context(cafile=os.environ["CA_FILE"]))
for n in range(100):
    messages.append({"role": "user", "content": words(5000)})
    c.request("POST", "/v1/chat/completions", json.dumps({"model": "gpt-4o-mini", "messages": messages, "tools": tools}),
              {"Content-Type": "application/json"})
    messages.append(json.loads(c.getresponse().read())["choices"][0]["message"])
END
OPTS="--content full" traced session "$PY" "$T/session.py"
[ "$STATUS" = 0 ] || fail "status $STATUS: $(cat "$T/session.err")"
check session 'len(chats) == 100' 'matches_truth()' 'all_complete()' 'len(conversations) == 1'
id=$("$SPANTAP" ls --store "$T/session.store" --tsv | cut -f1)
for n in 1 2 37 99 100; do
	"$SPANTAP" show --store "$T/session.store" "$id" --call $n --raw >"$T/body"
	is "body of call $n" "$(sed -n "${n}p" "$TRUTH" | "$PY" -c 'import json, sys; print(json.load(sys.stdin)["request_sha256"])')" \
		"$(sha256sum <"$T/body" | cut -d' ' -f1)"
done
"$PY" - "$TRUTH" "$T"/session.store/spantap.db* <<'END' || fail "the store is too large"
import json, os, sys
captured = sum(t["request_len"] + t["response_len"] for t in map(json.loads, open(sys.argv[1])))
stored = sum(map(os.path.getsize, sys.argv[2:]))
print(f"FIGURE 100 calls, {captured / 1e6:.1f} MB of bodies: {stored / 1e6:.2f} MB stored, 1/{captured / stored:.1f}")
sys.exit(stored * 20 > captured)
END
