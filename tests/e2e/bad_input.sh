#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What users, files, programs and servers get wrong: a clear word and the right
# exit status each time, CMD undisturbed, and nothing from traffic reaches the
# terminal as a control sequence.
. "$(dirname "$0")/lib.sh"

failures=0
# refuses STATUS WORDS ARGUMENT...: spantap ARGUMENT... ends with STATUS and says WORDS (a pattern) on stderr.
refuses() {
	local want=$1 words=$2 status=0
	shift 2
	timeout 20 "$SPANTAP" "$@" >"$T/out" 2>"$T/err" </dev/null || status=$?
	if [ $status != "$want" ] || ! grep -qE -- "$words" "$T/err"; then
		echo "spantap $*: status $status, not $want ($words): $(cat "$T/err")"
		failures=$((failures + 1))
	fi
}
S="--store $T/store -o $T/tree"

refuses 2 'usage: spantap'
refuses 2 "unknown command 'traec'.*--help" traec
refuses 2 "unknown option '--nope'.*ls --help" ls --nope
refuses 1 "no store|cannot open" ls --store "$T/nothing"
refuses 125 "unknown option '--nope'.*run --help" run --nope -- touch "$T/started"
refuses 125 "no CMD" run
refuses 125 "no CMD" run --
refuses 125 "'loud' is no content level" run --content loud -- touch "$T/started"
refuses 125 "otlp-content full is above --content shape" run --content shape --otlp-content full -- touch "$T/started"
refuses 125 "needs an argument" run --store
refuses 125 "no user 'nobody-such'" run --user nobody-such -- touch "$T/started"
refuses 127 "cannot execute 'no-such-cmd'" run $S -- no-such-cmd
refuses 127 "cannot execute '$T/no/such'" run $S -- "$T/no/such"
echo 'exit 0' >"$T/plain"
refuses 126 "cannot execute '$T/plain'" run $S -- "$T/plain"
refuses 126 "cannot execute '$T'" run $S -- "$T"
printf 'no program' >"$T/text" && chmod +x "$T/text"
printf '#!/no/interpreter\n' >"$T/shebang" && chmod +x "$T/shebang"
refuses 127 "cannot execute '$T/shebang'" run $S -- "$T/shebang"
touch "$T/file"
refuses 125 "$T/file" run --store "$T/file" -- touch "$T/started"
refuses 125 "/proc/nowhere" run --store /proc/nowhere -- touch "$T/started"
refuses 125 "cannot open OTLP file '$T/no/x.otlp'" run $S --otlp-file "$T/no/x.otlp" -- touch "$T/started"
refuses 125 "cannot open '$T/no/tree'" run --store "$T/store" -o "$T/no/tree" -- touch "$T/started"
refuses 125 "content full" run $S --record "$T/rec" -- touch "$T/started"
refuses 125 "it exists" run $S --content full --record "$T/file" -- touch "$T/started"
mkdir "$T/foreign" && echo "this is no database at all, it only has the name of one" >"$T/foreign/spantap.db"
refuses 125 "$T/foreign" run --store "$T/foreign" -- touch "$T/started"
[ ! -e "$T/started" ] || fail "CMD was started although spantap failed"

# A second writer is refused, with the pid of the first.
"$SPANTAP" run $S -- bash -c "touch '$T/up'; sleep 20" 2>/dev/null &
first=$!
started+=($first)
for _ in $(seq 100); do [ -e "$T/up" ] && break; sleep 0.05; done
status=0
"$SPANTAP" run --store "$T/store" -o "$T/tree2" -- touch "$T/started" 2>"$T/err" || status=$?
holder=$(grep -oE 'pid [0-9]+|process [0-9]+' "$T/err" | grep -oE '[0-9]+' || :)
[ $status = 125 ] && [ ! -e "$T/started" ] && [ -n "$holder" ] || fail "second writer: $status $(cat "$T/err")"
[ "$holder" = $first ] || pgrep -P $first | grep -qx "$holder" || fail "pid $holder is none of the first's ($first)"
kill $first && wait $first 2>/dev/null || :

# How CMD ends is how spantap ends.
for signal in KILL SEGV TERM; do
	traced died bash -c "kill -$signal \$\$"
	[ "$STATUS" = $((128 + $(kill -l $signal))) ] || fail "CMD died of SIG$signal: $STATUS"
done
traced code bash -c 'exit 42'
[ "$STATUS" = 42 ] || fail "exit code 42: $STATUS"
[ ! -s "$T/code.out" ] && grep -q 'no LLM call was seen' "$T/code.tree" || fail "no word: $(cat "$T/code.tree")"
traced notls bash -c 'echo out; echo err >&2; cat'  </dev/null
[ "$STATUS" = 0 ] && [ "$(cat "$T/notls.out")" = out ] && grep -qx err "$T/notls.err" || fail "output of CMD"
grep -q 'TLS library' "$T/notls.tree" || fail "no word of TLS: $(cat "$T/notls.tree")"

