#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A credential of its own in each place where one can stand, and a search for
# all of them in everything that spantap writes, at every content level. The
# positive control: a harmless word in the prompt is found at full, and not at
# none and shape. spantap never traces itself.
. "$(dirname "$0")/lib.sh"

level_run() { # LEVEL [OPTION...]
	local level=$1
	shift
	"$SPANTAP" run --content "$level" --store "$T/$level" --otlp-file "$T/$level.otlp" "$@" -- \
		"$PY" tests/e2e/leaky.py --base-url "$BASE_URL" --ca "$CA_FILE" --canaries "$T/canaries" \
		--watch "$T/$level" --found "$T/$level.while" --api-key CANARYargvflag7Qx \
		>"$T/$level.out" 2>"$T/$level.err" || fail "$level: status $?: $(cat "$T/$level.err")"
}

views() { # LEVEL: everything that is shown, in $T/LEVEL.views
	local id ids
	"$SPANTAP" ls --store "$T/$1" --json -n 1000
	"$SPANTAP" ls --store "$T/$1" --tsv -n 1000
	"$SPANTAP" ls --store "$T/$1" -n 1000
	ids=$("$SPANTAP" ls --store "$T/$1" --tsv -n 1000 | cut -f1)
	for id in $ids; do
		"$SPANTAP" show --store "$T/$1" "$id"
		"$SPANTAP" show --store "$T/$1" --json "$id"
		"$SPANTAP" show --store "$T/$1" --tsv "$id"
		"$SPANTAP" show --store "$T/$1" --call 1 "$id" || :
		"$SPANTAP" show --store "$T/$1" --call 1 --json "$id" || :
		"$SPANTAP" show --store "$T/$1" --call 1 --raw "$id" || :
	done
}

