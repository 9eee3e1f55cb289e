#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# Programs with TLS linked in that nobody has seen before, each executed from a file of its own: they wait in
# execve(2) until they have their probes, and not one byte is missed. Nobody notices: no waitpid() of the parent
# returns, and whatever becomes of spantap meanwhile, they go on.
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
[ -n "${HOLD_MOUNTS:-}" ] || HOLD_MOUNTS=own exec unshare --mount --propagation shared bash "$0" "$@"
. "$(dirname "$0")/lib.sh"

RUNS=${RUNS:-30}
"$SPANTAP" doctor >"$T/doctor" || :
grep -q 'ok *hold at exec' "$T/doctor" || skip "$(grep -A 3 'hold at exec' "$T/doctor")"

provider
export CA_FILE BASE_URL

# fresh NAME PROGRAM ARGUMENT...: $RUNS copies of it, one after the other; each makes one call.
cat >"$T/fresh" <<'END2'
for n in $(seq "$RUNS"); do
	cp "$1" "$T/copy.$n"
	"$T/copy.$n" "${@:2}" || exit 1
	rm "$T/copy.$n"
done
END2
export RUNS T
fresh() {
	local name=$1
	shift
	mark
	traced "$name" bash "$T/fresh" "$@"
	is "$name: exit code" 0 "$STATUS"
	exchanges "$RUNS" "$name"
}
held() {
	fresh "$@"
	check "$1" 'matches_truth()' 'all_complete()' "len(chats) == $RUNS" 'not any(c.get("spantap.tls.joined_late") for c in chats)'
	grep -q 'nothing lost' "$T/$1.tree" || fail "$1: loss"
	"$SPANTAP" status --store "$T/$1.store" --json >"$T/$1.status" || : # 1: no capture runs
	echo "FIGURE $1: $RUNS of $RUNS; $("$PY" -c 'import json, sys
h = json.load(sys.stdin)["probe"]["hold"]
print("%d files waited for %.1f ms, the longest for %.1f ms" % (h["files"], h["ms"], h["longest_ms"]))' <"$T/$1.status")"
}
# Without, it shows whether this test can fail: what is missed is not there, or said to be.
not_held() {
	OPTS=--no-hold fresh "$@"
	echo "FIGURE $1, --no-hold: $("$PY" tests/e2e/spans.py "$T/$1.otlp" "$TRUTH" \
		'print(sum(bool(c.get("spantap.complete")) and not c.get("spantap.tls.joined_late") for c in chats), "of", len(truth), "whole and in time,", len(chats), "seen") or True' |
		head -n 1)"
}

if GO=$(type -P go); then
	GOCACHE=${SPANTAP_CACHE:-$T}/go-build GO111MODULE=off CGO_ENABLED=0 "$GO" build -ldflags='-s -w' -o "$T/go" \
		tests/fixtures/client_go.go || fail "go build"
	held go "$T/go"
	not_held go_not "$T/go"
else
	echo "SKIP Go is not installed (tools/setup.sh --tests)"
fi
if cc -O1 -o "$T/openssl" tests/fixtures/client_reuse.c -l:libssl.a -l:libcrypto.a -lpthread -ldl 2>/dev/null; then
	strip "$T/openssl"
	held openssl "$T/openssl" new 1
	not_held openssl_not "$T/openssl" new 1
else
	echo "SKIP no static libssl"
fi

# --- nobody notices, and nobody waits for ever ---

# A program that takes long to look into: the test hook sleeps in probe.
cp "$(type -P sleep)" "$T/slow.program"
truncate -s 1M "$T/slow.program"
cat >"$T/parent.py" <<'END2'
import os, signal, sys, time
told = []
signal.signal(signal.SIGCHLD, lambda *a: told.append(time.time()))
start = time.time()
pid = os.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "0.1"])
seen, states, cut = [], set(), len(sys.argv) > 3
while not seen or not (os.WIFEXITED(seen[-1]) or os.WIFSIGNALED(seen[-1])):
    if cut and time.time() - start > 0.5:
        os.kill(pid, signal.SIGTERM)
    with open(f"/proc/{pid}/stat") as f:
        states.add(f.read().rsplit(")", 1)[1].split()[0])
    if time.time() - start > 0.3 and not os.path.exists(sys.argv[2] + ".waits"):
        open(sys.argv[2] + ".waits", "w").write(str(pid))
    got, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
    if got:
        seen.append(status)
    time.sleep(0.005)
