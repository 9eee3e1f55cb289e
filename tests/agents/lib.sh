#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# lib.sh - what every test of a published agent begins with: . "$(dirname "$0")/lib.sh"
#
# Runs the test again in a network of its own that has nothing but loopback, in
# which every name is that of 127.0.0.1, so that an agent can reach the local
# provider and nobody else; then as the end-to-end tests do. The agent gets a home and a working directory of its own.

[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
if [ -z "${AGENT_NETWORK:-}" ]; then
	AGENT_NETWORK=own exec unshare --net --mount --propagation shared bash "$0" "$@"
fi
ip link set lo up
# Names: to the file first, as everywhere, then to a server that knows one answer.
resolv=$(mktemp)
echo nameserver 127.0.0.1 >"$resolv"
chmod 644 "$resolv"
mount --bind "$resolv" "$(realpath /etc/resolv.conf)"
rm "$resolv"

. "$(dirname "$0")/../e2e/lib.sh"
[ -z "$(ip -o route show table main)" ] || fail "this network leads somewhere"
"$PY" tests/fixtures/every_name.py >"$T/names" &
started+=($!)
for _ in $(seq 100); do
	grep -qs ready "$T/names" && break
	sleep 0.05
done
[ -n "$AGENTS" ] && [ -n "$NODE22" ] || skip "the agents are not installed (tools/setup.sh --agents)"

# agent NAME CALLS EXPRESSION... -- CMD...: one prompt, without and with spantap. Both print the same, and the
# spans equal what the provider wrote down of CALLS LLM calls. SIDE: other exchanges that the agent makes;
# UNLIKE: lines of its stderr that are never the same; TOOLS_MATCH: what to expect of its tools.
agent() {
	local name=$1 calls=$2 status=0 expressions=()
	shift 2
	while [ "$1" != -- ]; do
		expressions+=("$1")
		shift
	done
	shift
	mkdir -p "$T/home" "$T/work"
	local clean=(env -i -C "$T/work" HOME="$T/home" PATH="$(dirname "$NODE22"):/usr/bin:/bin" LANG=C.UTF-8
		NODE_EXTRA_CA_CERTS="$CA_FILE")

	"${clean[@]}" "$@" </dev/null >"$T/$name.plain.out" 2>"$T/$name.plain.err" || status=$?
	is "$name: exit code without spantap" 0 "$status"
	mark
	traced "$name" "${clean[@]}" "$@" </dev/null
	is "$name: exit code" 0 "$STATUS"
	same "$name: stdout differs when traced" "$T/$name.plain.out" "$T/$name.out"
	sed -i "/${UNLIKE:-^never$}/d" "$T/$name.plain.err" "$T/$name.err"
	same "$name: stderr differs when traced" "$T/$name.plain.err" "$T/$name.err"
	[ -s "$T/$name.out" ] || fail "$name: the agent said nothing"
	cat "$T/$name.tree"
	grep -q 'nothing lost' "$T/$name.tree" || fail "$name: loss"
	exchanges $((calls + ${SIDE:-0})) "$name"
	check "$name" 'matches_truth()' 'errors_match()' 'times_match()' 'in_shape()' 'all_complete()' \
		"len(exchanges) == len(truth) + ${SIDE:-0}" "${TOOLS_MATCH:-shell_tools_match()}" "${expressions[@]}"
}

# row NAME VERSION FILE [CAPTURE]: what the capture of that name (NAME) has shown is a row of the table of agents;
# FILE: the program or library with the probes.
row() {
	local site
	site=$("$SPANTAP" doctor --exe "$3" | grep -oE '(fast|slow) site' | head -n 1 || :)
	"$PY" tests/agents/table.py add "${RESULTS:-/dev/null}" "$1" "$2" "$T/${4:-$1}.otlp" "${site% site}"
}
# The version of an agent's package.
version() { "$PY" -c 'import json, sys; print(json.load(open(sys.argv[1]))["version"])' "$AGENTS/$1/package.json"; }

# What the script shell_twice makes of every agent: one conversation of one turn, three calls, two commands.
SHELL_TWICE=('len(conversations) == 1' '[t.get("spantap.turn.index") for t in turns] == [1]'
	'len(chats) == 3 and len(tools) == 2' 'all(c.get("spantap.call.kind") == "main" for c in chats)'
	'[t.get("spantap.tool.asked") is not None for t in tools] == [True] * 2')
