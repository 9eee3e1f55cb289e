#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The price table comes from its package, and prices every model as the package's own calcPrice() does.
. "$(dirname "$0")/lib.sh"

node=${NODE22:-$(command -v node || :)}
[ -n "$node" ] && command -v npm >/dev/null || skip "SKIP: needs node and npm; the prices were not compared with their source"
"$node" tools/prices --oracle "$T/oracle" 2>"$T/err" ||
	skip "SKIP: the prices were not compared with their source: $(tail -n 1 "$T/err")"
"$node" tools/prices --check || fail "the table is not what its package gives"
[ -x build/unit/test_price ] || make build/unit/test_price >"$T/make" 2>&1 || fail "make: $(cat "$T/make")"
SPANTAP_PRICE_ORACLE=$T/oracle build/unit/test_price 2>&1 | tee "$T/out" | grep -v '^\[' || :
grep -q 'FAILED' "$T/out" && fail "prices differ: $(grep differs "$T/out")"
is "states in the oracle" "bad_usage no_model no_rate" \
	"$(cut -f9 "$T/oracle" | grep -v '^[0-9]' | sort -u | paste -sd' ')"
