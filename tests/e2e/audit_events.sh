#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# What the store keeps of a capture itself: its beginning and end, its configuration, which probes were put where and
# taken off, and who has looked at conversations, also while a capture writes.
. "$(dirname "$0")/lib.sh"

provider
S=$T/kept.store
AGENT=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" --prompt "[[script:tests/fixtures/scripts/single.json]]")

# events: kind and detail of all audit events, a JSON array of [kind, object]
events() {
	"$PY" - "$S/spantap.db" <<'END'
import json, sqlite3, sys
db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True)
print(json.dumps([[k, json.loads(d), w] for k, d, w in db.execute("SELECT kind, detail, wall_ns FROM audit_event ORDER BY seq")]))
END
}
# holds WHAT EXPRESSION: over e, the events, and of(kind), the details of these
holds() {
	events | "$PY" -c '
import json, sys
e = json.load(sys.stdin)
of = lambda kind: [d for k, d, w in e if k == kind]
sys.exit(0 if eval(sys.argv[1]) else "does not hold: %s\n%s" % (sys.argv[1], json.dumps(e, indent=1)))' "$2" || fail "$1"
}
as_user() { "$SPANTAP" "$@" --store "$S"; }

traced kept "${AGENT[@]}"
holds kept '[k for k, d, w in e][0] == "capture_begin" and [k for k, d, w in e][-1] == "capture_end"'
holds config 'len(of("config")) == 1 and of("config")[0]["content"] == "redacted"'
holds attach 'any("libssl" in a["path"] and a["state"] == "attached" and a["site"] in ("fast", "slow") and a["build_id"] for a in of("attach"))'
holds "no view yet" 'not of("view") and not of("detach")'
[ ! -e "$S/views" ] || fail "a view before anyone looked"

id=$(as_user ls --json | "$PY" -c 'import json, sys; print(json.load(sys.stdin)[0]["trace_id"])')
as_user show "$id" >"$T/shown" 2>"$T/shown.err"
as_user show --call 1 "$id" >/dev/null
as_user search Done >/dev/null || :
as_user search surely-not-there >/dev/null || :
as_user export "$id" --format json >/dev/null
as_user export --all --format otlp >/dev/null
[ ! -s "$T/shown.err" ] || fail "show says: $(cat "$T/shown.err")"
is "mode of the file" "600 $(stat -c %U "$S")" "$(stat -c '%a %U' "$S/views")"
! grep -q 'surely-not-there' "$S/views" || fail "what was searched for is noted"

# The next capture takes what was noted; one who looks while it writes is seen as well.
OPTS=--no-uretprobe traced kept "$PY" - "$SPANTAP" "$S" "$id" <<'END'
END
cat >"$T/looks.sh" <<END
"$SPANTAP" show --store "$S" "$id" >"$T/while" 2>"$T/while.err"
END
traced kept bash "$T/looks.sh"
is "show while a capture writes" 0 "$STATUS"
[ ! -s "$T/while.err" ] || fail "show while a capture writes: $(cat "$T/while.err")"
same "the same tree" "$T/shown" "$T/while"
holds views "[d['command'] for d in of('view')] == ['show', 'show', 'search', 'search', 'export', 'export', 'show']"
holds conversations "all(d['conversations'] == ['$id'] and d['more'] == 0 for d in of('view') if d['command'] != 'search')"
holds ids "len({d['id'] for d in of('view')}) == 7 and all(d['uid'] == $(id -u) for d in of('view'))"
holds order "[k for k, d, w in e].count('capture_begin') == 3 == [k for k, d, w in e].count('capture_end')"
[ ! -s "$S/views" ] || fail "what was taken is still there: $(cat "$S/views")"

# Where nothing can be noted, it is said and shown all the same.
rm -f "$S/views" && mkdir "$S/views"
as_user show "$id" >"$T/unnoted" 2>"$T/unnoted.err"
same "the same tree, not noted" "$T/shown" "$T/unnoted"
grep -q 'cannot note' "$T/unnoted.err" || fail "nothing is said: $(cat "$T/unnoted.err")"
rmdir "$S/views" && ln -s "$T/elsewhere" "$S/views"
as_user show "$id" 2>/dev/null >/dev/null
[ ! -e "$T/elsewhere" ] || fail "a link was followed"
rm "$S/views"

# A line that is none.
printf 'garbage\n{"wall_ns": 5}\n{"half' >"$S/views" && chmod 600 "$S/views"
traced kept true
holds garbage "[d for d in of('view')][7:] == [{'unreadable': True}, {'wall_ns': 5}, {'unreadable': True}]"
