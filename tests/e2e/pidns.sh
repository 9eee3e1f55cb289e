#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# In a pid namespace of its own, as in a container: the whole tree, with the pids
# that the namespace knows.
. "$(dirname "$0")/lib.sh"

unshare -pf --mount-proc true 2>/dev/null || skip "no pid namespaces here"
provider
status=0
unshare -pf --mount-proc "$SPANTAP" run --store "$T/ns.store" --otlp-file "$T/ns.otlp" -o "$T/ns.tree" -- \
	bash -c 'echo "$$"; exec "$@"' x "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" \
	>"$T/ns.out" 2>"$T/ns.err" || status=$?
is "exit code" 0 "$status"
pid=$(head -n 1 "$T/ns.out")
check ns 'len(chats) == 4' 'matches_truth()' 'tools_match()' 'times_match()' 'in_shape()' 'all_complete()' \
	"turns[0].get('process.pid') == $pid" 'len(processes) == 5' \
	"all($pid < p.get('process.pid') < 100 for p in processes)" \
	"all(t.children[0].get('process.parent_pid') == $pid for t in tools if t.children)"
grep -q 'nothing lost' "$T/ns.tree" || fail "$(cat "$T/ns.tree")"

# record in there: what is not in the namespace is not seen, and pids are its own.
cat >"$T/inside" <<-END
	mkfifo "$T/go"
	bash -c 'read -r _ <"\$1"; "\${@:2}"; exit \$?' x "$T/go" "\$@" &
	client=\$!
	"$SPANTAP" record --store "$T/rec.store" --otlp-file "$T/rec.otlp" -o "$T/rec.tree" --pid \$client 2>"$T/rec.err" &
	recorder=\$!
	while ! grep -qs 'recording ' "$T/rec.err"; do sleep 0.05; done
	echo >"$T/go"
	wait \$client || exit 8
	kill -TERM \$recorder
	wait \$recorder
END
status=0
unshare -pf --mount-proc bash "$T/inside" "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" \
	>"$T/rec.out" 2>>"$T/rec.err2" || status=$?
is "exit code of record" 0 "$status"
TRUTH=$T/rec.truth
tail -n 4 "$ALL_TRUTH" >"$TRUTH"
check rec 'len(chats) == 4' 'matches_truth()' 'tools_match()' 'all_complete()' 'len(processes) == 5' \
	'all(p.get("process.pid") < 100 for p in processes)'
