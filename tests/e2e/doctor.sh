#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Where spantap cannot work, doctor says what is missing, and run refuses before
# CMD starts, with the remedy.
. "$(dirname "$0")/lib.sh"

cp "$SPANTAP" "$T/spantap"
chmod 755 "$T/spantap"

"$SPANTAP" doctor >"$T/here" || fail "doctor fails here: $(cat "$T/here")"
grep -q 'spantap run works here' "$T/here" || fail "$(cat "$T/here")"
! grep -q FAIL "$T/here" || fail "$(cat "$T/here")"
grep -q "libssl" "$T/here" || fail "no TLS library: $(cat "$T/here")"

# what was found in one file, for people and for programs
for lib in /usr/lib/*/libssl.so.3; do
	"$SPANTAP" doctor --exe "$lib" >"$T/exe" || fail "doctor --exe $lib: $(cat "$T/exe")"
	grep -q 'OpenSSL 3' "$T/exe" || fail "no version: $(cat "$T/exe")"
	grep -q 'returns ' "$T/exe" || fail "no return sites: $(cat "$T/exe")"
	"$SPANTAP" doctor --exe "$lib" --json >"$T/json" || fail "doctor --exe --json"
	python3 - "$T/json" <<-'END' || fail "$(cat "$T/json")"
		import json, sys
		o = json.load(open(sys.argv[1]))
		names = [f["name"] for f in o["functions"]]
		assert o["library"] == "OpenSSL" and o["version"].startswith("3") and o["error"] is None, o
		assert "SSL_free" in names and any(n.startswith("SSL_read") for n in names), names
		assert all(f["offset"] > 0 for f in o["functions"])
	END
done
status=0
"$SPANTAP" doctor --exe /bin/true >"$T/exe" || status=$?
is "doctor --exe of a program without TLS" 1 "$status"
grep -q 'no TLS library' "$T/exe" || fail "$(cat "$T/exe")"
status=0
"$SPANTAP" doctor --exe /nonexistent >"$T/exe" || status=$?
is "doctor --exe of no file" 1 "$status"
grep -q 'No such file' "$T/exe" || fail "$(cat "$T/exe")"

# refused NAME WORDS WRAPPER...: doctor and run under WRAPPER fail and say WORDS
refused() {
	local name=$1 words=$2 status=0
	shift 2
	"$@" "$T/spantap" doctor >"$T/$name" 2>&1 || status=$?
	is "$name: exit code of doctor" 1 "$status"
	grep -A 1 FAIL "$T/$name" | grep -q "$words" || fail "$name: doctor does not say '$words': $(cat "$T/$name")"
	status=0
	"$@" "$T/spantap" run --store "$T/store" -- touch "$T/started" >"$T/out" 2>"$T/err" || status=$?
	is "$name: exit code of run" 125 "$status"
	[ ! -e "$T/started" ] || fail "$name: CMD was started"
	[ ! -s "$T/out" ] || fail "$name: run wrote to stdout"
	grep -q "$words" "$T/err" || fail "$name: run does not say '$words': $(cat "$T/err")"
}

refused unprivileged 'CAP_BPF.*CAP_PERFMON' setpriv --reuid=65534 --regid=65534 --clear-groups
grep -q 'sudo spantap run' "$T/err" || fail "no remedy: $(cat "$T/err")"
refused one_missing CAP_SETUID setpriv --bounding-set=-setuid --inh-caps=-setuid
! grep -q CAP_BPF "$T/err" || fail "a capability is missed that is there: $(cat "$T/err")"

if unshare -m true 2>/dev/null; then
	cat >"$T/hide_btf" <<-'END'
		mount -t tmpfs none /sys/kernel/btf && exec "$@"
	END
	refused no_btf BTF unshare -m sh "$T/hide_btf"
else
	echo "SKIP no mount namespaces here"
fi
