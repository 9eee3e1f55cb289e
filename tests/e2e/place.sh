#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tier: service
#
# Where spans come from: the variables of OpenTelemetry name the resource; a process in a pod's cgroup has the resource
# of its container and pod, with the names that the kubelet's directories have, in JSON and in protobuf.
. "$(dirname "$0")/lib.sh"

"$PY" -c 'import opentelemetry.proto' 2>/dev/null || skip "python3-opentelemetry-proto is not installed"
unset "${!OTEL_@}"
provider
agent=("$PY" tests/fixtures/agent.py --base-url "$BASE_URL" --ca "$CA_FILE")

mkdir -p "$T/pb"
"$PY" tests/fixtures/otlp_backend.py "$T/pb" ok >"$T/pb/port" 2>"$T/pb/err" &
started+=($!)
for _ in $(seq 100); do [ ! -s "$T/pb/port" ] || break; sleep 0.05; done
URL=http://127.0.0.1:$(cat "$T/pb/port")

ID=$(printf '%064x' $$) UID_=$(printf '%08x-1111-2222-3333-444444444444' $$)
for hierarchy in /sys/fs/cgroup/unified /sys/fs/cgroup/memory /sys/fs/cgroup; do
	case $(stat -fc %T "$hierarchy" 2>/dev/null) in cgroup*) ;; *) continue ;; esac
	top=$hierarchy/kubepods-besteffort-pod${UID_//-/_}.slice
	below=$top/cri-containerd-$ID.scope
	mkdir -p "$below" 2>/dev/null || continue
	(echo $BASHPID >"$below/cgroup.procs") 2>/dev/null && break
	rmdir "$below" "$top"
	below=
done
[ -n "${below:-}" ] || skip "no cgroup can be made here"
PODS=/var/log/pods/spantap-e2e_agent-0_$UID_
had=$([ -d /var/log/pods ] && echo yes || :)
tidy() {
	rmdir "$below" "$top" "$PODS" 2>/dev/null || :
	[ -n "$had" ] || rmdir /var/log/pods 2>/dev/null || :
}
trap 'tidy; cleanup' EXIT
mkdir -p "$PODS"

# In the cgroup is the agent alone.
inside() { (echo $BASHPID >"$1/cgroup.procs" && shift && exec "$@"); }
NAME=place-$$
cp "$(readlink -f "$(command -v "$PY")")" "$T/$NAME"
"$T/$NAME" -c 'import ssl' || skip "a copy of $PY does not work"
export OTEL_SERVICE_NAME=fleet OTEL_RESOURCE_ATTRIBUTES='deployment.environment.name=a%2Cb,service.name=x,os.type=plan9'
recording pod --comm "$NAME" --otlp "$URL"
unset OTEL_SERVICE_NAME OTEL_RESOURCE_ATTRIBUTES
WAIT='import runpy, ssl, sys; sys.stdin.readline(); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")'
for where in inside outside; do
	run=(env)
	[ $where = outside ] || run=(inside "$below")
	gate $where "${run[@]}" "$T/$NAME" -c "$WAIT" "${agent[@]:1}"
	sleep 0.5
	echo >&9
	exec 9>&-
	wait $CLIENT || fail "the agent"
done
recorded pod
"$PY" - "$T/pod.otlp" "$T/pb/taken.jsonl" "$ID" "$UID_" <<'END' || fail "resources"
import json, sys
otlp, taken, container, pod = sys.argv[1:]
value = lambda v: next(iter(v.values()))
spans = {}
for line in open(otlp):
    for rs in json.loads(line)["resourceSpans"]:
        resource = {a["key"]: value(a["value"]) for a in rs["resource"]["attributes"]}
        for ss in rs["scopeSpans"]:
            for s in ss["spans"]:
                spans[s["spanId"]] = (s["name"], resource, {a["key"]: value(a["value"]) for a in s["attributes"]})
inside = {i: s for i, s in spans.items() if "container.id" in s[1]}
outside = {i: s for i, s in spans.items() if "container.id" not in s[1]}
for group in inside, outside:
    names = [s[0].split()[0] for s in group.values()]
    assert names.count("chat") == 4 and names.count("execute_tool") == 3 and len(names) > 8, names
for name, r, a in spans.values():
    assert r["service.name"] == "fleet" and r["deployment.environment.name"] == "a,b" and r["os.type"] == "plan9", r
    assert r["host.name"] and r["host.arch"] and r["telemetry.sdk.name"] == "spantap", r
for name, r, a in inside.values():
    assert r["container.id"] == container == a["container.id"] and r["k8s.pod.uid"] == pod == a["k8s.pod.uid"], (name, r)
    assert r["k8s.namespace.name"] == "spantap-e2e" and r["k8s.pod.name"] == "agent-0", (name, r)
assert not any(k.startswith("k8s.") for s in outside.values() for k in list(s[1]) + list(s[2]))
sent = {}
for line in open(taken):
    for s in json.loads(line)["spans"]:
        sent[s["id"]] = s
assert set(sent) == set(spans)
END
