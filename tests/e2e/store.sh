#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The store: what ls and show say of it, two runs into it, one writer at a time.
. "$(dirname "$0")/lib.sh"

provider
S=$T/store
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE")
spantap() { "$SPANTAP" "$@" --store "$S"; }

"$SPANTAP" run --store "$S" -o "$T/one.tree" -- "${agent[@]}" --prompt 'first words' >"$T/answer" || fail "run"
is "mode of the store" "700 600" "$(stat -c %a "$S" "$S/spantap.db" | paste -sd' ')"

spantap ls --json >"$T/ls.json"
spantap ls --tsv >"$T/ls.tsv"
id=$(cut -f1 "$T/ls.tsv")
is "lines of ls --tsv" 1 "$(wc -l <"$T/ls.tsv")"
is "columns of ls --tsv" 12 "$(awk -F'\t' '{print NF}' "$T/ls.tsv")"
is "turns, calls, tools, errors, tokens, state" "1 4 3 0 1988 123 ok first words" \
	"$(cut -f5-12 "$T/ls.tsv" | tr '\t' ' ')"
is "ls --json" "1 $id" "$("$PY" -c 'import json, sys
a = json.load(sys.stdin); print(len(a), a[0]["trace_id"])' <"$T/ls.json")"
spantap ls | grep -q 'first words' || fail "ls: $(spantap ls)"
is "widest line of ls" ok "$(spantap ls | "$PY" -c 'import sys
print(max([len(l.rstrip("\n")) for l in sys.stdin]) <= 80 and "ok")')"

# show prints the tree of the run, without its last lines, which are about the capture.
spantap show "${id:0:6}" >"$T/show"
grep -q 'tool shell: uname -s' "$T/show" || fail "show: $(cat "$T/show")"
same "show and the tree of run" <(grep '#\|tool\|\[' "$T/one.tree") <(grep '#\|tool\|\[' "$T/show")
spantap show "$id" --json | "$PY" -c 'import json, sys
s = json.load(sys.stdin)["spans"]
assert len({x["span_id"] for x in s}) == len(s) == 14, [x["name"] for x in s]' || fail "show --json"
is "lines of show --tsv" 14 "$(spantap show "$id" --tsv | wc -l)"
spantap show "$id" --call 4 >"$T/call"
for words in 'gpt-4o-mini' 'You are a careful assistant' 'read_file' 'lines: 2'; do
	grep -q "$words" "$T/call" || fail "show --call lacks '$words': $(cat "$T/call")"
done
for wrong in "ls --store $T/none" "show zzzz --store $S" "show $id --call 9 --store $S"; do
	! "$SPANTAP" $wrong >"$T/out" 2>"$T/err" || fail "$wrong: exit code 0"
	[ -s "$T/err" ] || fail "$wrong: no word"
done

# While a run is writing: readers read, a second writer is refused and told whose store it is.
mkfifo "$T/go"
"$SPANTAP" run --store "$S" -o "$T/two.tree" -- bash -c '"$@"; echo one; read x <"$0"' "$T/go" "${agent[@]}" \
	--prompt 'second words' >"$T/two.out" &
started+=($!)
two=$!
for _ in $(seq 200); do
	! grep -q '^one' "$T/two.out" || break
	sleep 0.05
done
for _ in $(seq 100); do
	[ "$(spantap ls --tsv 2>/dev/null | wc -l)" != 2 ] || break
	sleep 0.05
done
is "conversations while writing" 2 "$(spantap ls --tsv | wc -l)"
status=0
"$SPANTAP" run --store "$S" -- touch "$T/started" 2>"$T/err" || status=$?
is "exit code of a second writer" 125 "$status"
[ ! -e "$T/started" ] || fail "a second writer's CMD was started"
holder=$(grep -o 'process [0-9]*' "$T/err" | cut -d' ' -f2) || fail "no pid: $(cat "$T/err")"
grep -zq spantap "/proc/$holder/cmdline" || fail "process $holder is not the writer: $(cat "$T/err")"
echo >"$T/go"
wait "$two" || fail "the run that was read meanwhile"
started=("${started[0]}")
is "conversations of two runs" "ok second words,ok first words" "$(spantap ls --tsv | cut -f11,12 | tr '\t' ' ' | paste -sd,)"
for id in $(spantap ls --tsv | cut -f1); do
	is "spans of $id, each once" "14 14" \
		"$(spantap show "$id" --tsv | awk -F'\t' '{n++; id[$1]} END {print n, length(id)}')"
done

# Words, and where they were said first.
spantap search second --tsv | cut -f6 | grep -q 'second words' || fail "search: $(spantap search second --tsv)"
read -r trace call < <(spantap search '"second words"' --tsv | tail -n 1 | cut -f1,4)
spantap show "$trace" --call "$call" | grep -q 'second words' || fail "search: call $call of $trace"
spantap search SECOND words | grep -q "^${trace:0:8} .* #" || fail "search: $(spantap search SECOND words)"
is "search --json" "$trace" "$(spantap search second --json | "$PY" -c 'import json, sys
print(json.load(sys.stdin)[0]["trace_id"])')"
! spantap search unheardof >"$T/out" || fail "found what nobody said"
[ ! -s "$T/out" ] || fail "found what nobody said: $(cat "$T/out")"
! spantap search '"' 2>"$T/err" || fail "search for nothing"
[ -s "$T/err" ] || fail "search for nothing: no word"

# A limit that is too small for all: the oldest go, what was captured last stays, and the log says so.
"$SPANTAP" run --store "$S" -o "$T/three.tree" --retain-size 1K -- bash -c '"$@"; sleep 2' x "${agent[@]}" \
	--prompt 'third words' >"$T/answer" 2>"$T/err" || fail "run with a limit: $(cat "$T/err")"
is "conversations after it" "third words" "$(spantap ls --tsv | cut -f12)"
! spantap search second >"$T/out" || fail "found what was erased"
is "what the log says of it" "2 size" "$("$PY" -c 'import json, sqlite3, sys
rows = [json.loads(d) for d, in sqlite3.connect(sys.argv[1]).execute("select detail from audit_event where kind=\"retention\"")]
rows = [r for r in rows if r["spans"] > 10]
print(len(rows), *{r["reason"] for r in rows})' "$S/spantap.db")"
for wrong in "--retain-size 1x" "--retain-days -1"; do
	status=0
	"$SPANTAP" run --store "$S" $wrong -- touch "$T/started" 2>"$T/err" || status=$?
	is "exit code with $wrong" 125 "$status"
done

# A store that cannot be written: CMD does not start.
echo >"$T/file"
mkdir -m 777 "$T/open"
mkdir "$T/foreign"
chown 65534 "$T/foreign"
for bad in "$T/file" "$T/file/store" /proc/spantap "$T/open" "$T/foreign"; do
	status=0
	"$SPANTAP" run --store "$bad" -- touch "$T/started" 2>"$T/err" || status=$?
	is "exit code with store $bad" 125 "$status"
	[ ! -e "$T/started" ] || fail "CMD was started with store $bad"
	[ -s "$T/err" ] || fail "no word with store $bad"
done
