#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The demo (`make demo`): traces a small agent against a local stand-in for an LLM provider, all on this machine.
# The agent makes two shell tool calls and one file read; spantap prints the tree at the end.
# Environment: SPANTAP (the program, default build/spantap), DEMO_API=openai|anthropic.
# Arguments are handed to `spantap run`. The exit code is that of `spantap run`.
set -u
umask 022
cd "$(dirname "$0")/.." || exit 125

fail() {
    echo "demo: $1" >&2
    exit 125
}

spantap=${SPANTAP:-build/spantap}
command -v "$spantap" >/dev/null 2>&1 || fail "$spantap is not there; build it first: make"
[ "$(id -u)" = 0 ] || fail "tracing needs root; try: sudo make demo"
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3) || fail "python3 is needed"
command -v openssl >/dev/null 2>&1 || fail "the openssl command is needed (for a throwaway certificate)"

tmp=$(mktemp -d) || fail "no temporary directory"
provider=
cleanup() {
    trap - EXIT INT TERM HUP
    if [ -n "$provider" ]; then
        kill "$provider" 2>/dev/null
        wait "$provider" 2>/dev/null
    fi
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'cleanup; exit 130' INT
trap 'cleanup; exit 143' TERM HUP

: >"$tmp/ready"
"$python" tests/fixtures/provider.py --dir "$tmp/provider" --delay-ms 10 >"$tmp/ready" 2>"$tmp/log" &
provider=$!
tries=0
while ! grep -q ready "$tmp/ready"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$provider" 2>/dev/null; then
        cat "$tmp/log" >&2
        fail "the local provider did not start"
    fi
    sleep 0.1
done

# Under sudo the agent and the store belong to the invoking user.
if [ -n "${SUDO_UID:-}" ]; then
    chown "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$tmp" || fail "cannot hand $tmp to the invoking user"
fi

"$spantap" run --store "$tmp/store" "$@" -- "$python" tests/fixtures/agent.py \
    --base-url "https://localhost:$(cat "$tmp/provider/port")" --ca "$tmp/provider/ca.pem" \
    --api "${DEMO_API:-openai}" --prompt 'What kind of machine is this, and how many lines has the text?'
