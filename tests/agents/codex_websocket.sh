#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Codex over a WebSocket: the TLS object moves once the connection is one.
. "$(dirname "$0")/lib.sh"

codex=$AGENTS/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex
[ -x "$codex" ] || skip "no Codex for this machine"
"$PY" -c 'import websockets' 2>/dev/null || skip "needs python3-websockets"

mkdir -p "$T/ws" "$T/home/.codex" "$T/work"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE -keyout "$T/ws/key" -out "$T/ws/ca.pem" \
	2>"$T/openssl" || fail "openssl: $(cat "$T/openssl")"
cat "$T/ws/key" "$T/ws/ca.pem" >"$T/ws/server.pem"
"$PY" tests/fixtures/responses_websocket.py "$T/ws" shell_twice >"$T/ws/out" 2>&1 &
started+=($!)
for _ in $(seq 200); do
	grep -q '^ready' "$T/ws/out" && break
	sleep 0.05
done
cat >"$T/home/.codex/config.toml" <<END
model = "gpt-5"
model_provider = "local"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.local]
name = "local"
base_url = "https://localhost:$(cat "$T/ws/port")/v1"
env_key = "LOCAL_KEY"
wire_api = "responses"
supports_websockets = true
END
traced codex env -i -C "$T/work" HOME="$T/home" PATH=/usr/bin:/bin LANG=C.UTF-8 LOCAL_KEY=dummy \
	CODEX_CA_CERTIFICATE="$T/ws/ca.pem" SSL_CERT_FILE="$T/ws/ca.pem" "$codex" exec --skip-git-repo-check \
	--dangerously-bypass-approvals-and-sandbox 'What machine is this?' </dev/null
is "exit code" 0 "$STATUS"
cat "$T/codex.tree"
grep -q 'nothing lost' "$T/codex.tree" || fail "loss"
"$PY" - "$T/ws/log" >"$T/answers" <<'END'
import json, sys
print([e["text"] for e in map(json.loads, open(sys.argv[1])) if e["generate"]])
END
check codex 'all_complete()' "[output_text(c) for c in chats if output_text(c)] == [t for t in $(cat "$T/answers") if t]" \
	'len(conversations) == 1' 'len(tools) == 2' 'all(c.get("spantap.tls.library") == "rustls" for c in chats)'
