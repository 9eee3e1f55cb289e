#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stored.py STORE OTLP_FILE TRUTH_FILE [--twice]

The store and the OTLP file hold the same spans, each once, and one complete chat span for each exchange of the
truth log. --twice: spans may be in the OTLP file more than once (the sink process was killed between the write and
the acknowledgement). Prints what is otherwise and exits 1; prints figures else.
"""
import collections
import json
import os
import subprocess
import sys

store, otlp, truth_file = sys.argv[1:4]
twice = "--twice" in sys.argv
bad = []

exported = subprocess.run([os.environ.get("SPANTAP", "build/spantap"), "export", "--all", "--format", "json", "--store", store],
                          check=True, stdout=subprocess.PIPE).stdout
rows = {s["span_id"]: s["attributes"] for c in json.loads(exported) for s in c["spans"]}
lines = collections.Counter()
with open(otlp, encoding="utf-8") as f:
    for line in f:
        for rs in json.loads(line)["resourceSpans"]:
            for ss in rs["scopeSpans"]:
                lines.update(s["spanId"] for s in ss["spans"])

repeated = [i for i, n in lines.items() if n > 1]
if repeated and not twice:
    bad.append(f"{len(repeated)} spans are in the OTLP file more than once")
if set(lines) - set(rows):
    bad.append(f"{len(set(lines) - set(rows))} spans are in the OTLP file and not in the store")
if set(rows) - set(lines):
    bad.append(f"{len(set(rows) - set(lines))} spans are in the store and not in the OTLP file")

chats = [a for a in rows.values() if a.get("gen_ai.operation.name") == "chat"]
by_sha = {(c.get("spantap.call.request_sha256"), c.get("gen_ai.response.id")): c for c in chats}
truth = [json.loads(x) for x in open(truth_file, encoding="utf-8")] if truth_file != "/dev/null" else None
if truth is not None:
    truth = [t for t in truth if t["api"] in ("chat", "messages")]
    if len(chats) != len(truth):
        bad.append(f"{len(chats)} chat spans in the store, {len(truth)} exchanges")
    for t in truth:
        c = by_sha.get((t["request_sha256"], t["response_id"]))
        if c is None:
            bad.append(f"no span for exchange {t['seq']}")
            continue
        if c.get("spantap.complete") is not True or c.get("spantap.incomplete.reason"):
            bad.append(f"exchange {t['seq']} is not complete: {c.get('spantap.incomplete.reason')}")
        text = "".join(p.get("content", "") for m in json.loads(c.get("gen_ai.output.messages", "[]"))
                       for p in m["parts"] if p["type"] == "text")
        if text != (t["text"] or ""):
            bad.append(f"exchange {t['seq']}: {len(text)} characters of answer, sent were {len(t['text'] or '')}")
print("\n".join(bad[:20]) if bad else
      f"{len(rows)} spans, {len(chats)} calls, {sum(len(json.dumps(a)) for a in rows.values())} bytes of attributes, "
      f"{len(repeated)} twice in the OTLP file")
sys.exit(1 if bad else 0)
