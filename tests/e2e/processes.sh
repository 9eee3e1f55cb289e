#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What is known of processes: many short ones, what they used as the kernel told their parent, whose they were, and
# with a life ring far too small how many records are missing, to the record.
SPANTAP=$PWD/build/spantap-hooks
. "$(dirname "$0")/lib.sh"
provider
cc -O1 -static -o "$T/spawner" tests/fixtures/spawner.c

# tool COMMAND: the model asks for this command, then ends.
tool() {
	"$PY" - "$1" >"$T/tool.json" <<'END'
import json, sys
print(json.dumps({"replies": [{"tool_calls": [{"name": "shell", "arguments": {"command": sys.argv[1]}}]}, {"text": "Done."}]}))
END
}
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" --prompt "[[script:$T/tool.json]]")

# Each of 2,000 short processes is a span below the tool call, and none is incomplete.
tool "$T/spawner storm 2000 >$T/took"
traced storm "${agent[@]}"
is "exit code" 0 "$STATUS"
check storm 'all_complete()' 'len(tools) == 1' \
	'sum(argv(p) == ["short", "x"] for p in tools[0].descendants()) == 2000' \
	'len({p.get("process.pid") for p in processes}) >= 2000' \
	'all(p.get("process.exit.code") == 0 for p in processes)'
grep -q 'nothing lost' "$T/storm.tree" || fail "something was lost: $(tail -n 3 "$T/storm.tree")"
echo "FIGURE 2,000 processes in $(($(cat "$T/took") / 1000000)) ms, none lost"

# CPU time and memory are what wait4(2) told the parent: the kernel accounts CPU time at its ticks, memory to the page.
tool "$T/spawner use 200 48 >$T/used"
traced use "${agent[@]}"
is "exit code" 0 "$STATUS"
read -r own_cpu own_rss <"$T/used"
read -r pid cpu rss <<<"$(tail -n 1 "$T/used")"
check use 'all_complete()' "len([p for p in processes if p.get('process.pid') == $pid]) == 1" \
	"[abs(p.get('spantap.process.cpu_time') - $cpu / 1e6) <= max(0.01, 0.2 * $cpu / 1e6) for p in processes if p.get('process.pid') == $pid] == [True]" \
	"[p.get('spantap.process.cpu_time') >= 0.19 for p in processes if p.get('process.pid') == $pid] == [True]" \
	"[p.get('spantap.process.max_rss') for p in processes if p.get('process.pid') == $pid] == [$rss * 1024]" \
	"all(p.get('process.real_user.id') == $(id -u) and p.get('spantap.process.real_group_id') == $(id -g) for p in processes)"
grep -q 'worker work.* CPU' "$T/use.tree" || fail "the tree does not show the CPU time: $(cat "$T/use.tree")"
check use "print('FIGURE CPU time', [p.get('spantap.process.cpu_time') for p in processes if p.get('process.pid') == $pid],
	'wait4 $cpu us, itself $own_cpu us; memory: wait4 $rss KiB, itself $own_rss KiB') is None"

# The cgroup: of the unified hierarchy; where that is the root, of the memory controller.
cgroup=$(sed -n 's/^0:://p' /proc/self/cgroup)
[ -n "$cgroup" ] && [ "$cgroup" != / ] || cgroup=$(sed -n 's/^[0-9]*:\([^:]*,\)\?memory\(,[^:]*\)\?://p' /proc/self/cgroup)
check use "{p.get('process.linux.cgroup') for p in processes} == {'${cgroup:-/}'}"

# With a tiny ring: what came and what is said to be lost is together what happened.
counts() { "$PY" tests/e2e/life_records.py "$T/$1.rec"; }
OPTS="--content full --record $T/whole.rec"
traced whole "$T/spawner" storm 400
SPANTAP_TEST_LIFE_RING=4096
export SPANTAP_TEST_LIFE_RING
OPTS="--content full --record $T/tiny.rec"
traced tiny "$T/spawner" storm 400
unset SPANTAP_TEST_LIFE_RING
OPTS=
read -r forks execs exits lost <<<"$(counts whole)"
is "records of the whole storm" "401 401 401 0" "$forks $execs $exits $lost"
read -r forks execs exits lost <<<"$(counts tiny)"
[ "$lost" -gt 0 ] || fail "a 4 KiB life ring lost nothing"
is "records that came and that were lost" 1203 $((forks + execs + exits + lost))
grep -q "lost $lost process and connection records" "$T/tiny.tree" || fail "the tree says $(cat "$T/tiny.tree")"
echo "FIGURE 4 KiB life ring: $lost of 1203 records lost, all of them counted"
