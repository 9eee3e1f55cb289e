#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# spantap record: each rule chooses a process that runs already and one that
# starts later, with their descendants; a connection that was in use before is
# marked; one writer a store; nothing is left behind by SIGKILL.
. "$(dirname "$0")/lib.sh"

provider
# A name that no other process of this host has: these rules look at all of them.
NAME=agent-$$
cp "$(readlink -f "$(command -v "$PY")")" "$T/$NAME"
"$T/$NAME" -c 'import ssl' || skip "a copy of $PY does not work"
# Waits for a line, then is the agent: one process, so the name stays; its library is there before.
WAIT='import runpy, ssl, sys; sys.stdin.readline(); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")'
AGENT=("$T/$NAME" -c "$WAIT" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE")
WHOLE=('len(chats) == 4' 'matches_truth()' 'tools_match()' 'all_complete()' 'len(processes) == 5'
	'not any(c.get("spantap.tls.joined_late") for c in chats)' 'len(conversations) == 1')

# both NAME OPTION...: with these options an agent that runs already, and one that starts later
both() {
	local name=$1
	shift
	mark
	gate "$name" "${BEFORE[@]:-env}" "${AGENT[@]}"
	sleep 0.3
	recording "$name" "$@"
	grep -q '[1-9][0-9]* processe\?s\? followed' "$T/$name.err" || fail "$name: not found: $(cat "$T/$name.err")"
	go "$name"
	recorded "$name"
	exchanges 4 "$name"
	check "$name" "${WHOLE[@]}"

	mark
	recording "$name.later" "$@"
	grep -q 'nothing matches yet' "$T/$name.later.err" || fail "$name: $(cat "$T/$name.later.err")"
	gate "$name.later" "${BEFORE[@]:-env}" "${AGENT[@]}"
	sleep 0.3 # a rule that user space decides takes effect some milliseconds after the exec
	go "$name.later"
	recorded "$name.later"
	exchanges 4 "$name.later"
	check "$name.later" 'len(chats) == 4' 'matches_truth()' 'tools_match()' 'len(processes) >= 5' 'len(conversations) == 1'
}

both comm --comm "$NAME"
both exe_path --exe "$T/$NAME"
both exe_glob --exe "$T/agent-[0-9]*"
both exe_name --exe "$NAME"
both several --exe /nowhere/at/all --comm "$NAME"

# --pid: the process with all its descendants, those that are there already too.
mark
gate pid bash -c '"$@"; exit $?' x "${AGENT[@]}"
sleep 0.3
recording pid --pid $CLIENT
grep -q '2 processes followed' "$T/pid.err" || fail "$(cat "$T/pid.err")"
go pid
recorded pid
exchanges 4 pid
check pid "${WHOLE[@]}"

# Cgroups, and containers by the names that their cgroups have.
inside() { (echo $BASHPID >"$1/cgroup.procs" && shift && exec "$@"); }
for hierarchy in /sys/fs/cgroup/unified /sys/fs/cgroup/memory /sys/fs/cgroup; do
	id=$(printf '%064x' $$)
	group=$hierarchy/spantap-test-$$ below=$hierarchy/spantap-test-$$/docker-$id.scope
	case $(stat -fc %T "$hierarchy" 2>/dev/null) in cgroup*) ;; *) continue ;; esac
	mkdir -p "$below" 2>/dev/null || continue
	(echo $BASHPID >"$below/cgroup.procs") 2>/dev/null || { rmdir "$below" "$group"; continue; }
	here=$(basename "$hierarchy")
	BEFORE=(inside "$below")
	both "cgroup_$here" --cgroup "/spantap-test-$$"
	both "container_$here" --container "${id:0:63}${id: -1}"
	unset BEFORE
	rmdir "$below" "$group"
	tried=1
done
[ -n "${tried:-}" ] || echo "SKIP no cgroup can be made here"

# A client in the middle of its connection: what came before is not known, and it is said.
provider --reply long --delay-ms 1
"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --seconds 4 >"$T/late.calls" &
CLIENT=$!
started+=($CLIENT)
sleep 1.5
recording late --pid $CLIENT
"$SPANTAP" status --store "$T/late.store" --tsv >"$T/late.status" || :
wait $CLIENT || fail "the client: $(cat "$T/late.calls")"
recorded late
check late 'len(chats) >= 2' 'all(c.get("spantap.tls.joined_late") for c in chats)' \
	'sum(c.get("spantap.complete") is True for c in chats) >= 1'
grep -q "^process.$CLIENT.*late" "$T/late.status" || fail "status does not say late: $(cat "$T/late.status")"

# One writer a store; the second one is told whose it is.
recording first --comm "$NAME"
status=0
"$SPANTAP" record --store "$T/first.store" --comm "$NAME" 2>"$T/second.err" || status=$?
is "exit code of the second recorder" 1 $status
grep -q "being written by process [0-9]" "$T/second.err" || fail "$(cat "$T/second.err")"
status=0
"$SPANTAP" status --store "$T/first.store" --json >"$T/first.status" || status=$?
is "exit code of status" 0 $status
holder=$(sed -n 's/.*by process \([0-9]*\).*/\1/p' "$T/second.err")
grep -q "\"writer\": $holder" "$T/first.status" || fail "status: writer is not $holder: $(cat "$T/first.status")"

# SIGKILL: its processes end, the status says so.
roles=$(pgrep -P $RECORDER)
kill -KILL $RECORDER
wait $RECORDER 2>/dev/null || :
for _ in $(seq 100); do
	left=
	for pid in $roles; do kill -0 "$pid" 2>/dev/null && left+=" $pid"; done
	[ -n "$left" ] || break
	sleep 0.05
done
[ -z "$left" ] || fail "left behind: $left"
status=0
"$SPANTAP" status --store "$T/first.store" >"$T/first.status" || status=$?
is "exit code of status without a recorder" 4 $status

# Wrong words are said clearly.
wrong() {
	local words=$1 status=0
	shift
	"$SPANTAP" record --store "$T/wrong" "$@" 2>"$T/wrong.err" || status=$?
	is "$*: exit code" 2 $status
	grep -q "$words" "$T/wrong.err" || fail "$*: $(cat "$T/wrong.err")"
}
wrong "there is no process '999999999'" --pid 999999999
wrong "no process id: 'abc'" --pid abc
wrong "there is no cgroup '/no/such'" --cgroup /no/such
wrong "no container id" --container xyz
wrong "unexpected argument 'foo'" --comm x foo
wrong "'all' or 'llm'" --http some
