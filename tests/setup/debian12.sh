#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Proof that tools/setup.sh makes a plain Debian 12 able to build spantap: in a
# chroot made by debootstrap from this machine's own mirror.
#
#   tests/setup/debian12.sh          setup and make
#   tests/setup/debian12.sh --tests  also `setup.sh --tests` (large: nodejs, npm)
#
# Needs root and debootstrap (tools/setup.sh --tests brings it).  The base system
# is kept in the cache directory; remove debian12-base.tar there to make it anew.
# MIRROR=uri names a mirror where apt has no Debian archive configured.
set -euo pipefail
export LC_ALL=C

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${SPANTAP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/spantap}
passed=0 failed=0

skip() { echo "SKIP debian12: $*"; exit 0; }

# --- outside: own namespaces, so that no mount or process outlives the test ----

if [ "${1:-}" != --inside ]; then
    [ "$(id -u)" -eq 0 ] || skip "needs root"
    command -v debootstrap >/dev/null || skip "needs debootstrap"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/debian12.XXXXXX")
    trap 'rm -rf --one-file-system "$work"' EXIT
    status=0
    unshare --mount --pid --ipc --fork --kill-child "$0" --inside "$work" "${1:-}" || status=$?
    exit $status
fi
work=$2 tests=$3
root=$work/root
log=$work/log

# --- the plain system ----------------------------------------------------------

# Lines "URI codename" of Debian's own archives for Debian 12, security included.
debian_sources() {
    apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(REPO_URI)|$(CODENAME)' 'Created-By: Packages' |
        awk -F'|' '$1 == "Debian" && $2 == "main" && $4 ~ /^bookworm(-updates|-security)?$/ { print $3, $4 }'
}

make_base() {
    local mirror=${MIRROR:-$(debian_sources | awk '$2 == "bookworm" { print $1 }')} proxy=
    [ -n "$mirror" ] || skip "no mirror of Debian 12 among the apt sources; set MIRROR"
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    http_proxy=${http_proxy:-$proxy} debootstrap --variant=minbase bookworm "$work/base" "$mirror"
    rm -rf "$work"/base/var/cache/apt/archives/*.deb "$work"/base/var/lib/apt/lists/*
    tar -C "$work/base" -cf "$cache/debian12-base.tar.new" .
    mv "$cache/debian12-base.tar.new" "$cache/debian12-base.tar"
    rm -rf --one-file-system "$work/base"
}

# The network as this machine has it: resolver, hosts, proxies, authorities.
copy_network_settings() {
    local file
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    apt-config dump | grep -E '^Acquire::https?[:" ]' >"$root/etc/apt/apt.conf.d/99host" || true
    for file in /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates/*.crt \
        "${SSL_CERT_FILE:-}" "${NODE_EXTRA_CA_CERTS:-}"; do
        [ ! -f "$file" ] || install -D -m 644 "$file" "$root$file"
    done
    [ -n "${MIRROR:-}" ] ||
        debian_sources | awk '{ print "deb", $1, $2, "main" }' >"$root/etc/apt/sources.list"
}

prepare_root() {
    [ -e "$cache/debian12-base.tar" ] || make_base || return
    mkdir -p "$root"
    tar -C "$root" -xf "$cache/debian12-base.tar"
    copy_network_settings
    mkdir -p "$root/src"
    (cd "$top" && git ls-files -coz --exclude-standard |
        tar --null --ignore-failed-read -T - -cf - 2>/dev/null) | tar -C "$root/src" -xf -
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount --bind /dev "$root/dev"
    mount -o remount,bind,ro "$root/dev"
}

in_root() { chroot "$root" env HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
setup() { in_root /src/tools/setup.sh "$@"; }

# --- checks ----------------------------------------------------------------------

# check NAME COMMAND...: one result line; the command's output only on failure.
# The command runs in a subshell without errexit: chain its steps by &&.
check() {
    local name=$1 start=$SECONDS
    shift
    if ("$@") >"$log" 2>&1; then
        echo "PASS $name ($((SECONDS - start)) s)"
        passed=$((passed + 1))
    else
        tail -n 30 "$log" | sed 's/^/    /'
        echo "FAIL $name"
        failed=$((failed + 1))
    fi
}

# fails_with STATUS WORD COMMAND...: the command must fail so, and say WORD.
fails_with() {
    local want=$1 word=$2 status=0 said
    shift 2
    said=$("$@" 2>&1) || status=$?
    echo "status $status: $said"
    [ "$status" -eq "$want" ] && grep -q -- "$word" <<<"$said"
}

without_root() { fails_with 3 'as root' chroot --userspec=nobody "$root" /src/tools/setup.sh; }

on_other_system() {
    sed 's/^VERSION_ID=.*/VERSION_ID="11"/' "$root/usr/lib/os-release" >"$work/os-release" &&
        mount --bind "$work/os-release" "$root/usr/lib/os-release" || return
    fails_with 4 'debian 11' setup
    local status=$?
    umount "$root/usr/lib/os-release"
    return $status
}

