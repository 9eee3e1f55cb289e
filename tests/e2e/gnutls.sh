#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Clients that use GnuTLS, as Debian ships them: wget, gnutls-cli, curl's library behind pycurl, git; and the calls
# of GnuTLS that they do not use.
. "$(dirname "$0")/lib.sh"

provider
export F=$PWD/tests/fixtures PY T PORT=${BASE_URL##*:}
uses_gnutls() { [ -n "$1" ] && ldd "$1" | grep -q 'libgnutls\.so'; }

# body PROMPT STREAM
body() { printf '{"model":"gpt-4o-mini","stream":%s,"messages":[{"role":"user","content":"%s"}]}' "$2" "$1"; }
body 'hi [[script:long]] [[delay-ms:1]]' true >"$T/stream"
body 'hi [[script:single]]' false >"$T/whole"
printf 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%s\r\nContent-Type: application/json\r\nAuthorization: Bearer sk-test-0\r\nContent-Length: %s\r\nConnection: close\r\n\r\n' \
	"$PORT" "$(stat -c %s "$T/whole")" >"$T/request"
cat "$T/whole" >>"$T/request"

# one NAME EXCHANGES LIBRARIES CMD...: prints the same when traced, and the spans equal the truth.
one() {
	local name=$1 n=$2 libraries=$3
	shift 3
	"$@" <"${INPUT:-/dev/null}" >"$T/$name.plain" 2>"$T/$name.plain.err" || fail "$name: $(cat "$T/$name.plain.err")"
	sleep 0.1
	mark
	traced "$name" "$@" <"${INPUT:-/dev/null}"
	is "$name: exit code" 0 "$STATUS"
	sed -Ei 's/(chatcmpl-|fp_)[0-9A-Za-z]+/ID/g; s/"created":[ 0-9]+//g; s/0x[0-9a-f]+//g' "$T/$name.plain" "$T/$name.out"
	[ -n "${PRINTS_MORE:-}" ] || same "$name: differs when traced" "$T/$name.plain" "$T/$name.out"
	grep -q 'nothing lost' "$T/$name.tree" || fail "$name: loss: $(tail -n 3 "$T/$name.tree")"
	exchanges "$n" "$name"
	check "$name" 'matches_truth()' 'times_match()' 'in_shape()' 'all_complete()' \
		"sorted(c.get('spantap.tls.library') for c in chats) == $libraries" \
		'not any(c.get("spantap.tls.joined_late") for c in chats)'
}

HEADERS=(--header='Content-Type: application/json' --header='Authorization: Bearer sk-test-0')
if uses_gnutls "$(command -v wget)"; then
	one wget 1 '["gnutls"]' wget -q -O - --no-proxy "--ca-certificate=$CA_FILE" "${HEADERS[@]}" "--post-file=$T/stream" \
		"$BASE_URL/v1/chat/completions"
else
	echo "SKIP no wget with GnuTLS"
fi
if command -v gnutls-cli >/dev/null; then
	# It prints addresses and keys of the session, too.
	INPUT=$T/request PRINTS_MORE=1 one gnutls_cli 1 '["gnutls"]' gnutls-cli "--x509cafile=$CA_FILE" --logfile=/dev/null \
		-p "$PORT" localhost
else
	echo "SKIP gnutls-cli is not installed"
fi
if "$PY" -c 'import pycurl; exit("GnuTLS" not in pycurl.version)' 2>/dev/null; then
	cat >"$T/by_curl.py" <<'END'
import io, os, pycurl
for name in ("stream", "whole") * 2:
    out, c = io.BytesIO(), pycurl.Curl()
    for option, value in ((c.URL, os.environ["BASE_URL"] + "/v1/chat/completions"), (c.CAINFO, os.environ["CA_FILE"]),
                          (c.POSTFIELDS, open(f"{os.environ['T']}/{name}").read()), (c.WRITEFUNCTION, out.write),
                          (c.NOPROXY, "*"),
                          (c.HTTPHEADER, ["Content-Type: application/json", "Authorization: Bearer sk-test-0"])):
        c.setopt(option, value)
    c.perform()
    print(out.getvalue().decode())
END
	one pycurl 4 '["gnutls"] * 4' "$PY" "$T/by_curl.py"
else
	echo "SKIP no pycurl with GnuTLS"
fi
for how in plain cork seq file; do
	PROMPT="[[script:single]]" one "api_$how" 1 '["gnutls"]' "$PY" "$F/client_gnutls.py" $how
done

# No LLM speaks git: its bytes are counted, and there is no alarm.
if uses_gnutls "$(git --exec-path 2>/dev/null)/git-remote-https"; then
	GIT_SSL_CAINFO=$CA_FILE GIT_TERMINAL_PROMPT=0 traced git git ls-remote "$BASE_URL/no/such/repository"
	grep -Eq 'captured [1-9][0-9,]* bytes' "$T/git.tree" || fail "git: $(cat "$T/git.tree")"
	grep -q 'nothing lost' "$T/git.tree" || fail "git: $(cat "$T/git.tree")"
else
	echo "SKIP no git with GnuTLS"
fi
