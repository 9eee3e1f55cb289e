#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tls.sh [http1|http2|nghttp2]
#
# The recorded traffic over real TLS: a traced client asks, an untraced server answers, and the spans must say what
# each recording expects. Then the same run's recording, decoded by nobody: the same spans. Bodies are compressed anew
# (codings.py). HTTP/2 is framed by the h2 library, or on the client's side by node's nghttp2.
. "$(dirname "$0")/../e2e/lib.sh"

corpus=${SPANTAP_CORPUS:-build/corpus/open}
[ -d "$corpus" ] || skip "no recorded traffic in $corpus (unpack it, or set SPANTAP_CORPUS)"
how=${1:-http1}
peers=tests/corpus/peers_h2.py client=("$PY" tests/corpus/peers_h2.py client "$corpus" "$T")
"$PY" -c 'import brotli, h2, zstandard' 2>/dev/null || skip "python3-brotli, python3-h2 or python3-zstandard is not installed"
case $how in
http1) peers=tests/corpus/peers.py client=("$PY" tests/corpus/peers.py client "$corpus" "$T") ;;
nghttp2)
	[ -n "$NODE_DEBIAN" ] || skip "Debian's node is not installed"
	client=("$NODE_DEBIAN" tests/corpus/client.mjs "$T")
	"$PY" $peers requests "$corpus" "$T"
	;;
esac

"$PY" $peers server "$corpus" "$T" >"$T/server.log" 2>&1 &
started+=($!)
for _ in $(seq 400); do
	[ ! -f "$T/port" ] || break
	sleep 0.05
done
[ -f "$T/port" ] || fail "the server did not start: $(cat "$T/server.log")"

OPTS="--content full --record $T/rec"
traced live "${client[@]}"
OPTS=
is "exit code ($(tail -n 3 "$T/live.err"))" 0 "$STATUS"
compared=0
"$PY" tests/corpus/compare.py $how "$corpus" "$T" "$T/live.otlp" || compared=$?

# replayed LEVEL NAME: the recording, decoded by nobody at a content level.
replayed() {
	setpriv --reuid=65534 --regid=65534 --clear-groups env -u XDG_STATE_HOME HOME=/nonexistent \
		"$T/spantap" replay --content "$1" --store "$T/n/$2.store" --otlp-file "$T/n/$2.otlp" -o "$T/n/$2.tree" "$T/n/rec" \
		>"$T/again.out" 2>"$T/again.err" || fail "replay: $(tail -n 3 "$T/again.err")"
}

mkdir "$T/n"
mv "$T/rec" "$T/n/rec"
chown -R 65534:65534 "$T/n"
cp "$SPANTAP" "$T/spantap"
replayed full again
"$PY" tests/e2e/same_spans.py "$T/live.otlp" "$T/n/again.otlp" || fail "replay gave other spans"
echo "FIGURE $how replay without root: the same $(grep -o '"spanId"' "$T/live.otlp" | wc -l) spans"
[ $compared = 0 ] || fail "spans are not what the recordings expect"

# What was said is valid by the conventions' schemas, at every content level.
[ $how = http1 ] || exit 0
"$PY" -c 'import jsonschema' 2>/dev/null || skip "python3-jsonschema is not installed"
for level in none shape redacted full; do
	[ $level = full ] || replayed $level $level
	[ $level != full ] || ln "$T/n/again.otlp" "$T/n/full.otlp"
	"$PY" tests/corpus/schema.py $level "$T/n/$level.otlp" || compared=1
done
[ $compared = 0 ] || fail "content is not as the schemas have it"
