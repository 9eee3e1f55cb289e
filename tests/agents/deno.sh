#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Deno: rustls over aws-lc, of which no function is known that data passes through. It is not disturbed, and it is said
# that nothing was seen.
. "$(dirname "$0")/lib.sh"

deno=$AGENTS/@deno/linux-x64-glibc/deno
[ -x "$deno" ] || skip "no Deno for this machine"

provider --reply shell_twice
mkdir -p "$T/home" "$T/work"
deno=(env -i -C "$T/work" HOME="$T/home" PATH=/usr/bin:/bin DENO_CERT="$CA_FILE" DENO_NO_UPDATE_CHECK=1 BASE_URL="$BASE_URL"
	CA_FILE="$CA_FILE" NODE_MODULES="$NODE_MODULES" STREAM=1 PROMPT='What machine is this?'
	"$deno" run --quiet --allow-all --no-config "$PWD/tests/fixtures/client_openai.mjs")
"${deno[@]}" </dev/null >"$T/deno.plain" 2>"$T/deno.plain.err" || fail "deno: $(cat "$T/deno.plain.err")"
[ -s "$T/deno.plain" ] || fail "deno said nothing"
mark
traced deno "${deno[@]}" </dev/null
is "exit code" 0 "$STATUS"
same "stdout differs when traced" "$T/deno.plain" "$T/deno.out"
exchanges 3 deno
check deno 'not chats' 'len(truth) == 3'
grep -q 'TLS on the wire, but no plaintext was seen' "$T/deno.err" || fail "nobody said so: $(cat "$T/deno.err")"
row deno "$(version @deno/linux-x64-glibc)" /bin/true
