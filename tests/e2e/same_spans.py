#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""same_spans.py [--some] FILE FILE: both hold the same spans in any order, each once.

--some: the second was cut off; every chat and process that is complete in it must be in the first, equal.
"""
import json
import sys


def load(path):
    spans = {}
    for line in open(path, encoding="utf-8"):
        for rs in json.loads(line)["resourceSpans"]:
            for ss in rs["scopeSpans"]:
                for s in ss["spans"]:
                    assert s["spanId"] not in spans, f"{path}: span {s['spanId']} twice"
                    s["attributes"] = {a["key"]: a["value"] for a in s["attributes"]}
                    spans[s["spanId"]] = s
    return spans


some = sys.argv[1] == "--some"
a, b = load(sys.argv[-2]), load(sys.argv[-1])
bad = []
if some:
    b = {k: s for k, s in b.items() if s["name"].startswith("chat") and s["attributes"]["spantap.complete"]["boolValue"]}
    a = {k: s for k, s in a.items() if k in b}
    if not b:
        bad.append("no complete chat span")
for k in sorted(a.keys() | b.keys()):
    if k not in a or k not in b:
        bad.append(f"{k} {(a.get(k) or b.get(k))['name']} is only in the {'first' if k in a else 'second'}")
    elif a[k] != b[k]:
        x, y = dict(a[k], **a[k]["attributes"]), dict(b[k], **b[k]["attributes"])
        bad += [f"{k} {a[k]['name']}: {f}: {x.get(f)!r}, {y.get(f)!r}" for f in sorted(x.keys() | y.keys())
                if f != "attributes" and x.get(f) != y.get(f)]
print("\n".join(bad[:20]), end="\n" if bad else "")
sys.exit(bool(bad))
