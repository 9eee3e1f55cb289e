#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# Files as they come: a program deleted after its start, a library loaded two
# seconds later, replaced while it is in use, in another mount and pid namespace,
# of a setuid child; and probes that are taken off when nobody maps the file.
. "$(dirname "$0")/lib.sh"

provider
SSL=$(ldconfig -p | sed -n 's/.*libssl\.so\.3 .*=> //p' | head -n 1)
CRYPTO=$(ldconfig -p | sed -n 's/.*libcrypto\.so\.3 .*=> //p' | head -n 1)
[ -e "$SSL" ] || skip "no libssl.so.3 here"
# A file that nobody mapped before gets its probes within a grace period of the kernel, 5 to 20 ms here (see
# README.md): the clients take longer between loading their library and using it.
# A client that waits for a line, then calls; it finds its libssl at run time. curl is linked with its own.
CALLS=(tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --settle-ms 150)
SOURCE='import runpy, sys; sys.stdin.readline(); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")'
WAIT=("$PY" -c "$SOURCE")
EARLY=("$PY" -c "import ssl; $SOURCE") # has its library before
ONE=('len(chats) == 1' 'matches_truth()' 'all_complete()')

# found NAME CMD...: a process that waits is recorded, then goes
found() {
	local name=$1
	shift
	mark
	gate "$name" "$@"
	sleep 0.5
	[ -z "${MEANWHILE:-}" ] || "$MEANWHILE"
	recording "$name" --verbose --pid $CLIENT
	[ -z "${AFTER:-}" ] || "$AFTER"
	go "$name"
	recorded "$name"
	exchanges 1 "$name"
	check "$name" "${ONE[@]}"
}

# The program was deleted after its start.
python=$(readlink -f "$(command -v "$PY")")
cp "$python" "$T/doomed"
remove_program() { rm "$T/doomed"; }
MEANWHILE=remove_program found deleted "$T/doomed" -c "$SOURCE" "${CALLS[@]}"

# Its library too: what is mapped has no name any more, and a new file has its name.
mkdir "$T/lib"
cp "$SSL" "$CRYPTO" "$T/lib"
replace_library() {
	cp "$SSL" "$T/lib/new" && mv "$T/lib/new" "$T/lib/libssl.so.3"
	LD_LIBRARY_PATH=$T/lib "$PY" -c 'import ssl' # others use the new one
}
MEANWHILE=replace_library found deleted_library env LD_LIBRARY_PATH="$T/lib" "${EARLY[@]}" "${CALLS[@]}"

# The library is replaced while the process runs that is recorded: its child uses the new file.
mark
gate replaced env LD_LIBRARY_PATH="$T/lib" bash -c 'read -r _; "$@" --prompt old </dev/null; read -r _; "$@" --prompt new </dev/null; exit $?' x "$PY" "${CALLS[@]}"
recording replaced --verbose --pid $CLIENT
echo >&9
exchanges 1 old
replace_library
go replaced
recorded replaced
exchanges 2 replaced
check replaced 'len(chats) == 2' 'matches_truth()'

# Loaded two seconds after the start, under run and under record.
DLOPEN=("$PY" -c "import runpy, sys, time; time.sleep(2); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')")
mark
LD_LIBRARY_PATH=$T/lib traced dlopen "${DLOPEN[@]}" "${CALLS[@]}"
is "dlopen: exit code" 0 "$STATUS"
exchanges 1 dlopen
check dlopen "${ONE[@]}"
mark
gate dlopen_found "$PY" -c "import runpy, sys; sys.stdin.readline(); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')" \
	"${CALLS[@]}"
recording dlopen_found --pid $CLIENT
go dlopen_found
recorded dlopen_found
exchanges 1 dlopen_found
check dlopen_found "${ONE[@]}" 'not any(c.get("spantap.tls.joined_late") for c in chats)'

