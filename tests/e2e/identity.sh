#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Which connection is which: TLS objects that are used again for another
# connection, at the same address, and connections that change threads.
. "$(dirname "$0")/lib.sh"

provider
peer="{(c.get('network.peer.address'), c.get('network.peer.port')) for c in chats} == {('127.0.0.1', ${BASE_URL##*:})}"
cc -O1 -o "$T/client_reuse" tests/fixtures/client_reuse.c -lssl -lcrypto

for how in reuse new; do
	mark
	traced "$how" "$T/client_reuse" "$how" 20
	is "$how: exit code" 0 "$STATUS"
	is "$how: calls" 20 "$(grep -c ' 200$' "$T/$how.out")"
	grep -q 'first: 0$' "$T/$how.out" || echo "SKIP $how: the objects had several addresses"
	exchanges 20 "$how"
	check "$how" 'matches_truth()' 'all_complete()' 'len(chats) == 20' "$peer"
done

mark
traced pool "$PY" tests/fixtures/client_pool.py 100 3 8
is "pool: exit code" 0 "$STATUS"
is "pool: calls" 300 "$(grep -c ' 200$' "$T/pool.out")"
exchanges 300 pool
check pool 'matches_truth()' 'all_complete()' 'len(chats) == 300' "$peer"
