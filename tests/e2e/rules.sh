#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What `spantap run` promises CMD and whoever calls it.
. "$(dirname "$0")/lib.sh"
cp "$SPANTAP" "$T/spantap"
chmod 755 "$T/spantap"
S=$T/spantap

# run CMD...: spantap run with a store of the test; the tree goes to $T/tree
run() { "$S" run --store "$T/store" -o "$T/tree" "${OPTS[@]}" -- "$@"; }
OPTS=()
# exits CODE CMD...
exits() {
	local status=0 code=$1
	shift
	run "$@" >"$T/out" 2>"$T/err" || status=$?
	is "exit code of $*" "$code" "$status"
}

# Exit codes; CMD's before all.
echo 'not a program' >"$T/plain"
exits 7 sh -c 'exit 7'
exits $((128 + 15)) sh -c 'kill -TERM $$'
exits 126 "$T/plain"
exits 126 "$T"
exits 127 "$T/nothere"
exits 127 no-such-command-here
[ -s "$T/err" ] || fail "no word about a command that is not there"
for options in --nonsense '--content loud' '--user nosuchuser' '--otlp-content full' "--otlp-file $T/none/x"; do
	OPTS=($options)
	exits 125 touch "$T/started"
	[ ! -e "$T/started" ] || fail "CMD was started with $options"
	[ -s "$T/err" ] || fail "no word with $options"
done
OPTS=()
status=0
"$S" run >/dev/null 2>&1 || status=$?
is "exit code without CMD" 125 "$status"

# Stdin, stdout, directory, environment, descriptors, signals: as without spantap.
cat >"$T/look.sh" <<'END'
cat
pwd
env | grep -v '^_=' | sort
ls -l /proc/self/fd | awk 'NR > 1 { print $1, $9 }'
grep -E '^(Sig(Blk|Ign|Cgt)|ShdPnd|NoNewPrivs|Seccomp|Cap|Uid|Gid|Groups)' /proc/self/status
ulimit -a
umask
cat /proc/self/oom_score_adj
END
mkdir "$T/there"
for how in plain ignored; do
	[ $how = plain ] || trap '' USR2 PIPE
	(cd "$T/there" && echo hello | A=b SHLVL=1 bash "$T/look.sh" 8<"$T/look.sh") >"$T/$how.without" 2>&1
	(cd "$T/there" && echo hello | A=b SHLVL=1 run bash "$T/look.sh" 8<"$T/look.sh") >"$T/$how.with" 2>&1
	same "$how: what CMD sees" "$T/$how.without" "$T/$how.with"
done
trap - USR2 PIPE
grep -q '^hello' "$T/plain.with" || fail "stdin"

# The tree on stderr: at most 80 columns, no colours where it is no terminal; stdout is CMD's alone.
provider
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE")
"${agent[@]}" >"$T/plain.out"
LC_ALL=C.UTF-8 "$S" run --store "$T/store" -- "${agent[@]}" >"$T/out" 2>"$T/err"
same "stdout" "$T/plain.out" "$T/out"
"$PY" - "$T/err" <<'END' || fail "the tree on stderr"
import sys
text = open(sys.argv[1], encoding="utf-8").read()
assert "turn 1" in text and "\33" not in text, text
assert max(map(len, text.split("\n"))) <= 80, max(text.split("\n"), key=len)
END

# On a terminal: CMD has it, and the tree has colours.
"$PY" tests/e2e/terminal.py "$S" run --store "$T/store" -- bash -c \
	'[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo it is a terminal; "$@"' x "${agent[@]}" >"$T/pty" || fail "exit code on a terminal"
grep -q 'it is a terminal' "$T/pty" || fail "CMD has no terminal: $(cat "$T/pty")"
grep -q $'\33\\[' "$T/pty" || fail "no colours on a terminal"

# Signals sent to spantap reach CMD; ^C reaches it once.
cat >"$T/signals.sh" <<'END'
for s in TERM INT HUP USR1 USR2 QUIT; do trap "echo $s" $s; done
echo ready
for i in $(seq ${1:-60}); do sleep 0.05; done
exit 3
END
"$S" run --store "$T/store" -o "$T/tree" -- bash "$T/signals.sh" >"$T/got" 2>"$T/err" &
started+=($!)
pid=$!
for _ in $(seq 200); do ! grep -qs ready "$T/got" || break; sleep 0.05; done
for s in TERM HUP USR1 USR2; do kill -$s $pid; sleep 0.2; done
status=0
wait $pid || status=$?
started=("${started[0]}")
is "exit code after signals" 3 "$status"
is "signals" "ready TERM HUP USR1 USR2" "$(paste -sd' ' "$T/got")"
status=0
"$PY" tests/e2e/terminal.py --interrupt ready "$S" run --store "$T/store" -o "$T/tree" -- bash "$T/signals.sh" 30 \
	>"$T/pty" || status=$?
is "exit code after ^C" 3 "$status"
is "interrupts of one ^C" 1 "$(grep -c INT "$T/pty")"

# Whose CMD and store it is: --user, or who called sudo.
if id nobody >/dev/null 2>&1; then
	mkdir "$T/u"
	chown nobody "$T/u"
	want="$(id -u nobody) $(id -g nobody) $(id -G nobody)"
	for who in user sudo; do
		OPTS=()
		[ $who = sudo ] || OPTS=(--user nobody)
		[ $who = user ] || export SUDO_UID=$(id -u nobody) SUDO_GID=$(id -g nobody) SUDO_USER=nobody
		"$S" run --store "$T/u/$who" -o "$T/u/$who.tree" "${OPTS[@]}" -- \
			sh -c 'echo $(id -u) $(id -g) $(id -G); echo $HOME; grep CapEff /proc/self/status' >"$T/out"
		is "$who: ids" "$want" "$(sed -n 1p "$T/out")"
		is "$who: HOME" "$(getent passwd nobody | cut -d: -f6)" "$(sed -n 2p "$T/out")"
		is "$who: capabilities" 0000000000000000 "$(awk 'NR == 3 { print $2 }' "$T/out")"
		is "$who: store" "700 nobody 600 nobody" "$(stat -c '%a %U' "$T/u/$who" "$T/u/$who/spantap.db" | paste -sd' ')"
		is "$who: tree" "600 nobody" "$(stat -c '%a %U' "$T/u/$who.tree")"
	done
	unset SUDO_UID SUDO_GID SUDO_USER
	OPTS=()
else
	echo "SKIP there is no user nobody"
fi

# What CMD leaves running lives on; the run ends soon, and says that it is incomplete.
cat >"$T/one.json" <<END
{"replies": [{"tool_calls": [{"name": "shell", "arguments": {"command": "sleep 20 >/dev/null 2>&1 & echo \$! >$T/left"}}]},
{"text": "It runs."}]}
END
begin=$(date +%s%N)
traced left "${agent[@]}" --prompt "[[script:$T/one.json]]"
took=$((($(date +%s%N) - begin) / 1000000))
is "exit code with a descendant left" 0 "$STATUS"
[ $took -lt 4500 ] || fail "the run took $took ms with a descendant left"
left=$(cat "$T/left")
kill -0 "$left" 2>/dev/null || fail "the descendant that CMD left was ended"
kill "$left"
TRUTH=/dev/null check left 'sum(p.get("spantap.complete") is False for p in processes) == 1' \
	"[p.get('process.pid') for p in processes if p.get('spantap.complete') is False] == [$left]"
echo "FIGURE run with a descendant left behind: $took ms"