# A setuid child: it executes as root what an ordinary user started, and has a library that only root may read.
cp "$python" "$T/setuid" && chmod 4755 "$T/setuid"
mkdir -m 700 "$T/private"
cp "$SSL" "$CRYPTO" "$T/private"
LOAD="import ctypes, os; os.setuid(0); ctypes.CDLL('$T/private/libcrypto.so.3', ctypes.RTLD_GLOBAL); ctypes.CDLL('$T/private/libssl.so.3', ctypes.RTLD_GLOBAL)"
chmod 755 "$T/p0"
if setpriv --reuid=65534 --regid=65534 --clear-groups "$T/setuid" -c "$LOAD" 2>"$T/err"; then
	mark
	traced setuid setpriv --reuid=65534 --regid=65534 --clear-groups bash -c '"$@" </dev/null; exit $?' x "$T/setuid" -c "$LOAD; $SOURCE" "${CALLS[@]}"
	is "setuid: exit code" 0 "$STATUS" || fail "$(cat "$T/setuid.err")"
	exchanges 1 setuid
	check setuid "${ONE[@]}"
	mark
	gate setuid_found setpriv --reuid=65534 --regid=65534 --clear-groups bash -c 'read -r _; "$@" </dev/null; exit $?' x "$T/setuid" -c "$LOAD; $SOURCE" "${CALLS[@]}"
	recording setuid_found --pid $CLIENT
	go setuid_found
	recorded setuid_found
	exchanges 1 setuid_found
	check setuid_found "${ONE[@]}"
else
	echo "SKIP setuid programs do not work in $T: $(tail -n 1 "$T/err")"
fi

# In its own mount and pid namespace, with a libssl that only its mount namespace has.
if unshare -m -pf --mount-proc true 2>/dev/null; then
	cat >"$T/contained" <<-END
		mkdir "$T/inside" && mount -t tmpfs none "$T/inside" && cp "$SSL" "$CRYPTO" "$T/inside" || exit 9
		LD_LIBRARY_PATH=$T/inside exec "\$@"
	END
	found namespaces unshare -m -pf --mount-proc bash "$T/contained" "${EARLY[@]}" "${CALLS[@]}"
	rmdir "$T/inside"
	mark
	traced namespaces_run unshare -m -pf --mount-proc bash "$T/contained" "$PY" "${CALLS[@]}"
	is "namespaces_run: exit code" 0 "$STATUS"
	exchanges 1 namespaces_run
	check namespaces_run "${ONE[@]}"
else
	echo "SKIP no mount namespaces here"
fi

# Nobody maps the library any more: its original instructions come back, and the next process gets the probes again.
hooks=build/spantap-hooks
if [ -x $hooks ]; then
	LD_LIBRARY_PATH=$T/lib "$PY" -c 'import ssl, time; time.sleep(30)' & # not followed: shows what is in the file
	bystander=$!
	started+=($bystander)
	mark
	gate released env LD_LIBRARY_PATH="$T/lib" bash -c 'read -r _; "$@" </dev/null; read -r _; "$@" </dev/null; exit $?' x "$PY" "${CALLS[@]}"
	SPANTAP=$hooks RECORD_UNDER=(env SPANTAP_TEST_RELEASE_MS=1000)
	recording released --pid $CLIENT --verbose
	echo >&9
	exchanges 1 first
	"$PY" tests/e2e/breakpoints.py $bystander libssl.so >"$T/on"
	for _ in $(seq 100); do
		grep -q 'released .*/lib/libssl.so.3' "$T/released.err" && break
		sleep 0.1
	done
	grep -q 'released .*/lib/libssl.so.3' "$T/released.err" || fail "not released: $(cat "$T/released.err")"
	"$PY" tests/e2e/breakpoints.py $bystander libssl.so >"$T/off"
	[ ! -s "$T/off" ] || fail "breakpoints are left: $(cat "$T/off")"
	go released
	recorded released
	exchanges 2 released
	check released 'len(chats) == 2' 'matches_truth()'
	[ "$(grep -c 'attached to .*/lib/libssl.so.3' "$T/released.err")" = 2 ] || fail "$(cat "$T/released.err")"
	is "released: audit events" "attach detach attach" "$("$PY" - "$T/released.store/spantap.db" "$T/lib/libssl.so.3" <<'END'
import json, sqlite3, sys
events = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True).execute("SELECT kind, detail FROM audit_event ORDER BY seq")
print(*(kind for kind, detail in events if json.loads(detail).get("path") == sys.argv[2]))
END
	)"
	echo "FIGURE $(wc -l <"$T/on") breakpoints while it was mapped, none after its release"
else
	echo "SKIP build/spantap-hooks is not there"
fi
