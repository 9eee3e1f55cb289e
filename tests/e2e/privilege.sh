#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Least privilege: run and record work with exactly the capabilities that the
# README lists, as root and as an ordinary user; without one of them doctor
# says which and what for, and spantap refuses, or does without.
. "$(dirname "$0")/lib.sh"

"$SPANTAP" doctor >"$T/here" || fail "$(cat "$T/here")"
grep -q 'ok *uprobe.multi' "$T/here" || skip "without uprobe.multi CAP_SYS_ADMIN is needed"
NEEDED=(bpf perfmon sys_ptrace dac_read_search setuid setgid)
MORE=(checkpoint_restore)

provider
chmod 755 "$T/p0"
cp "$SPANTAP" "$T/spantap"
cp tests/e2e/calls.py "$T"
CALL=("$PY" "$T/calls.py" --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1)

# list CAPABILITY...: "+bpf,+perfmon"
list() { local IFS=,; echo "${*/#/+}"; }
# with CAPABILITY... -- COMMAND...: as root with only these
with() {
	local caps=()
	while [ "$1" != -- ]; do caps+=("$1"); shift; done
	shift
	setpriv --bounding-set=-all,"$(list "${caps[@]}")" --inh-caps=-all "$@"
}

# Exactly these: run, for CMD of another user too, and record, of a process whose library was deleted.
# wrapper NAME CAPABILITY...: a program that is spantap with only these
wrapper() {
	printf '#!/bin/sh\nexec setpriv --bounding-set=-all,%s --inh-caps=-all "%s" "$@"\n' "$(list "${@:2}")" "$T/spantap" >"$T/$1"
	chmod 755 "$T/$1"
}
wrapper least "${NEEDED[@]}" "${MORE[@]}"
SPANTAP=$T/least
mark
traced least "${CALL[@]}"
is "least: exit code" 0 "$STATUS" || fail "$(cat "$T/least.err")"
exchanges 1 least
check least 'len(chats) == 1' 'matches_truth()' 'all_complete()'
mkdir "$T/nobody" && chown 65534:65534 "$T/nobody"
mark
status=0
"$SPANTAP" run --user nobody --store "$T/nobody/store" --otlp-file "$T/nobody/otlp" -o "$T/nobody/tree" -- \
	setsid "${CALL[@]}" >"$T/out" 2>"$T/err" || status=$?
is "nobody: exit code" 0 $status || fail "$(cat "$T/err")"
exchanges 1 nobody
cp "$T/nobody/otlp" "$T/nobody.otlp"
check nobody 'len(chats) == 1' 'matches_truth()' 'all_complete()'

SSL=$(ldconfig -p | sed -n 's/.*libssl\.so\.3 .*=> //p' | head -n 1)
# a client that has a libssl that was deleted
deleted() {
	mkdir "$T/$1.lib"
	cp "$SSL" "$T/$1.lib"
	gate "$1" env LD_LIBRARY_PATH="$T/$1.lib" "$PY" -c \
		'import ssl, runpy, sys; sys.stdin.readline(); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")' \
		"${CALL[@]:1}"
	sleep 0.5
	rm "$T/$1.lib/libssl.so.3"
}
mark
deleted record
recording record --pid $CLIENT
go record
recorded record
exchanges 1 record
check record 'len(chats) == 1' 'matches_truth()' 'all_complete()'

# One dropped at a time.
for drop in "${NEEDED[@]}"; do
	keep=()
	for c in "${NEEDED[@]}" "${MORE[@]}"; do [ "$c" = "$drop" ] || keep+=("$c"); done
	status=0
	with "${keep[@]}" -- "$T/spantap" doctor >"$T/doctor" 2>&1 || status=$?
	is "doctor without $drop: exit code" 1 $status
	grep -A 1 'FAIL privileges' "$T/doctor" | grep -qi "missing cap_$drop (to " || fail "doctor without $drop: $(cat "$T/doctor")"
	status=0
	with "${keep[@]}" -- "$T/spantap" run --store "$T/store" -- touch "$T/started" 2>"$T/err" || status=$?
	is "run without $drop: exit code" 125 $status
	[ ! -e "$T/started" ] || fail "run without $drop started CMD"
	grep -qi "cap_$drop" "$T/err" || fail "run without $drop: $(cat "$T/err")"
	! grep -i "cap_${keep[0]} " "$T/err" || fail "run without $drop misses more: $(cat "$T/err")"
	status=0
	with "${keep[@]}" -- "$T/spantap" record --store "$T/store" --pid $$ 2>"$T/err" || status=$?
	is "record without $drop: exit code" 1 $status
	grep -qi "cap_$drop" "$T/err" || fail "record without $drop: $(cat "$T/err")"
done

# Without CAP_CHECKPOINT_RESTORE what doctor says: deleted libraries are not found, all else works.
with "${NEEDED[@]}" -- "$T/spantap" doctor >"$T/doctor" || fail "doctor without checkpoint_restore: $(cat "$T/doctor")"
grep -q 'CAP_CHECKPOINT_RESTORE: libraries that were deleted' "$T/doctor" || fail "$(cat "$T/doctor")"
grep -q 'CAP_KILL: .*CAP_SYS_NICE: .*CAP_NET_ADMIN: ' "$T/doctor" || fail "$(cat "$T/doctor")"
wrapper fewer "${NEEDED[@]}"
SPANTAP=$T/fewer
mark
traced fewer "${CALL[@]}"
is "fewer: exit code" 0 "$STATUS"
exchanges 1 fewer
check fewer 'len(chats) == 1' 'matches_truth()' 'all_complete()'
deleted unseen
recording unseen --pid $CLIENT
go unseen
recorded unseen
grep -q 'TLS on the wire, but no plaintext was seen' "$T/unseen.err" || fail "nothing says that it was not seen: $(cat "$T/unseen.err")"

# An ordinary user, with ambient capabilities and with file capabilities; no other user is needed, nor its rights.
ambient=$(list bpf perfmon sys_ptrace dac_read_search checkpoint_restore)
user() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
mark
status=0
user --inh-caps=-all,"$ambient" --ambient-caps=-all,"$ambient" "$T/spantap" run --store "$T/nobody/ambient" \
	--otlp-file "$T/nobody/ambient.otlp" -o "$T/nobody/tree" -- "${CALL[@]}" >"$T/out" 2>"$T/err" || status=$?
is "ambient: exit code" 0 $status || fail "$(cat "$T/err")"
exchanges 1 ambient
cp "$T/nobody/ambient.otlp" "$T/ambient.otlp"
check ambient 'len(chats) == 1' 'matches_truth()' 'all_complete()'
user --inh-caps=-all,"$ambient" --ambient-caps=-all,"$ambient" "$T/spantap" doctor >"$T/doctor" || fail "$(cat "$T/doctor")"
grep -q 'CAP_SETUID: the parsers run as you, not as nobody' "$T/doctor" || fail "$(cat "$T/doctor")"
if setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,cap_checkpoint_restore,cap_setuid,cap_setgid+ep "$T/spantap" 2>/dev/null; then
	mark
	status=0
	user "$T/spantap" run --store "$T/nobody/file" --otlp-file "$T/nobody/file.otlp" -o "$T/nobody/tree" -- \
		"${CALL[@]}" >"$T/out" 2>"$T/err" || status=$?
	is "file capabilities: exit code" 0 $status || fail "$(cat "$T/err")"
	exchanges 1 file
	cp "$T/nobody/file.otlp" "$T/file.otlp"
	check file 'len(chats) == 1' 'matches_truth()' 'all_complete()'
else
	echo "SKIP no file capabilities in $T"
fi
