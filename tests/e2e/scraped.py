#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scraped.py OPENMETRICS OTLP TRUTH EXPRESSION...: a scrape against the spans and the provider's log.

Parsed by prometheus_client's own parser. Names in expressions: families, and the functions below.
"""
import bisect
import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families


class Span:
    def __init__(self, raw):
        self.id, self.trace = raw["spanId"], raw["traceId"]
        self.start, self.end = int(raw["startTimeUnixNano"]), int(raw["endTimeUnixNano"])
        self.attributes = {a["key"]: value(a["value"]) for a in raw["attributes"]}

    def get(self, key):
        return self.attributes.get(key)


def value(v):
    return int(v["intValue"]) if "intValue" in v else next(iter(v.values()))


BOUNDS = [0.01 * 2 ** i for i in range(14)]
text = open(sys.argv[1]).read()
families = {f.name: f for f in text_string_to_metric_families(text)}
truth = [t for t in map(json.loads, open(sys.argv[3])) if t["api"]]
spans = []
for line in open(sys.argv[2]):
    for rs in json.loads(line)["resourceSpans"]:
        for ss in rs["scopeSpans"]:
            spans += [Span(s) for s in ss["spans"]]
chats = [s for s in spans if s.get("gen_ai.operation.name") == "chat"]


def samples(family, suffix="", **labels):
    return [s for s in families[family].samples if s.name == family + suffix
            and all(s.labels.get(k) == v for k, v in labels.items())]


def total(family, suffix="_total", **labels):
    return sum(s.value for s in samples(family, suffix, **labels))


def buckets(family, **labels):
    """Of all series together, each its own."""
    sums = {}
    for s in samples(family, "_bucket", **labels):
        sums[float(s.labels["le"])] = sums.get(float(s.labels["le"]), 0) + s.value
    v = [sums[k] for k in sorted(sums)]
    return [b - a for a, b in zip([0] + v, v)]


def counted(values, bounds=BOUNDS):
    out = [0] * (len(bounds) + 1)
    for v in values:
        out[bisect.bisect_left(bounds, v)] += 1
    return out


def tokens(key):
    return [t["usage"][key] for t in truth if t["usage"]]


def seconds(spans_):
    return [(s.end - s.start) / 1e9 for s in spans_]


def exemplars_are_spans(family):
    ids = {(s.trace, s.id): s for s in spans}
    found = [s.exemplar for s in samples(family, "_bucket") if s.exemplar]
    return found and all((e.labels["trace_id"], e.labels["span_id"]) in ids for e in found)


bad = [e for e in sys.argv[4:] if not eval(e)]
for e in bad:
    print("does not hold:", e)
sys.exit(bool(bad))
