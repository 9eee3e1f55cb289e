#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Bun: fetch() over a static BoringSSL without symbols; connections one after another, side by side, and cut.
. "$(dirname "$0")/lib.sh"

bun=$AGENTS/@oven/bun-linux-x64/bin/bun
[ -x "$bun" ] || skip "no Bun for this machine"

provider --reply single
cat >"$T/fetch.mjs" <<'END'
const call = async (content, headers = {}) => {
	const r = await fetch(process.env.BASE_URL + "/v1/chat/completions", {
		method: "POST", headers: { "content-type": "application/json", authorization: "Bearer x", ...headers },
		body: JSON.stringify({ model: "gpt-4o", stream: true, messages: [{ role: "user", content }] }),
	});
	console.log((await r.text().catch(() => "")).length > 0);
};
for (let i = 0; i < 3; i++)
	await call(`one after another ${i} ${"long ".repeat(20000)}`);
await Promise.all([1, 2, 3, 4].map((i) => call(`side by side ${i} ${"x".repeat(i * 1000)}`)));
// Each on a connection of its own: objects are freed, and others take their places.
for (let i = 0; i < 5; i++)
	await call(`closed ${i}`, { "connection": "close", "x-test-framing": "close" });
END
agent bun 12 'len(chats) == 12' 'all(c.get("spantap.tls.library") == "boringssl" for c in chats)' \
	-- env BASE_URL="$BASE_URL" "$bun" run "$T/fetch.mjs"

# Started by another program: what was found above is known, so it is listened to in time.
agent wrapped 12 'len(chats) == 12' -- bash -c '"$@"; exit $?' wrapper env BASE_URL="$BASE_URL" "$bun" run "$T/fetch.mjs"

# The official SDK, on it.
TOOLS_MATCH='tools_match()' agent tools 3 "${SHELL_TWICE[@]}" \
	-- env BASE_URL="$BASE_URL" CA_FILE="$CA_FILE" NODE_MODULES="$NODE_MODULES" STREAM=1 \
	PROMPT='What machine is this? [[script:shell_twice]]' "$bun" run "$PWD/tests/fixtures/client_openai.mjs"

row bun "$(version @oven/bun-linux-x64)" "$bun" tools
