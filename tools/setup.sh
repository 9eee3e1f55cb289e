#!/bin/bash
# Install what spantap needs, from the machine's own configured mirrors.
#
#   tools/setup.sh           what is needed to build spantap and to run the demo
#   tools/setup.sh --tests   also what `make check` and the end-to-end tests need
#   tools/setup.sh --agents  also the agents that `tests/run agents` traces
#   tools/setup.sh --kernels also the compilers that `tests/run kernels` needs
#
# Knows Debian 12, Debian 13 and Ubuntu 24.04.  It may be run again at any time:
# apt is not touched when nothing is missing (and root is not needed then).
#
# Debian 12 lacks two libraries, and its libbpf is too old.  There, two suites
# are added in files of our own and pinned such that the packages named in
# write_pins() come from them, and nothing else ever does:
#
#   /etc/apt/sources.list.d/spantap-bookworm-backports.list   libbpf, bpftool
#   /etc/apt/sources.list.d/spantap-trixie.list               yyjson, llhttp
#   /etc/apt/preferences.d/spantap
#
# To undo that, remove the three files and run `apt-get update`.
#
# With --tests or --agents, programs to trace are put in $SPANTAP_CACHE, by
# default ~/.cache/spantap: see tests/fixtures/env.sh.  Where /usr/bin/node is a
# third party's, a few files of Debian's are added below /usr/share/nodejs as
# well.
#
# Exit status: 0 done; 2 usage; 3 not root; 4 unsupported distribution;
# 5 no Debian mirror configured; 6 package not available; 7 network failure;
# 8 apt refused to install; 9 a check after the installation failed.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

build_packages=(
    gcc make pkg-config clang llvm git python3 openssl ca-certificates
    libbpf-dev libelf-dev zlib1g-dev libbrotli-dev libzstd-dev libyyjson-dev libllhttp-dev
    libsqlite3-dev libseccomp-dev libsodium-dev libssl-dev libcapstone-dev
    libnghttp2-dev libprotobuf-c-dev protobuf-c-compiler libcurl4-openssl-dev
)
test_packages=(
    libcmocka-dev clang-format curl python3-requests python3-httpx python3-h2 python3-websockets python3-opentelemetry-proto
    python3-brotli python3-zstandard python3-jsonschema python3-yaml python3-prometheus-client
    sqlite3 procps util-linux iproute2 debootstrap
    golang-go hey wget gnutls-bin python3-pycurl libnss3-tools libmbedtls-dev libwolfssl-dev botan
)
kernel_packages=(gcc-aarch64-linux-gnu clang-19)
declare -A min_version=()               # package -> oldest version that will do

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
apt_log=$(mktemp)
trap 'rm -f "$apt_log"' EXIT
updated='' update_failed=''

say() { printf 'setup: %s\n' "$*"; }
warn() { printf 'setup: %s\n' "$*" >&2; }
die() { local status=$1; shift; warn "$*"; exit "$status"; }
usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

# --- which machine is this ---------------------------------------------------

read_os() {
    [ -r /etc/os-release ] || die 4 "no /etc/os-release: this is not Debian 12, Debian 13 or Ubuntu 24.04"
    os=$(. /etc/os-release; echo "${ID:-} ${VERSION_ID:-}")
    case $os in
    "debian 12")
        min_version=([libbpf-dev]=1:1.4 [bpftool]=7.5)
        build_packages+=(bpftool) ;;
    "debian 13")
        build_packages+=(bpftool) ;;
    "ubuntu 24.04")
        ;;                              # see ensure_ubuntu_bpftool()
    *)
        die 4 "unsupported distribution '$os': this knows Debian 12, Debian 13 and Ubuntu 24.04;" \
            "elsewhere install by hand: ${build_packages[*]} bpftool" ;;
    esac
}

# --- apt ---------------------------------------------------------------------

