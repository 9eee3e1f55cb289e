#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# The configuration file of record: every error is told with file, line and key; the command line wins over it; a file
# that others may change, or read although it holds keys, is refused; what it says is what is recorded.
. "$(dirname "$0")/lib.sh"

unset "${!OTEL_@}"
C=$T/spantap.conf

# checked STATUS OPTION...: --check-config of $C gives this exit code.
checked() {
	local wanted=$1 status=0
	shift
	"$SPANTAP" record --config "$C" --check-config "$@" >"$T/out" 2>"$T/err" || status=$?
	is "exit code of --check-config ($*)" "$wanted" $status || fail "$(cat "$T/err")"
}

# says LINE WORDS: an error of this line.
says() { grep -q "spantap.conf:$1: $2" "$T/err" || fail "no word of line $1, '$2': $(cat "$T/err")"; }

cat >"$C" <<'END'
# every line of these is wrong
comm
bogus = 1
retain-days = soon
content = "all
cgroup = /no/such/cgroup
otlp = ftp://host
no-uretprobe = maybe
config = other.conf
otlp-timeout = 1 # a comment, and a value that is right
http all
redact = phone
END
checked 2
says 2 "comm: needs a value"
says 3 "bogus: unknown key"
says 4 "retain-days: 'soon' is no number of days"
says 5 "the closing quote is missing"
says 6 "cgroup: there is no cgroup '/no/such/cgroup'"
says 7 "otlp: 'ftp://host/v1/traces' is no http:// or https:// URL"
says 8 "no-uretprobe: is yes or no"
says 9 "config: belongs on the command line"
says 11 "no line of the form"
says 12 "redact: .*not 'phone'"
is "errors" 10 "$(wc -l <"$T/err")"

# Options that do not agree with each other are wrong, too; and the command line can make them agree.
printf 'content = shape\notlp-content = full\n' >"$C"
checked 2
grep -q -- '--otlp-content full is above --content shape' "$T/err" || fail "$(cat "$T/err")"
checked 0 --content full
is "the word" "$C: OK" "$(cat "$T/out")"
checked 2 --content everything
checked 2 --otlp-timeout x

# Each option of the command line has its key: the help is the list of both.
"$SPANTAP" record --help | grep -oE '^  (-., )?--[a-z-]+' | grep -oE '[a-z][a-z-]+$' | sort -u >"$T/keys"
[ "$(wc -l <"$T/keys")" -ge 25 ] || fail "keys: $(cat "$T/keys")"
while read -r key; do
	case $key in config | check-config | help) continue ;; esac
	printf '%s = \n' "$key" >"$C"
	"$SPANTAP" record --config "$C" --check-config >"$T/out" 2>"$T/err" || :
	! grep -q 'unknown key' "$T/err" || fail "$key is no key: $(cat "$T/err")"
done <"$T/keys"

# Who may write to it, and read it.
printf 'comm = x\n' >"$C"
for mode in 622 660 606; do
	chmod $mode "$C"
	checked 2
	grep -q 'may be written to by others.*chmod go-w' "$T/err" || fail "mode $mode: $(cat "$T/err")"
done
chmod 644 "$C"
checked 0
chown 65534 "$C"
checked 2
grep -q 'belongs to another user' "$T/err" || fail "$(cat "$T/err")"
chown 0 "$C"
printf 'otlp = http://127.0.0.1:1\notlp-header = x-key=very-secret\n' >"$C"
checked 2
says 2 "otlp-header: holds a key, but everybody may read the file: chmod o-r"
! grep -q very-secret "$T/err" || fail "the key is shown"
chmod 640 "$C"
checked 0
printf 'otlp = http://user:very-secret@127.0.0.1:1\n' >"$C"
chmod 644 "$C"
checked 2

# A file of headers.
printf '# keys\nAuthorization = "Bearer very-secret"\nx-tenant=a\n' >"$T/headers"
printf 'otlp = http://127.0.0.1:1\notlp-headers-file = %s\n' "$T/headers" >"$C"
checked 2
says 2 "otlp-headers-file: '$T/headers' holds keys and everybody may read it: chmod o-r"
chmod 600 "$T/headers"
checked 0
printf 'Authorization: Bearer very-secret\n' >"$T/headers"
checked 2
says 2 "otlp-headers-file: '$T/headers' line 1: no line of the form"
! grep -q very-secret "$T/err" || fail "the key is shown"

# What is no configuration file ends the reading soon.
mkfifo "$T/pipe"
C=$T/pipe checked 2
C=$T checked 2
C=/dev/zero checked 2
head -c 2000000 /dev/zero >"$T/zeros"
C=$T/zeros checked 2
grep -q 'larger than 1 MiB' "$T/err" || fail "$(cat "$T/err")"
head -c 200000 /dev/urandom >"$T/noise"
C=$T/noise checked 2
[ "$(wc -l <"$T/err")" -le 102 ] || fail "$(wc -l <"$T/err") errors are told"

# It counts: rule, retention and store of the file, and what the command line replaces.
printf 'comm = nobody-%s\nretain-size = 1G\nstore = %s\noutput = %s\n' $$ "$T/nowhere" "$T/file.tree" >"$C"
recording file --config "$C"
recorded file
grep -q "recording comm nobody-$$," "$T/file.err" || fail "$(cat "$T/file.err")"
[ ! -e "$T/nowhere" ] && [ ! -e "$T/nobody.tree" ] || fail "the file won over the command line"
config=$(sqlite3 "$T/file.store/spantap.db" "SELECT json_remove(detail, '\$.version') FROM audit_event WHERE kind='config'")
is "retention" '{"content":"redacted","retain_age_ns":0,"retain_bytes":1073741824}' "$config"
recording line --config "$C" --exe /nowhere --retain-size 2G
recorded line
grep -q "recording exe /nowhere," "$T/line.err" || fail "rules of the command line do not replace those of the file: $(cat "$T/line.err")"