with open(sys.argv[2] + ".part", "w") as f:
    print(f"{time.time() - start:.2f}", *seen, len(told), *sorted(states - set("RSDZ")), file=f)
os.rename(sys.argv[2] + ".part", sys.argv[2])
END2
# slow NAME MS [cut]: starts it in the background; $T/NAME then holds how long it took, what waitpid() said, how many SIGCHLD
slow() {
	cp "$T/slow.program" "$T/$1.slow"
	SPANTAP_TEST_HOLD_FILE=.slow SPANTAP_TEST_HOLD_MS=$2 "$SPANTAP-hooks" run --store "$T/$1.store" -o "$T/$1.tree" \
		-- "$PY" "$T/parent.py" "$T/$1.slow" "$T/$1" ${3:-} >"$T/$1.out" 2>"$T/$1.err" &
	probe=$!
	started+=($probe)
	for _ in $(seq 400); do
		[ ! -e "$T/$1.waits" ] || break
		sleep 0.02
	done
	[ -e "$T/$1.waits" ] && [ ! -e "$T/$1" ] || fail "$1: nothing waits: $(cat "$T/$1" "$T/$1.err")"
}
# goes_on NAME SECONDS: it has gone on, waited for SECONDS at most, and its parent was told of one thing: that it ended.
goes_on() {
	for _ in $(seq 400); do
		[ ! -e "$T/$1" ] || break
		sleep 0.02
	done
	[ -e "$T/$1" ] || fail "$1: it waits for ever"
	"$PY" - "$2" $(cat "$T/$1") <<'END2' || fail "$1: $(cat "$T/$1")"
import sys
most, took, status, told, *states = sys.argv[1:]
assert float(took) <= float(most) and status in ("0", "15") and told == "1" and not states
END2
	echo "FIGURE $1: went on after $(cut -d' ' -f1 "$T/$1") s"
}
gate() { pgrep -P $probe -x 'spantap gate'; }

slow unnoticed 1500
wait $probe || fail "unnoticed: $(cat "$T/unnoticed.err")"
goes_on unnoticed 8
slow overdue 6000
goes_on overdue 5.5
slow terminated 6000 cut
goes_on terminated 2.5
grep -q ' 15 1$' "$T/terminated" || fail "terminated: $(cat "$T/terminated")"
slow probe_stopped 6000
kill -STOP $probe
goes_on probe_stopped 5.5
kill -CONT $probe
slow probe_killed 6000
kill -KILL $probe
goes_on probe_killed 2.5
slow gate_killed 2000
kill -KILL "$(gate)"
goes_on gate_killed 2.5
wait $probe || fail "gate_killed: $(cat "$T/gate_killed.err")"
grep -q 'the gate has ended' "$T/gate_killed.err" || fail "nobody said that the gate has ended"
slow gate_stopped 1500
kill -STOP "$(gate)"
goes_on gate_stopped 3.5
wait $probe || fail "gate_stopped: $(cat "$T/gate_stopped.err")"

# A shell with job control does not believe that its job was stopped.
cp "$T/slow.program" "$T/job.slow"
SPANTAP_TEST_HOLD_FILE=.slow SPANTAP_TEST_HOLD_MS=700 "$SPANTAP-hooks" run --store "$T/job.store" -o "$T/job.tree" \
	-- bash -c 'set -m; "$0" 0.1; echo "ended with $?"; jobs' "$T/job.slow" >"$T/job.out" 2>&1 || fail "job: $(cat "$T/job.out")"
is "job control" "ended with 0" "$(cat "$T/job.out")"

# CMD's mounts are others' too, and theirs CMD's.
mkdir "$T/mounted"
"$SPANTAP" run --store "$T/mount.store" -o "$T/mount.tree" -- mount -t tmpfs none "$T/mounted"
mountpoint -q "$T/mounted" || fail "what CMD mounts is hidden"
umount "$T/mounted"
