#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# Spantap is started again in the middle of a conversation: it stays one, and its turns count on. The same first words
# in another process are another conversation, also after the restart.
. "$(dirname "$0")/lib.sh"

provider
S=$T/store
cat >"$T/talk.py" <<'END'
import http.client, json, os, ssl, sys, urllib.parse
url = urllib.parse.urlsplit(os.environ["BASE_URL"])
messages = json.load(open(sys.argv[1])) if os.path.exists(sys.argv[1]) else []
for prompt in sys.argv[2:]:
    c = http.client.HTTPSConnection(url.hostname, url.port, context=ssl.create_default_context(cafile=os.environ["CA_FILE"]))
    messages.append({"role": "user", "content": prompt})
    c.request("POST", "/v1/chat/completions", json.dumps({"model": "gpt-4o-mini", "messages": messages}),
              {"Content-Type": "application/json"})
    messages.append({"role": "assistant", "content": json.load(c.getresponse())["choices"][0]["message"]["content"]})
json.dump(messages, open(sys.argv[1], "w"))
END
# talk HISTORY PROMPT...: one run of spantap with one run of the program.
talk() { "$SPANTAP" run --store "$S" -o "$T/tree" -- "$PY" "$T/talk.py" "$@" 2>"$T/err" || fail "run: $(cat "$T/err")"; }
# conversations: ids and indexes of the turns of each, a line a conversation.
conversations() {
	sqlite3 "$S/spantap.db" "SELECT group_concat(turn, ',') FROM (SELECT conversation,
		json_extract(attributes, '\$.\"spantap.turn.index\"') AS turn FROM span WHERE kind = 1 ORDER BY start_wall_ns)
		GROUP BY conversation ORDER BY 1"
}

talk "$T/one" 'walk the dog' 'and then'
talk "$T/two" 'walk the dog'
is "two programs with the same first words" "1
1,2" "$(conversations)"
talk "$T/one" 'go on'
talk "$T/two" 'something else'
is "each goes on" "1,2
1,2,3" "$(conversations)"
is "traces of the longer one" 2 "$(sqlite3 "$S/spantap.db" 'SELECT max(n) FROM (SELECT count(DISTINCT trace) AS n FROM span WHERE kind = 1 GROUP BY conversation)')"

# decode crashes in between, before or after what it knows of the conversation was kept: its successor goes through the
# journal again, and takes no call for one that came before it.
for pause in 0 0.5; do
	"${SPANTAP%/*}/spantap-hooks" run --store "$S" -o "$T/tree" -- bash -c \
		'"$1" "$2" "$3" one; sleep '$pause'; "$1" "$2" "$4" SPANTAP-TEST-CRASH || :; sleep 1; "$1" "$2" "$3" two' \
		x "$PY" "$T/talk.py" "$T/three$pause" "$T/four$pause" 2>"$T/err" || fail "run: $(cat "$T/err")"
	grep -q 'decode crashed' "$T/err" || fail "decode did not crash"
done
is "conversations over a crash" 3 "$(conversations | grep -cx 1,2)"

# Another store has another key: nothing is known there.
is "heads" ok "$(sqlite3 "$S/spantap.db" "SELECT CASE WHEN count(*) > 4 THEN 'ok' END FROM head")"
