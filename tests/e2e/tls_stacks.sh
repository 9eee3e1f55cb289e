#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The other TLS libraries: NSS (Debian's tstclnt), mbed TLS and wolfSSL (of which Debian ships no client: ours), and
# two libraries in one process.  What doctor says of each, and of what cannot be captured.
. "$(dirname "$0")/lib.sh"

provider
export F=$PWD/tests/fixtures PY PORT=${BASE_URL##*:}
body='{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi [[script:long]]"}]}'
printf 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%s\r\nContent-Type: application/json\r\nAuthorization: Bearer sk-test-0\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' \
	"$PORT" "${#body}" "$body" >"$T/request"

# one NAME EXCHANGES LIBRARIES CMD...: prints the same when traced, and the spans equal the truth.
one() {
	local name=$1 n=$2 libraries=$3
	shift 3
	"$@" <"$T/request" >"$T/$name.plain" 2>"$T/$name.plain.err" || fail "$name: $(cat "$T/$name.plain.err")"
	sleep 0.1
	mark
	traced "$name" "$@" <"$T/request"
	is "$name: exit code" 0 "$STATUS"
	sed -Ei 's/(chatcmpl-|fp_)[0-9A-Za-z]+/ID/g; s/"created":[ 0-9]+//g; s/^([Rr]equest-id|[Xx]-request-id|[Dd]ate|[Oo]penai-[a-z-]+|[Xx]-[a-z-]+):.*//' "$T/$name.plain" "$T/$name.out"
	same "$name: differs when traced" "$T/$name.plain" "$T/$name.out"
	grep -q 'nothing lost' "$T/$name.tree" || fail "$name: loss: $(tail -n 3 "$T/$name.tree")"
	exchanges "$n" "$name"
	check "$name" 'matches_truth()' 'times_match()' 'in_shape()' 'all_complete()' \
		"sorted(c.get('spantap.tls.library') for c in chats) == $libraries" \
		'not any(c.get("spantap.tls.joined_late") for c in chats)'
}

# built NAME LIBRARY...: the client of that name, if it can be built here.
built() {
	local name=$1
	shift
	gcc -o "$T/$name" "tests/fixtures/$name.c" "$@" 2>/dev/null || {
		echo "SKIP $name: its library is not installed (tools/setup.sh --tests)"
		return 1
	}
}

# doctored PATTERN TEXT: doctor says TEXT of the library that the pattern names.
doctored() {
	local file
	for file in /usr/lib/*/$1; do
		[ -e "$file" ] || continue
		"$SPANTAP" doctor --exe "$file" >"$T/doctor" || fail "doctor: $(cat "$T/doctor")"
		grep -q "$2" "$T/doctor" || fail "doctor: no '$2': $(cat "$T/doctor")"
		"$SPANTAP" doctor | grep -A1 -F "$(realpath "$file")" | grep -Eq '(fast|slow) site' || fail "doctor: $("$SPANTAP" doctor)"
	done
}

if command -v tstclnt certutil >/dev/null; then
	mkdir "$T/nss"
	certutil -N -d "sql:$T/nss" --empty-password
	one nss 1 '["nss"]' tstclnt -4 -h localhost -p "$PORT" -d "sql:$T/nss" -o
else
	echo "SKIP tstclnt is not installed (tools/setup.sh --tests)"
fi
if built client_mbedtls -lmbedtls -lmbedx509 -lmbedcrypto; then
	one mbedtls 1 '["mbedtls"]' "$T/client_mbedtls" localhost "$PORT" "$CA_FILE"
fi
if built client_wolfssl -lwolfssl; then
	one wolfssl 1 '["wolfssl"]' "$T/client_wolfssl" localhost "$PORT" "$CA_FILE"
fi
doctored libssl3.so 'NSS 3\.'
doctored 'libgnutls.so.30' 'GnuTLS 3\.'
doctored 'libmbedtls.so.??' 'mbed TLS'
doctored 'libwolfssl.so.??' 'wolfSSL'

# Two libraries in one process, the second loaded late, their calls in between each other.
if "$PY" -c 'import ctypes; ctypes.CDLL("libgnutls.so.30")' 2>/dev/null; then
	BOTH=1 PROMPT='[[script:long]]' one both 4 '["gnutls", "openssl", "openssl", "openssl"]' "$PY" "$F/client_gnutls.py" cork
else
	echo "SKIP GnuTLS is not installed"
fi