provider --reply single
leaks=0
for level in none shape redacted full; do
	if [ $level = full ]; then level_run full --record "$T/recording"; else level_run $level; fi
	views $level >"$T/$level.views" 2>&1
	"$PY" tests/e2e/blocks.py "$T/$level" >"$T/$level.blocks" || fail "$level: its blocks cannot be read"
	if [ -s "$T/$level.while" ]; then cat "$T/$level.while"; leaks=1; fi
	"$PY" - "$T/canaries" "$level" "$T/$level"/* "$T/$level.otlp" "$T/$level.err" "$T/$level.views" "$T/$level.blocks" <<'END' || leaks=1
import json, sys
canaries, level, bad = json.load(open(sys.argv[1])), sys.argv[2], 0
for path in sys.argv[3:]:
    data = open(path, "rb").read()
    for where, c in canaries["always"].items():
        if c.encode() in data:
            bad += 1
            at = data.index(c.encode())
            print(f"{level}: {where} ({c}) in {path.rsplit('/', 1)[-1]}: {data[max(0, at - 70):at + len(c) + 10]!r}")
    for where, c in canaries["shape"].items():
        if level != "full" and c.encode() in data:
            bad += 1
            print(f"{level}: shape of {where} in {path.rsplit('/', 1)[-1]}")
everything = b"".join(open(p, "rb").read() for p in sys.argv[3:])
seen = canaries["marker"].encode() in everything
if seen != (level in ("redacted", "full")):
    bad += 1
    print(f"{level}: the harmless word is {'' if seen else 'not '}found")
if level == "full":
    for where, c in canaries["shape"].items():
        if c.replace("\n", "\\n").encode() not in everything:
            bad += 1
            print(f"full: the text with the shape of {where} was not kept")
if level == "redacted" and b"[masked:" not in everything:
    bad += 1
    print("nothing is masked visibly")
print(f"{level}: {len(everything)} bytes searched for {len(canaries['always'])} canaries")
sys.exit(bad > 0)
END
done

[ $leaks = 0 ] || fail "credentials leak"

# The recording is the exception, is readable by its owner only, and needs --content full.
grep -q CANARY "$T/recording" || fail "the recording holds no raw traffic"
[ "$(stat -c %a "$T/recording")" = 600 ] || fail "mode of the recording"
for f in "$T/full"/* "$T/full.otlp"; do
	[ "$(stat -c %a "$f")" = 600 ] || fail "mode of $f: $(stat -c %a "$f")"
done
status=0
"$SPANTAP" run --record "$T/r2" --store "$T/none" -- true >/dev/null 2>"$T/err" || status=$?
[ $status = 125 ] && [ ! -e "$T/r2" ] && grep -q -- '--content full' "$T/err" || fail "--record without --content full"

# Addresses and card numbers, when asked for.
for redact in "" email card email,card; do
	name=personal$redact
	"$SPANTAP" run ${redact:+--redact $redact} --store "$T/$name" --otlp-file "$T/$name.otlp" -- \
		"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 \
		--prompt 'ask bob@example.com, card 4111 1111 1111 1111' >/dev/null 2>"$T/err" || fail "status $?: $(cat "$T/err")"
	for word in 'bob@example.com email' '4111 1111 1111 1111 card'; do
		found=0 wanted=2
		! grep -q "${word% *}" "$T/$name.otlp" || found=1
		! grep -q "${word% *}" "$T/$name"/* || found=$((found + 1))
		case $redact in *${word##* }*) wanted=0 ;; esac
		[ $found = $wanted ] || fail "--redact '$redact': '${word% *}' in $found of two places"
	done
done
status=0
"$SPANTAP" run --redact phone -- true >/dev/null 2>"$T/err" || status=$?
[ $status = 125 ] && grep -q "not 'phone'" "$T/err" || fail "--redact phone: $status $(cat "$T/err")"
status=0
"$SPANTAP" run --redact email --content full -- true >/dev/null 2>"$T/err" || status=$?
[ $status = 125 ] && grep -q 'at --content redacted' "$T/err" || fail "--redact with full: $status $(cat "$T/err")"

# What stands in CMD's arguments is content too: its name alone is kept below redacted.
for level in none shape redacted; do
	"$SPANTAP" run --content $level --store "$T/argv$level" --otlp-file "$T/argv$level.otlp" -- \
		"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --prompt 'the word is MARKERargv' \
		>/dev/null 2>"$T/err" || fail "status $?"
	found=no
	if grep -q MARKERargv "$T/argv$level"/* "$T/argv$level.otlp" "$T/err"; then found=yes; fi
	[ $level$found = noneno ] || [ $level$found = shapeno ] || [ $level$found = redactedyes ] || fail "$level: argv is kept: $found"
done

# A lower level for the file than for the store.
"$SPANTAP" run --content full --otlp-content none --store "$T/mixed" --otlp-file "$T/mixed.otlp" -- \
	"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --prompt 'the word is MARKERmixed' \
	>/dev/null 2>"$T/err" || fail "status $?"
"$PY" tests/e2e/blocks.py "$T/mixed" >"$T/mixed.blocks"
grep -q MARKERmixed "$T/mixed"/* "$T/mixed.blocks" || fail "the word is not in the store"
if grep -q MARKERmixed "$T/mixed.otlp"; then fail "--otlp-content none: the word is in the file"; fi

# spantap traces none of its own processes, not even when it is CMD.
OPTS="" traced self bash -c "sleep 0.3; '$SPANTAP' ls --store '$T/full' >/dev/null; exec '$SPANTAP' --version"
[ "$STATUS" = 0 ] && grep -q '^spantap ' "$T/self.out" || fail "tracing spantap: $STATUS $(cat "$T/self.err")"
TRUTH='' check self 'not [s for s in spans if "--role" in argv(s)]' 'len(spans) < 10' 'not chats'
OPTS="" traced nested "$SPANTAP" run --store "$T/inner" -o /dev/null -- \
	"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --prompt nested
[ "$STATUS" = 0 ] || fail "spantap in spantap: status $STATUS: $(cat "$T/nested.err")"
TRUTH='' check nested 'len(chats) == 1'
