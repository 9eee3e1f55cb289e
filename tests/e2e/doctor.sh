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