without_mirror() {
    : >"$work/empty" && mount --bind "$work/empty" "$root/etc/apt/sources.list" || return
    fails_with 5 sources.list.d setup
    local status=$?
    umount "$root/etc/apt/sources.list"
    return $status
}

without_network() {
    local conf=$root/etc/apt/apt.conf.d/zz-test
    printf 'Acquire::%s::Proxy "http://127.0.0.1:9";\n' http https >"$conf"
    fails_with 7 network setup
    local status=$?
    rm "$conf"
    return $status
}

without_package() {
    local pin=$root/etc/apt/preferences.d/test
    printf 'Package: libsodium-dev\nPin: release *\nPin-Priority: -1\n' >"$pin"
    fails_with 6 libsodium-dev setup && ! ls "$root"/etc/apt/sources.list.d/spantap-*
    local status=$?
    rm "$pin"
    return $status
}

beside_dead_source() {
    local list=$root/etc/apt/sources.list.d/third-party.list
    echo 'deb [trusted=yes] http://127.0.0.1:9/ nowhere main' >"$list"
    setup
    local status=$?
    rm "$list"
    return $status
}

# Packages whose installed version comes from a newer suite only.
foreign_packages() {
    in_root dpkg-query -W -f '${Package}\n' | in_root xargs apt-cache policy |
        awk '/^[^ ]/ { name = $1; sub(":$", "", name); at = 0 }
             /^ (\*\*\*|   )  ?[^ ]+ -?[0-9]+$/ { at = ($1 == "***"); if (at) { own = 0; new = 0 } next }
             at && / bookworm(-updates|-security)?\// { own = 1 }
             at && / (trixie|bookworm-backports)\// && !own { print name }' | sort -u
}

only_named_packages() {
    local want="bpftool libbpf-dev libbpf1 libllhttp-dev libllhttp9.2 libyyjson-dev libyyjson0"
    local have
    have=$(foreign_packages | xargs)
    echo "want: $want"
    echo "have: $have"
    [ "$have" = "$want" ]
}

state() { in_root sh -c 'dpkg-query -W; find /etc/apt /var/lib/apt/lists -type f -exec stat -c "%n %Y %s" {} + | sort'; }

second_run() {
    local start=$SECONDS
    setup && [ $((SECONDS - start)) -le 2 ] && state >"$work/state2" && cmp "$work/state1" "$work/state2"
}

libraries_link() {
    in_root sh -ec 'cd /tmp
        printf "#include <bpf/libbpf.h>\n#include <yyjson.h>\n#include <llhttp.h>\n#include <sqlite3.h>\n#include <seccomp.h>\n#include <sodium.h>\n#include <openssl/evp.h>\n#include <brotli/decode.h>\n#include <zstd.h>\n" >t.c
        printf "int main(void) { return !(libbpf_major_version() == 1 && libbpf_minor_version() >= 4 && yyjson_version() && BrotliDecoderVersion() && ZSTD_versionNumber() && sqlite3_libversion_number() && sodium_init() >= 0); }\n" >>t.c
        gcc -std=c17 -Wall -Werror t.c -o t $(pkg-config --cflags --libs libbpf yyjson libllhttp sqlite3 libseccomp libsodium libcrypto libelf zlib libbrotlidec libzstd)
        ./t; bpftool version; llvm-strip --version; clang --version'
}

check "base system" prepare_root
mountpoint -q "$root/dev" || { echo "$passed passed, $failed failed"; exit 1; }
check "setup without root says so" without_root
check "setup on another system says so" on_other_system
check "setup without network says so" without_network
check "setup without mirror says so" without_mirror
check "setup without a package names it" without_package
check "setup beside a dead third-party source" beside_dead_source
check "libraries and tools work" libraries_link
check "newer suites gave only what was named" only_named_packages
state >"$work/state1"
check "second setup is quick and changes nothing" second_run
if [ -e "$top/Makefile" ]; then
    check "make" in_root make -C /src
fi
if [ "$tests" = --tests ]; then
    check "setup --tests" setup --tests
    check "second setup --tests" setup --tests
    check "newer suites still gave only that" only_named_packages
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
