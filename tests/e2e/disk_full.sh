#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# The disk of the store is full for a while: CMD is not disturbed, spantap says
# so once and in its status, and when there is room again nothing is missing.
[ -n "${OWN_MOUNTS:-}" ] || [ "$(id -u)" != 0 ] || OWN_MOUNTS=1 exec unshare -m "$0" "$@"
. "$(dirname "$0")/lib.sh"

mkdir "$T/disk"
mount -t tmpfs -o size=24m,mode=755 none "$T/disk" || skip "cannot mount a tmpfs"
trap 'umount -l "$T/disk"; cleanup' EXIT
S=$T/disk/store

cat >"$T/big.json" <<'END'
{"replies": [{"text": "step {i}: nothing of this answer may be lost while nobody can write. ", "deltas": 300}]}
END
provider --reply "$T/big.json"
"$SPANTAP" run --store "$S" --otlp-file "$T/full.otlp" -o "$T/full.tree" -- \
	"$PY" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 4 --seconds 12 \
	>"$T/full.out" 2>"$T/full.err" &
started+=($!)
run=$!
for _ in $(seq 200); do
	[ ! -s "$S/status.json" ] || [ "$("$SPANTAP" ls --store "$S" --tsv 2>/dev/null | wc -l)" = 0 ] || break
	sleep 0.05
done

# Full: what is left of the file system goes to a file.
dd if=/dev/zero of="$T/disk/filler" bs=64k 2>/dev/null || :
for _ in $(seq 100); do
	! grep -q 'cannot write' "$T/full.err" || break
	sleep 0.05
done
grep -q 'store: cannot write.*make room' "$T/full.err" || fail "not a word of it: $(cat "$T/full.err")"
status=0
for _ in $(seq 60); do
	status=0
	"$SPANTAP" status --store "$S" >"$T/status" || status=$?
	! grep -q 'store has not been written' "$T/status" || break
	sleep 0.1
done
grep -q 'store has not been written' "$T/status" || fail "status: $(cat "$T/status")"
is "exit code of status" 3 $status
while_full=$("$SPANTAP" ls --store "$S" --tsv | wc -l) || fail "ls while the disk is full"
sleep 3

rm "$T/disk/filler"
for _ in $(seq 100); do
	! grep -q 'writes again' "$T/full.err" || break
	sleep 0.05
done
grep -q 'store: writes again' "$T/full.err" || fail "it does not write again: $(cat "$T/full.err")"
"$SPANTAP" status --store "$S" >"$T/status" || :
! grep -q 'has not been written' "$T/status" || sleep 1.5
"$SPANTAP" status --store "$S" >"$T/status" || :
! grep -q 'has not been written' "$T/status" || fail "status: $(cat "$T/status")"
status=0
wait $run || status=$?
is "exit code" 0 $status
is "times it was said" 1 "$(grep -c 'cannot write' "$T/full.err")"
is "calls that CMD made" "$(wc -l <"$TRUTH")" "$(wc -l <"$T/full.out")"
"$PY" tests/e2e/stored.py "$S" "$T/full.otlp" "$TRUTH" >"$T/stored" || fail "$(cat "$T/stored")"
"$PY" - "$S/spantap.db" <<'END' || fail "audit event"
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
rows = [json.loads(d) for d, in db.execute("select detail from audit_event where kind='degraded'")]
assert rows and all(r["since_wall_ns"] > 10**18 and "full" in r["error"] for r in rows), rows
assert db.execute("pragma integrity_check").fetchone()[0] == "ok"
END
echo "FIGURE disk full for some seconds: $(cat "$T/stored"); $while_full conversations read meanwhile"
