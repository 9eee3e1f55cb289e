#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# tools/deploy is held against the program: options, paths, capabilities, ports. The unit is one that systemd reads, and
# spantap records with no more than the rights that it leaves. A changed file is read again as kubernetes.yaml says.
. "$(dirname "$0")/lib.sh"

D=tools/deploy
unset "${!OTEL_@}"

# The configurations hold no option that is not there; paths and users of others are not looked at.
cp $D/spantap.conf "$T/spantap.conf"
"$SPANTAP" record --config "$T/spantap.conf" --check-config >"$T/out" 2>&1 || fail "spantap.conf: $(cat "$T/out")"
sed 's/^#\([a-z][a-z-]* = \)/\1/; /^cgroup = /d; /^otlp-ca = /d; s|/etc/spantap/headers|'"$T/headers"'|' $D/spantap.conf >"$T/all.conf"
(umask 077 && echo 'x = y' >"$T/headers")
"$SPANTAP" record --config "$T/all.conf" --check-config >"$T/out" 2>&1 || fail "spantap.conf with its comments taken off: $(cat "$T/out")"
! diff -q "$T/all.conf" "$T/spantap.conf" >"$T/out" || fail "nothing was a comment"

if "$PY" -c 'import yaml' 2>/dev/null; then
	"$PY" - "$D" "$T" <<'END' || fail "tools/deploy"
import pathlib, re, sys, yaml
D, T = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
unit, conf = (D / "spantap.service").read_text(), (D / "spantap.conf").read_text()
source = {p.name: p.read_text() for p in pathlib.Path("user").glob("*/*.[ch]")}
config_map, daemon = list(yaml.safe_load_all((D / "kubernetes.yaml").read_text()))
assert config_map["kind"] == "ConfigMap" and daemon["kind"] == "DaemonSet"
pod = daemon["spec"]["template"]["spec"]
box = pod["containers"][0]
(T / "map.conf").write_text(config_map["data"]["spantap.conf"])

# Capabilities: what the program looks for, split by need; see doctor.
table = re.findall(r"\{[^{}]*?,\s*(ALWAYS|NO_MULTI|AS_ROOT|MEMLOCK|HELPS),\s*\"(CAP_\w+)\"", source["features.c"])
assert len(table) == 12, table
by = lambda *needs: {c for n, c in table if n in needs}
given = set(" ".join(re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.M)).split())
not_given = set(re.findall(r"^# Not given, .*(CAP_\w+)", unit, re.M))
old = set(re.findall(r"^# .*CapabilityBoundingSet=(CAP_\w+)", unit, re.M))
assert given | not_given == by("ALWAYS", "AS_ROOT", "HELPS") and not given & not_given, (given, not_given)
assert not_given < by("HELPS") and old == by("NO_MULTI", "MEMLOCK"), (not_given, old)
added = {"CAP_" + c for c in box["securityContext"]["capabilities"]["add"]}
assert added == given and box["securityContext"]["capabilities"]["drop"] == ["ALL"], added ^ given
by_hand = re.search(r"--cap-add=(\S+)", (D / "Containerfile").read_text())[1]
assert {"CAP_" + c for c in by_hand.split(",")} == given

# Paths.
defined = lambda file, name: re.search(rf'#define {name}\s+"([^"]+)"', source[file])[1]
store, cache, pods = defined("store.h", "RECORD_STORE"), defined("findings.h", "FINDINGS_DIR"), defined("pods.h", "PODS_DIR")
mounts = {m["mountPath"]: m for m in box["volumeMounts"]}
volumes = {v["name"]: v for v in pod["volumes"]}
assert {m["name"] for m in mounts.values()} == set(volumes)
assert volumes[mounts[store]["name"]]["hostPath"]["path"] == store and "readOnly" not in mounts[store]
assert volumes[mounts[pods]["name"]]["hostPath"]["path"] == pods and mounts[pods]["readOnly"]
assert cache in mounts
assert f"StateDirectory={store.rsplit('/', 1)[1]}\n" in unit and f"CacheDirectory={cache.rsplit('/', 1)[1]}\n" in unit
file = re.search(r"--config (\S+)", unit)[1]
assert box["args"] == ["record", "--config", file] and file.rsplit("/", 1)[0] in mounts
assert f'CMD ["record", "--config", "{file}"]' in (D / "Containerfile").read_text()
assert volumes["headers"]["secret"]["defaultMode"] == 0o400
assert "/etc/spantap-headers/headers" in config_map["data"]["spantap.conf"] and "/etc/spantap-headers" in mounts
assert pod["hostPID"] and not pod["automountServiceAccountToken"] and not box["securityContext"]["privileged"]

# Times: what the program takes at its end, and the manager waits for.
ns = lambda file, name: int(re.search(rf"#define {name}\s+(\d+)ull", source[file])[1]) / 1e9
longest = ns("probe.c", "STOP_NS") + ns("reporters.h", "REPORT_END_NS")
assert pod["terminationGracePeriodSeconds"] > longest and int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > longest

