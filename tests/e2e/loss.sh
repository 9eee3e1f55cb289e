#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# With a data ring far too small, what is lost is counted to the byte and marked on the span it belongs to;
# with a life ring far too small, spans say that process events are missing.
SPANTAP=$PWD/build/spantap-hooks
. "$(dirname "$0")/lib.sh"
provider

# counter NAME KEY: a counter of the capture in the store of run NAME.
counter() {
	"$PY" - "$T/$1.store/spantap.db" "$2" <<'PY'
import json, sqlite3, sys
row = sqlite3.connect(sys.argv[1]).execute("select counters from capture").fetchone()
print(json.loads(row[0]).get(sys.argv[2], 0))
PY
}

export SPANTAP_TEST_DATA_RING=65536
traced loss "$PY" tests/fixtures/client_bigbody.py --chat --one-write --size 4194304
unset SPANTAP_TEST_DATA_RING
[ "$STATUS" = 0 ] || fail "the client was disturbed: $(cat "$T/loss.err")"
lost=$(counter loss lost_bytes) captured=$(counter loss captured_bytes)
[ "$lost" -gt 1000000 ] || fail "a 64 KiB ring lost only $lost bytes"
check loss "len(chats) == 1" "chats[0].get('spantap.complete') is False" \
	"chats[0].get('spantap.lost_bytes') == $lost" "'ring full' in chats[0].get('spantap.incomplete.reason')" \
	"truth[0]['bytes_in'] + truth[0]['bytes_out'] == $captured" \
	"chats[0].get('spantap.call.request_sha256') is None"
grep -q 'lost' "$T/loss.tree" || fail "the tree does not say that something was lost"
echo "FIGURE 64 KiB ring: $lost of $captured bytes lost, all of them accounted for"

# Every output says it.
S="$SPANTAP show --store $T/loss.store"
id=$("$SPANTAP" ls --store "$T/loss.store" --json | "$PY" -c '
import json, sys
found = json.load(sys.stdin)
found = found["conversations"] if isinstance(found, dict) else found
assert [c["complete"] for c in found] == [False], found
print(found[0]["trace_id"])') || fail "ls --json does not say that something is missing"
$S "$id" >"$T/shown"
grep -q "! incomplete: .*lost" "$T/shown" || fail "show: $(cat "$T/shown")"
$S "$id" --json >"$T/shown"
"$PY" - "$T/shown" "$lost" <<'END' || fail "show --json"
import json, sys
spans = json.load(open(sys.argv[1]))["spans"]
chat = [s["attributes"] for s in spans if s["kind"] == "chat"][0]
assert chat["spantap.complete"] is False and chat["spantap.lost_bytes"] == int(sys.argv[2]), chat
END
$S "$id" --tsv | awk -F'\t' '$3 == "chat" && $7 == "false" { n++ } END { exit n != 1 }' || fail "show --tsv"
$S "$id" --call 1 >"$T/shown"
grep -q "spantap.lost_bytes  *$lost$" "$T/shown" || fail "show --call: $(head -n 40 "$T/shown")"

# The same with many small calls: every call is either whole and right, or marked.
export SPANTAP_TEST_DATA_RING=16384
traced many "$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE" --parallel 8 \
	--prompt 'x{n} [[script:long]]' --prompt 'y{n} [[script:long]]'
unset SPANTAP_TEST_DATA_RING
[ "$STATUS" = 0 ] || fail "the agent was disturbed: $(cat "$T/many.err")"
check many "all(any(not differences(c, t) for t in truth) for c in chats if c.get('spantap.complete'))" \
	"sum(c.get('spantap.lost_bytes', 0) for c in chats) <= $(counter many lost_bytes)"
echo "FIGURE 16 KiB ring, 16 streamed calls: $(counter many lost_bytes) of $(counter many captured_bytes) bytes lost"

export SPANTAP_TEST_LIFE_RING=4096
traced life sh -c 'for i in $(seq 300); do /bin/true; done; exec "$0" "$@"' "$PY" tests/fixtures/agent.py \
	--base-url "$BASE_URL" --ca "$CA_FILE"
unset SPANTAP_TEST_LIFE_RING
[ "$STATUS" = 0 ] || fail "the agent was disturbed: $(cat "$T/life.err")"
lost=$(counter life life_lost)
echo "FIGURE 4 KiB life ring: $lost process events lost"
[ "$lost" -gt 0 ] || fail "a 4 KiB life ring lost nothing"
grep -q 'process' "$T/life.tree" || fail "the tree does not say that process events were lost"
