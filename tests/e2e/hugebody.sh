#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A request body of 64 MiB in one single write, with all CPUs and with everything of ours and the client on one:
# it arrives byte-exact, or the span says to the byte how much of it is missing, and the client notices nothing.
. "$(dirname "$0")/lib.sh"
provider
cpu=$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')

# counter NAME KEY: a counter of the capture in the store of run NAME.
counter() {
	"$PY" - "$T/$1.store/spantap.db" "$2" <<'PY'
import json, sqlite3, sys
row = sqlite3.connect(sys.argv[1]).execute("select counters from capture").fetchone()
print(json.loads(row[0]).get(sys.argv[2], 0))
PY
}

for cpus in all one; do
	[ $cpus = all ] || taskset -pc "$cpu" $$ >/dev/null # the provider keeps all of them
	mark
	traced $cpus "$PY" tests/fixtures/client_bigbody.py --chat --one-write --size $((64 << 20))
	is "$cpus: exit code" 0 "$STATUS"
	exchanges 1 $cpus
	is "$cpus: the server read something else" "$(awk '{print $1}' "$T/$cpus.out")" \
		"$("$PY" -c 'import json, sys; print(json.loads(open(sys.argv[1]).readline())["request_sha256"])' "$TRUTH")"
	lost=$(counter $cpus lost_bytes)
	check $cpus 'len(chats) == 1' "truth[0]['bytes_in'] + truth[0]['bytes_out'] == $(counter $cpus captured_bytes)"
	if [ "$lost" = 0 ]; then
		check $cpus 'matches_truth()' 'all_complete()' "chats[0].get('spantap.call.request_bytes') == 64 << 20"
	else
		check $cpus "chats[0].get('spantap.complete') is False" "chats[0].get('spantap.lost_bytes') == $lost" \
			"chats[0].get('spantap.call.request_sha256') is None"
	fi
	echo "FIGURE 64 MiB in one write, CPUs: $cpus: $lost bytes lost"
done