# Servers that answer nonsense.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
	-keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
cat "$T/key.pem" "$T/cert.pem" >"$T/own.pem"
"$PY" tests/e2e/garbage.py "$T/own.pem" >"$T/untraced"
traced garbage "$PY" tests/e2e/garbage.py "$T/own.pem"
[ "$STATUS" = 0 ] && cmp "$T/garbage.out" "$T/untraced" || fail "garbage: $STATUS: $(cat "$T/garbage.err")"
if grep -v ' True$' "$T/untraced"; then fail "the client did not get everything"; fi
if grep -q 'decode crashed\|sink crashed' "$T/garbage.err"; then fail "a process of spantap crashed"; fi
cases=$(wc -l <"$T/untraced")

# No control sequence in anything that is for people (JSON is, on a terminal).
on_terminal() { NO_COLOR=1 script -qec "'$SPANTAP' $* --store '$T/garbage.store'" /dev/null </dev/null | tr -d '\r'; }
{
	cat "$T/garbage.tree" "$T/garbage.err"
	"$SPANTAP" ls --store "$T/garbage.store" -n 100
	"$SPANTAP" ls --store "$T/garbage.store" --tsv -n 100
	for id in $("$SPANTAP" ls --store "$T/garbage.store" --tsv -n 100 | cut -f1); do
		"$SPANTAP" show --store "$T/garbage.store" "$id"
		"$SPANTAP" show --store "$T/garbage.store" --tsv "$id"
		"$SPANTAP" show --store "$T/garbage.store" --call 1 "$id" || :
		on_terminal show --json "$id"
	done
	on_terminal ls --json -n 100
} >"$T/shown" 2>&1
grep -q 'chatcmpl-evil' "$T/shown" || fail "the answer with escapes is not shown at all"
grep -q 'clip' "$T/shown" || fail "the text with escapes is not shown at all"
"$PY" - "$T/shown" <<'END' || fail "control characters in what is shown"
import sys, unicodedata
bad = {}
for number, line in enumerate(open(sys.argv[1], "rb").read().decode("utf-8", "strict").split("\n"), 1):
    for c in line:
        if c != "\t" and (unicodedata.category(c) == "Cc" or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"):
            bad.setdefault(f"{ord(c):#x}", (number, ascii(line)[:160]))
print(bad)
sys.exit(bool(bad))
END

# Arguments that are long, many, or no text.
cat >"$T/args.py" <<'END'
import subprocess, sys
for argv in ([b"x" * 120_000], [b"a"] * 9000, [b"two\nlines\r\x1b[31mred", b"\xff\xfe\x80", "\u202ebidi".encode(), b""]):
    subprocess.run([b"/bin/true"] + argv, check=True)
for _ in range(500):
    subprocess.run(["/bin/true"], check=True)
print("done")
END
traced args "$PY" "$T/args.py"
[ "$STATUS" = 0 ] && [ "$(cat "$T/args.out")" = done ] || fail "args: $STATUS: $(cat "$T/args.err")"
grep -q 'nothing lost' "$T/args.tree" || fail "args: $(tail -n 1 "$T/args.tree")"
if LC_ALL=C grep -q $'\x1b\|\xe2\x80\xae' "$T/args.tree"; then fail "an escape in the tree"; fi
TRUTH='' check args 'all_complete()'

# The same 500 processes as the tool of an agent.
cat >"$T/many.json" <<'END'
{"replies": [{"tool_calls": [{"name": "shell", "arguments": {"command": "for i in $(seq 500); do /bin/true; done; printf 'title \\033]0;owned\\007 \\342\\200\\256rtl'"}}]},
 {"text": "done \u001b[31m\u202e"}]}
END
provider --reply "$T/many.json"
traced many "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" --prompt go
[ "$STATUS" = 0 ] || fail "500 processes: $STATUS: $(cat "$T/many.err")"
check many 'matches_truth()' 'all_complete()' 'len([p for p in processes if argv(p)[:1] == ["/bin/true"]]) == 500' \
	'len(tools) == 1' 'len([p for p in tools[0].descendants() if argv(p)[:1] == ["/bin/true"]]) == 500'
if LC_ALL=C grep -q $'\x1b\|\xe2\x80\xae' "$T/many.tree"; then fail "an escape in the tree"; fi

[ $failures = 0 ] || fail "$failures messages or exit codes"
echo "FIGURE $cases kinds of garbage"
