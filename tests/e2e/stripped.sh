#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# OpenSSL linked into a program and stripped: found by what its code refers to;
# and what becomes of it when the file is damaged.
. "$(dirname "$0")/lib.sh"

cc -O1 -o "$T/stripped" tests/fixtures/client_reuse.c -l:libssl.a -l:libcrypto.a -lpthread -ldl 2>/dev/null ||
	skip "no static libssl"
strip "$T/stripped"
provider
for how in reuse new; do
	mark
	traced "$how" "$T/stripped" "$how" 20
	is "$how: exit code" 0 "$STATUS"
	is "$how: calls" 20 "$(grep -c ' 200$' "$T/$how.out")"
	exchanges 20 "$how"
	check "$how" 'matches_truth()' 'all_complete()' 'len(chats) == 20' \
		'all(c.get("spantap.tls.library") == "openssl" for c in chats)'
done

# doctor says what was found, as the status does.
"$SPANTAP" doctor --exe "$T/stripped" >"$T/doctor"
grep -q 'found without symbols' "$T/doctor" && grep -q ssl_write_internal "$T/doctor" || fail "doctor: $(cat "$T/doctor")"

# Cut, and with damage in its texts, its code, its tables: refused, or as before; never an end by signal.
"$PY" - "$T/stripped" "$T" <<'END'
import random, sys
whole = open(sys.argv[1], "rb").read()
out = 0
def put(data):
    global out
    open(f"{sys.argv[2]}/damaged.{out}", "wb").write(data)
    out += 1
for share in (0.01, 0.1, 0.3, 0.5, 0.8, 0.99):
    put(whole[:int(len(whole) * share)])
put(whole.replace(b"ssl_read_internal", b"ssl_read_externa1"))
put(whole.replace(b"ssl_write_internal\0", b"ssl_read_internal\0\0"))
numbers = random.Random(1)
for n in range(24):
    data = bytearray(whole)
    for _ in range(20000):
        data[numbers.randrange(64 if n % 2 else 0, 4096 if n % 3 == 0 else len(data))] = numbers.randrange(256)
    put(bytes(data))
END
for f in "$T"/damaged.*; do
	status=0
	"$SPANTAP" doctor --exe "$f" >"$f.out" 2>&1 || status=$?
	[ $status -le 1 ] || fail "doctor on ${f##*/} ended with $status: $(cat "$f.out")"
done
grep -q 'not recognised\|no TLS library' "$T/damaged.6.out" || fail "found without its text: $(cat "$T/damaged.6.out")"
grep -q 'refused' "$T/damaged.7.out" || fail "two readers were not refused: $(cat "$T/damaged.7.out")"
