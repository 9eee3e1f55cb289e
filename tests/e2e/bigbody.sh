#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A request body of 16 MiB, in one write and in 16 KiB writes, 20 times each with the
# default ring: every byte arrives, as the SHA-256 that both ends computed shows.
. "$(dirname "$0")/lib.sh"

provider
export PY
for writes in --one-write ''; do
	name=big${writes:+_one}
	mark
	# Detaching costs a second a run: five bodies a run, one after the other.
	for run in 1 2 3 4; do
		traced "$name$run" bash -c 'for i in 1 2 3 4 5; do "$PY" tests/fixtures/client_bigbody.py --chat '"$writes"' || exit 1; done'
		is "$name$run: exit code" 0 "$STATUS"
		grep -q 'nothing lost' "$T/$name$run.tree" || fail "$name: $(tail -n 3 "$T/$name$run.tree")"
		exchanges 5 "$name$run"
		check "$name$run" 'len(chats) == 5' 'matches_truth()' 'all_complete()' 'in_shape()' \
			'all(t["request_len"] == 16 << 20 for t in truth)' \
			'all(c.get("spantap.call.request_bytes") == 16 << 20 for c in chats)' \
			'not any("spantap.lost_bytes" in s.attrs for s in spans)'
		awk '{print $1}' "$T/$name$run.out" | sort >"$T/said"
		"$PY" -c 'import json, sys
for line in open(sys.argv[1]): print(json.loads(line)["request_sha256"])' "$TRUTH" | sort >"$T/read"
		same "$name$run: the server read something else" "$T/said" "$T/read"
		mark
	done
	echo "FIGURE 16 MiB body ${writes:-in 16 KiB writes}: 20 of 20 complete"
done
