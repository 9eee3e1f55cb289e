#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A client in a strict seccomp sandbox lives, and is captured to the byte, with
# return probes (where spantap finds them safe) and without.
. "$(dirname "$0")/lib.sh"

ldconfig -p | grep -q 'libseccomp\.so\.2' || skip "no libseccomp.so.2 here"
provider
CLIENT_CMD=("$PY" tests/fixtures/client_sandboxed.py --base-url "$BASE_URL" --ca "$CA_FILE")
"${CLIENT_CMD[@]}" >"$T/alone" || fail "the client does not work by itself: $(cat "$T/alone")"
# The sandbox is one: what is not on its list kills.
status=0
sed 's/^print(response.status.*//; s/^for _ in range(2):/import os; os.getppid()\nfor _ in []:/' tests/fixtures/client_sandboxed.py >"$T/bad.py"
"$PY" "$T/bad.py" --base-url "$BASE_URL" --ca "$CA_FILE" 2>/dev/null || status=$?
is "a system call that is not permitted" 159 $status

for how in "" --no-uretprobe; do
	name=run$how
	mark
	OPTS=$how traced "$name" "${CLIENT_CMD[@]}"
	is "$name: exit code" 0 "$STATUS"
	same "$name: output" "$T/alone" "$T/$name.out"
	exchanges 2 "$name"
	check "$name" 'len(chats) == 2' 'matches_truth()' 'all_complete()'

	name=record$how
	mark
	gate "$name" "${CLIENT_CMD[@]}" --wait
	sleep 0.5
	recording "$name" --pid $CLIENT $how
	"$SPANTAP" status --store "$T/$name.store" --json >"$T/$name.status" || :
	go "$name"
	recorded "$name"
	same "$name: output" "$T/alone" "$T/$name.out"
	exchanges 2 "$name"
	check "$name" 'len(chats) == 2' 'matches_truth()' 'all(c.get("spantap.tls.joined_late") for c in chats)'
	[ -z "$how" ] || "$PY" -c 'import json, sys
c = json.load(open(sys.argv[1]))["probe"]["capabilities"]
assert "return probes" in c["missing"] and "uprobe.session" in c["missing"], c' "$T/$name.status" ||
		fail "$name: $(cat "$T/$name.status")"
done
