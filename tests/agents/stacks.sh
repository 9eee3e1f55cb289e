#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Agents on what others are built on: the official SDKs for node, python's httpx with HTTP/2, both builds of libcurl,
# Go. Each makes two tool calls.
. "$(dirname "$0")/lib.sh"

provider --reply shell_twice
one=$BASE_URL one_ca=$CA_FILE one_truth=$ALL_TRUTH
F=$PWD/tests/fixtures
PROMPT='What machine is this?'

# What is not there is not tested: table.py fails then, if it has to be.
stack() {
	TOOLS_MATCH='tools_match()' agent "$1" 3 "${SHELL_TWICE[@]}" "${@:2}"
}
library() { ldconfig -p | sed -n "s/.*$1 .*=> //p" | head -n 1 | grep .; }
packaged() { "$PY" -c 'import json, sys; print(json.load(open(sys.argv[1]))["version"])' "$1/package.json"; }

sdks=(env BASE_URL="$one" CA_FILE="$one_ca" NODE_MODULES="$NODE_MODULES" STREAM=1 PROMPT="$PROMPT" "$NODE22")
stack node_openai -- "${sdks[@]}" "$F/client_openai.mjs"
row node_openai "$(packaged "$NODE_MODULES/openai")" "$NODE22"
stack node_anthropic -- "${sdks[@]}" "$F/client_anthropic.mjs"
row node_anthropic "$(packaged "$NODE_MODULES/@anthropic-ai/sdk")" "$NODE22"

for build in openssl:libcurl.so.4 gnutls:libcurl-gnutls.so.4; do
	if lib=$(library "${build#*:}"); then
		stack "curl_${build%:*}" "{c.get('spantap.tls.library') for c in chats} == {'${build%:*}'}" \
			-- "$PY" "$F/agent_stacks.py" "$lib" --base-url "$one" --ca "$one_ca" --prompt "$PROMPT"
		tls=$(library "$([ "${build%:*}" = openssl ] && echo libssl.so.3 || echo libgnutls.so.30)")
		row "curl_${build%:*}" "$("$PY" -c 'import ctypes, sys
c = ctypes.CDLL(sys.argv[1])
c.curl_version.restype = ctypes.c_char_p
print(c.curl_version().decode().split()[0].split("/")[1])' "$lib")" "$tls"
	else
		echo "SKIP ${build#*:} is not installed"
	fi
done

if "$PY" -c 'import h2, httpx' 2>/dev/null; then
	PROVIDER=provider_h2.py
	provider --reply shell_twice
	# (The client itself insists on HTTP/2.)
	stack httpx_h2 '{c.get("spantap.tls.library") for c in chats} == {"openssl"}' -- "$PY" "$F/agent_stacks.py" httpx --base-url "$BASE_URL" --ca "$CA_FILE" --prompt "$PROMPT"
	row httpx_h2 "$("$PY" -c 'import httpx; print(httpx.__version__)')" "$(library libssl.so.3)"
else
	echo "SKIP python3-httpx or python3-h2 is not installed"
fi

if GO=$(type -P go); then
	GOCACHE=${SPANTAP_CACHE:-$T}/go-build GO111MODULE=off "$GO" build -ldflags='-s -w' -o "$T/go" "$F/agent_go.go" || fail "go build"
	PROVIDER=provider.py
	ALL_TRUTH=$one_truth
	stack go '{c.get("spantap.tls.library") for c in chats} == {"go crypto/tls"}' -- env BASE_URL="$one" CA_FILE="$one_ca" PROMPT="$PROMPT" "$T/go"
	row go "$("$GO" version | cut -d' ' -f3 | sed 's/^go//')" "$T/go"
else
	echo "SKIP Go is not installed"
fi
