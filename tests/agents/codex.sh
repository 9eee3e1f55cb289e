#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Codex: OpenAI responses, from Rust, a static rustls without symbols (and an OpenSSL that it does not use).
. "$(dirname "$0")/lib.sh"

program=$AGENTS/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex
[ -x "$program" ] || skip "no Codex for this machine"

provider --reply shell_twice
mkdir -p "$T/home/.codex"
cat >"$T/home/.codex/config.toml" <<END
model = "gpt-5"
model_provider = "local"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.local]
name = "local"
base_url = "$BASE_URL/v1"
env_key = "LOCAL_KEY"
wire_api = "responses"
END
codex=(LOCAL_KEY=dummy CODEX_CA_CERTIFICATE="$CA_FILE" SSL_CERT_FILE="$CA_FILE" "$program" exec --skip-git-repo-check
	--dangerously-bypass-approvals-and-sandbox)
# Its commands are started by itself under another name, beside others of its own.
TOOLS_MATCH='all("argv" in [p.get("spantap.link.evidence") for p in t.children] for t in tools)'
UNLIKE='^session id:\|^ succeeded in [0-9]*ms:$' agent codex 3 "${SHELL_TWICE[@]}" 'all(c.get("spantap.tls.library") == "rustls" for c in chats)' \
	-- "${codex[@]}" 'What machine is this?'

version=$(version codex-linux-x64)
row codex "${version%-linux-x64}" "$program"