# Of the packages given, print those not installed or older than min_version.
missing() {
    local -A have=()
    local status name version p
    while read -r status name version; do
        [ "$status" = ii ] && have[$name]=$version
    done < <(dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' "$@" 2>/dev/null)
    for p; do
        new_enough "$p" "${have[$p]:-}" || echo "$p"
    done
}

new_enough() {  # package version
    [ -n "$2" ] && dpkg --compare-versions "$2" ge "${min_version[$1]:-0}"
}

# A failure here is remembered, not fatal: it may concern a source that is no
# business of ours.  require_candidates() decides.
apt_update() {
    say "apt-get update"
    updated=1
    update_failed=
    apt-get update >"$apt_log" 2>&1 || update_failed=1
    if [ -n "$update_failed" ] || grep -q 'Failed to fetch' "$apt_log"; then
        update_failed=1
        grep -E '^(E|W|Err)' "$apt_log" >&2 || true
    fi
}

# Every package must have an installation candidate that is new enough.
require_candidates() {
    local -A candidate=()
    local name version p absent=()
    while read -r name version; do
        candidate[$name]=$version
    done < <(apt-cache policy "$@" | awk '/^[^ ]+:$/ { sub(":$", ""); p = $0 }
                                          $1 == "Candidate:" && $2 != "(none)" { print p, $2 }')
    for p; do
        new_enough "$p" "${candidate[$p]:-}" ||
            absent+=("$p${min_version[$p]:+ (>= ${min_version[$p]})}")
    done
    [ ${#absent[@]} -eq 0 ] && return
    remove_sources_just_added
    [ -z "$update_failed" ] ||
        die 7 "apt-get update failed, see above; no source for: ${absent[*]}; check the network and the apt sources, then run this again"
    die 6 "package not available: ${absent[*]}; the configured apt sources do not carry it" \
        "(on Ubuntu, is 'universe' enabled?)"
}

apt_install() {  # options and packages
    apt-get install -y --no-install-recommends "$@" >"$apt_log" 2>&1 && return
    tail -n 20 "$apt_log" >&2
    if grep -qE 'Failed to fetch|Unable to fetch|^Err:' "$apt_log"; then
        die 7 "a download failed, see above; check the network, then run this again"
    fi
    die 8 "apt-get could not install: $*; see above"
}

# Install what is missing of the packages given.
ensure_packages() {
    local want
    mapfile -t want < <(missing "$@")
    [ ${#want[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || die 3 "missing: ${want[*]}; run this as root to install them"
    [ "$os" != "debian 12" ] || add_newer_suites
    [ -n "$updated" ] || apt_update
    require_candidates "${want[@]}"
    say "installing: ${want[*]}"
    apt_install --no-remove "${want[@]}"
}

# --- Debian 12: the few newer packages ---------------------------------------

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
sources_just_added=()

# Lines "URI codename" of the Debian main archive as apt has it configured:
# not the security mirror (other label), nobody's third-party repository.
debian_targets() {
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)|$(CODENAME)' \
        'Created-By: Packages' 2>/dev/null |
        awk -F"|" '$1 ~ /^Debian( Backports)?$/ && $2 == $1 && $3 == "main" { print $4, $5 }'
}

add_newer_suites() {
    local mirror suite
    mirror=$(debian_targets | awk '$2 == "bookworm" { print $1; exit }')
    if [ -z "$mirror" ]; then           # a fresh image has no lists at all
        apt_update
        mirror=$(debian_targets | awk '$2 == "bookworm" { print $1; exit }')
    fi
    if [ -z "$mirror" ]; then
        [ -z "$update_failed" ] || die 7 "apt-get update failed, see above; check the network, then run this again"
        die 5 "no mirror of Debian's main archive among the apt sources; add one to /etc/apt/sources.list.d (suite bookworm, component main)"
    fi
    for suite in bookworm-backports trixie; do
        if ! debian_targets | awk -v s=$suite '$2 == s { found = 1 } END { exit !found }'; then
            add_suite "$mirror" "$suite"
        fi
    done
    write_pins
}

suite_file() { echo "/etc/apt/sources.list.d/spantap-$1.list"; }

add_suite() {  # mirror suite
    local file
    file=$(suite_file "$2")
    say "adding $file"
    printf '# Written by spantap tools/setup.sh; pinned by /etc/apt/preferences.d/spantap\ndeb [signed-by=%s] %s %s main\n' \
        "$keyring" "$1" "$2" >"$file"
    sources_just_added+=("$file")
    updated=
}

# Leave no source behind that the mirror turned out not to have.
remove_sources_just_added() {
    [ ${#sources_just_added[@]} -eq 0 ] || rm -f "${sources_just_added[@]}"
}

# A suite that the administrator has configured keeps his priorities.
write_pins() {
    {
        echo "Explanation: written by spantap tools/setup.sh"
        [ ! -e "$(suite_file trixie)" ] || pin '*' trixie -10
        [ ! -e "$(suite_file bookworm-backports)" ] || pin '*' bookworm-backports 100
        pin 'libyyjson0 libyyjson-dev libllhttp9.* libllhttp-dev' trixie 500
        pin 'libbpf1 libbpf-dev bpftool' bookworm-backports 500
    } >/etc/apt/preferences.d/spantap
}

pin() { printf 'Package: %s\nPin: release n=%s\nPin-Priority: %s\n\n' "$@"; }

# --- bpftool on Ubuntu -------------------------------------------------------

# There it is a wrapper that looks for the tools of the running kernel; any
# build of it serves us, so any that answers will do.
ensure_ubuntu_bpftool() {
    [ "${os%% *}" = ubuntu ] || return 0
    PATH=$PATH:/usr/sbin bpftool version >/dev/null 2>&1 && return
    ensure_packages linux-tools-common linux-tools-generic
    PATH=$PATH:/usr/sbin bpftool version >/dev/null 2>&1 && return
    local tool
    tool=$(find /usr/lib/linux-tools* -name bpftool 2>/dev/null | sort -V | tail -n 1)
    [ -n "$tool" ] || die 6 "package not available: linux-tools-generic brought no bpftool; install one into the PATH"
    [ "$(id -u)" -eq 0 ] || die 3 "run this as root to link $tool into /usr/local/sbin"
    ln -sfn "$tool" /usr/local/sbin/bpftool
}

# --- programs for the tests to trace (see tests/fixtures/env.sh) -------------

read_fixtures() { . "$here/../tests/fixtures/env.sh"; }

# npm_ci NAME DIR: the packages of tests/fixtures/NAME, as its lock file has them.
# DIR carries the lock file's hash and appears only when it is complete.
npm_ci() {
    local from=$FIXTURES/$1 new=$2.new
    command -v npm >/dev/null || ensure_packages nodejs
    command -v npm >/dev/null || ensure_packages npm
    say "npm ci in $2"
    rm -rf "$new" && mkdir -p "$new"
    cp "$from/package.json" "$from/package-lock.json" "$from/.npmrc" "$new"
    if ! (cd "$new" && npm ci --ignore-scripts --no-audit --no-fund) >"$apt_log" 2>&1; then
        tail -n 20 "$apt_log" >&2
        rm -rf "$new"
        die 7 "npm ci failed, see above; check the network and npm's registry, then run this again"
    fi
    mv "$new" "$2"
}

# The SDKs and a node of their version.
ensure_npm_clients() { [ -n "$NODE22" ] || npm_ci node "$NODE_CACHE"; }

# The agents, which run on that node.
ensure_npm_agents() { [ -n "$AGENTS" ] || npm_ci agents "$AGENTS_CACHE"; }

# Where /usr/bin/node is somebody else's build, unpack the distribution's beside
# it.  With --download-only apt resolves the dependencies that are not installed,
# and installs nothing.  libnode reads some of its JavaScript from fixed paths
# below /usr/share/nodejs: copy just the files it names, where no package has
# put them.
ensure_debian_node() {
    if [ ! -e /usr/bin/node ]; then
        ensure_packages nodejs
        read_fixtures
    fi
    [ -z "$NODE_DEBIAN" ] || return 0
    [ "$(id -u)" -eq 0 ] || die 3 "missing: the distribution's node; run this as root to fetch it"
    [ -n "$updated" ] || apt_update
    local dir=$SPANTAP_CACHE/debian-node codename deb file lib
    codename=$(. /etc/os-release; echo "$VERSION_CODENAME")
    say "unpacking the distribution's nodejs in $dir"
    rm -rf "$dir" && mkdir -p "$dir/debs/partial"
    apt_install --download-only --allow-downgrades -o Dir::Cache::archives="$dir/debs" \
        -o APT::Sandbox::User=root "nodejs/$codename"
    for deb in "$dir"/debs/*.deb; do
        dpkg-deb -x "$deb" "$dir"
    done
    rm -r "$dir/debs"
    lib=$(dirname "$(find "$dir/usr/lib" -name 'libnode.so.*' -print -quit)")
    { grep -aohE '/usr/share/nodejs/[a-z0-9/_.-]+\.js' "$lib"/libnode.so.* || true; } | sort -u |
        while read -r file; do
            [ -e "$file" ] || install -D -m 644 "$dir$file" "$file"
        done
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$lib" "$dir/usr/bin/node" >"$dir/node"
    chmod +x "$dir/node"
}

# promtool alone: the package would start a server, and brings 100 MB.
ensure_promtool() {
    [ ! -x "$SPANTAP_CACHE/promtool/promtool" ] && ! command -v promtool >/dev/null || return 0
    [ "$(id -u)" -eq 0 ] || die 3 "missing: promtool; run this as root to fetch it"
    [ -n "$updated" ] || apt_update
    local dir=$SPANTAP_CACHE/promtool
    say "unpacking promtool in $dir"
    rm -rf "$dir" && mkdir -p "$dir/deb"
    if (cd "$dir/deb" && apt-get download -o APT::Sandbox::User=root prometheus) >"$apt_log" 2>&1 &&
        dpkg-deb --fsys-tarfile "$dir"/deb/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$dir/new"; then
        chmod +x "$dir/new" && mv "$dir/new" "$dir/promtool"
    else
        warn "promtool could not be fetched; the test of metrics goes on without it: $(tail -n 1 "$apt_log")"
    fi
    rm -rf "$dir/deb" "$dir/new"
}

check_fixtures() {
    read_fixtures
    local ssl='process.exit(require("fs").readFileSync("/proc/self/maps", "utf8").includes("libssl.so.3") ? 0 : 1)'
    "${NODE22:-false}" -e 0 ||
        die 9 "the node in $NODE_CACHE does not run; remove that directory, then run this again"
    "${NODE_DEBIAN:-false}" -e "$ssl" ||
        die 9 "'${NODE_DEBIAN:-/usr/bin/node}' does not run with libssl.so.3; remove $SPANTAP_CACHE/debian-node, then run this again"
    [ -n "$PYTHON" ] || die 9 "/usr/bin/python3 has no requests or no httpx"
}

# --- main --------------------------------------------------------------------

tests='' agents='' kernels=''
for arg; do
    case $arg in
    --tests) tests=1 ;;
    --agents) tests=1 agents=1 ;;
    --kernels) tests=1 kernels=1 ;;
    -h | --help) usage; exit 0 ;;
    *) warn "unknown option '$arg'"; usage >&2; exit 2 ;;
    esac
done

read_os
ensure_packages "${build_packages[@]}"
ensure_ubuntu_bpftool
if [ -n "$tests" ]; then
    # clang's sanitizer and fuzzer runtime carries the compiler's version.
    rt=$(dpkg-query -W -f '${Depends}' clang | sed -n 's/.*\bclang-\([0-9]\+\).*/libclang-rt-\1-dev/p')
    ensure_packages "${test_packages[@]}" ${rt:+"$rt"}
    read_fixtures
    ensure_npm_clients
    read_fixtures
    ensure_debian_node
    ensure_promtool
    check_fixtures
fi
[ -z "$agents" ] || ensure_npm_agents
[ -z "$kernels" ] || ensure_packages "${kernel_packages[@]}"
say "ready: everything ${tests:+the tests need }is installed"