# Collectors: each component that a pipeline names is there and used; the port is that of spantap.conf.
port = re.search(r"^otlp = http://127.0.0.1:(\d+)$", conf, re.M)[1]
collectors = sorted(D.glob("otelcol-*.yaml"))
assert [c.name for c in collectors] == [f"otelcol-{b}.yaml" for b in ("clickhouse", "jaeger", "langfuse", "tempo")]
for c in collectors:
    y = yaml.safe_load(c.read_text())
    assert y["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":" + port), c
    for kind in ("receivers", "processors", "exporters"):
        used = {n for p in y["service"]["pipelines"].values() for n in p[kind]}
        assert used == set(y[kind]), (c, kind, used)
    assert y["service"]["pipelines"]["traces"]["processors"][0] == "memory_limiter", c
    said = c.read_text()
    for profile in re.findall(r"otlp-profile = (\w+)", said):
        assert f'"{profile}"' in source["otlp_attrs.c"], profile
    for key in re.findall(r"'(otlp[a-z-]*) = ", said) + re.findall(r"(otlp-[a-z-]+)\.", said):
        assert f'"{key}"' in source["otlp_options.h"] + source["outputs.h"], (c, key)
END
	"$SPANTAP" record --config "$T/map.conf" --check-config >"$T/out" 2>&1 || fail "the ConfigMap: $(cat "$T/out")"
else
	echo "SKIP $PY has no yaml"
fi

if command -v otelcol-contrib >/dev/null; then
	for f in $D/otelcol-*.yaml; do
		CLICKHOUSE_USER=u CLICKHOUSE_PASSWORD=p LANGFUSE_KEYS=k otelcol-contrib validate --config "$f" >"$T/out" 2>&1 || fail "$f: $(cat "$T/out")"
	done
else
	echo "SKIP otelcol-contrib is not installed: components and references alone are checked"
fi

# The Containerfile's way from a program to its packages.
ldd "$SPANTAP" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | xargs -r -n1 realpath >"$T/libraries"
[ "$(wc -l <"$T/libraries")" -ge 10 ] || fail "libraries: $(cat "$T/libraries")"
grep -qF "awk '\$2 == \"=>\" && \$3 ~ /^\\// { print \$3 }' | xargs -r -n1 realpath" $D/Containerfile || fail "the Containerfile does it another way"

if command -v systemd-analyze >/dev/null; then
	mkdir -p "$T/unit" && sed "s|/usr/local/bin/spantap|$SPANTAP|" $D/spantap.service >"$T/unit/spantap.service"
	systemd-analyze verify --man=no "$T/unit/spantap.service" >"$T/out" 2>&1 || fail "systemd-analyze verify: $(cat "$T/out")"
	[ ! -s "$T/out" ] || fail "systemd-analyze verify: $(cat "$T/out")"
	score=$(systemd-analyze security --offline=true --no-pager "$T/unit/spantap.service" 2>/dev/null | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p')
	[ -z "$score" ] || echo "FIGURE systemd-analyze security: $score of 10"
	[ "$(echo "${score:-0}" | cut -d. -f1)" -lt 5 ] || fail "the unit is less confined than it was: $score"
else
	echo "SKIP systemd-analyze is not installed"
fi

# With the unit's rights alone it records.
"$SPANTAP" doctor >"$T/here" || fail "$(cat "$T/here")"
grep -q 'ok *uprobe.multi' "$T/here" || { echo "SKIP without uprobe.multi CAP_SYS_ADMIN is needed"; exit 0; }
caps=$(sed -n 's/^CapabilityBoundingSet=//p' $D/spantap.service | tr ' ' '\n' | sed 's/^CAP_/+/' | tr 'A-Z\n' 'a-z,' | sed 's/,$//')
provider
NAME=deploy-$$
cp "$(readlink -f "$(command -v "$PY")")" "$T/$NAME"
"$T/$NAME" -c 'import ssl' || skip "a copy of $PY does not work"
RECORD_UNDER=(setpriv --no-new-privs --bounding-set=-all,"$caps" --inh-caps=-all)
printf 'comm = %s\n' "$NAME" >"$T/spantap.conf"
recording unit --config "$T/spantap.conf"
mark
"$T/$NAME" tests/e2e/calls.py --base-url "$BASE_URL" --ca "$CA_FILE" --threads 1 --settle-ms 300 >"$T/calls"

# The reload of kubernetes.yaml, with another store.
line=$(sed -n 's/.*sh -c .\(kill -HUP .*\).$/\1/p' $D/kubernetes.yaml)
[ -n "$line" ] || fail "kubernetes.yaml does not say how to reload"
sh -c "${line//\/var\/lib\/spantap/$T/unit.store}" || fail "the reload of kubernetes.yaml: $line"
for _ in $(seq 100); do ! grep -q 'configuration read again: nothing changed' "$T/unit.err" || break; sleep 0.05; done
grep -q 'configuration read again: nothing changed' "$T/unit.err" || fail "it was not reloaded: $(cat "$T/unit.err")"
recorded unit
exchanges 1 unit
check unit 'len(chats) == 1' 'matches_truth()' 'all_complete()'
