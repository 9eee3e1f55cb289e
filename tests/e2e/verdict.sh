#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# --http llm: connections without LLM traffic are left alone, and no call is lost by that.
. "$(dirname "$0")/lib.sh"

provider
F=tests/fixtures

# figures NAME: written and read bytes ignored of the host, from the status that the run left.
figures() {
	"$PY" - "$T/$1.store/status.json" "$2" <<'END'
import json, sys
hosts = json.load(open(sys.argv[1]))["decode"]["hosts"]
found = [h for h in hosts if h["host"] == sys.argv[2]] or [dict(ignored_written=0, ignored_read=0, llm=0, requests=0)]
print(*(found[0][k] for k in ("ignored_written", "ignored_read", "llm", "requests")))
END
}

# Lists of models, then chats on the same connection: what was left alone is only the later lists.
mark
OPTS='--http llm' traced lists "$PY" $F/client_steps.py get:/v1/models@gw.test get:/v1/models@gw.test sleep:300 \
	get:/v1/models@gw.test get:/v1/models@gw.test chat:one@gw.test sleep:1200 get:/v1/models@gw.test chat:two@gw.test sleep:1200
is "lists: exit code" 0 "$STATUS"
exchanges 7 lists
check lists 'len(chats) == 2' 'matches_truth()' 'all_complete()'
read -r written read llm requests <<<"$(figures lists gw.test)"
[ "$written" -gt 100 ] && [ "$read" -gt 400 ] || fail "lists: ignored $written and $read bytes"
is "lists: calls of the host" 2 "$llm"
is "lists: requests that were looked at" 5 "$requests"

# The same without the option: everything is looked at.
mark
traced all "$PY" $F/client_steps.py get:/v1/models@gw.test get:/v1/models@gw.test sleep:300 get:/v1/models@gw.test chat:one@gw.test sleep:1200
exchanges 4 all
check all 'len(chats) == 1' 'matches_truth()' 'all_complete()'
is "all: ignored" "0 0 1 4" "$(figures all gw.test)"

# Web traffic of a host without any call.
OPTS='--http llm' traced web "$PY" $F/client_steps.py get:/a@files.test get:/b@files.test sleep:300 get:/c@files.test \
	get:/d@files.test get:/e@files.test sleep:1200
check web 'len(chats) == 0'
read -r written read llm requests <<<"$(figures web files.test)"
is "web: requests that were looked at" 2 "$requests"
[ "$written" -gt 150 ] && [ "$read" -gt 150 ] || fail "web: ignored $written and $read bytes"

# A gateway with mixed traffic: health checks and chats on one connection to it, each chat also one of its own.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost -keyout "$T/gw.key" -out "$T/gw.crt" 2>/dev/null
cat "$T/gw.key" "$T/gw.crt" >"$T/gw.pem"
mark
mkfifo "$T/gate"
OPTS='--http llm' traced gateway "$PY" $F/gateway.py "$T/gw.pem" "$T/gw.port" <"$T/gate" &
gateway=$!
exec 9>"$T/gate"
for _ in $(seq 200); do [ ! -e "$T/gw.port" ] || break; sleep 0.05; done
for client in 1 2; do
	BASE_URL=https://localhost:$(cat "$T/gw.port") CA_FILE=$T/gw.crt "$PY" $F/client_steps.py get:/health@gate.test \
		get:/health@gate.test sleep:300 get:/health@gate.test "chat:from $client@gate.test" get:/health@gate.test \
		"chat:again $client@gate.test" >"$T/client$client.out"
	is "gateway: answers" 6 "$(grep -c ' 200 ' "$T/client$client.out")"
done
sleep 1.2
exec 9>&-
wait $gateway
exchanges 4 gateway
check gateway 'len(chats) == 8' 'all_complete()' "len({c.get('spantap.call.request_sha256') for c in chats}) == 4"
read -r written read llm requests <<<"$(figures gateway gate.test)"
is "gateway: calls it served" 4 "$llm"

# HTTP/2: only by host; lists and chats on one connection are all seen.
if "$PY" -c 'import h2, httpx' 2>/dev/null; then
	PROVIDER=provider_h2.py provider
	mark
	OPTS='--http llm' traced h2 "$PY" $F/client_lists_h2.py 12
	is "h2: exit code" 0 "$STATUS"
	exchanges 13 h2
	check h2 'len(chats) == 1' 'matches_truth()' 'all_complete()'
else
	echo "SKIP HTTP/2: python3-h2 is not installed"
fi
