#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""spans.py OTLP_FILE TRUTH_FILE EXPRESSION...

Reads the spans that `spantap run --otlp-file` wrote and the provider's truth
log, and evaluates each expression; prints those that do not hold. Names in
expressions: spans, chats, tools, processes, turns, conversations (lists of
Span, in order of start), truth (list of exchanges that are LLM calls), exchanges
(all), and the functions below.
"""
import json
import sys


class Span:
    def __init__(self, raw, resource):
        self.raw, self.resource = raw, resource
        self.id, self.trace = raw["spanId"], raw["traceId"]
        self.parent_id = raw.get("parentSpanId", "")
        self.name = raw["name"]
        self.start, self.end = int(raw["startTimeUnixNano"]), int(raw["endTimeUnixNano"])
        self.attrs = {a["key"]: value(a["value"]) for a in raw.get("attributes", [])}
        self.error = raw.get("status", {}).get("code") == 2
        self.parent, self.children = None, []

    def get(self, key, default=None):
        return self.attrs.get(key, default)

    def descendants(self):
        for c in self.children:
            yield c
            yield from c.descendants()

    def __repr__(self):
        return f"<{self.name} {self.id}>"


def value(v):
    if "intValue" in v:
        return int(v["intValue"])
    if "arrayValue" in v:
        return [value(x) for x in v["arrayValue"].get("values", [])]
    return next(iter(v.values()), None)


def load(path):
    found = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            for rs in json.loads(line)["resourceSpans"]:
                for ss in rs["scopeSpans"]:
                    found += [Span(s, rs.get("resource", {})) for s in ss["spans"]]
    by_id = {}
    for s in found:
        assert s.id not in by_id, f"span id {s.id} was emitted twice"
        by_id[s.id] = s
    for s in sorted(found, key=lambda s: s.start):
        s.parent = by_id.get(s.parent_id)
        if s.parent:
            s.parent.children.append(s)
    return sorted(found, key=lambda s: s.start)


def output_text(chat):
    """All text parts of the answer (choice 0)."""
    messages = json.loads(chat.get("gen_ai.output.messages", "[]"))
    return "".join(p.get("content", "") for p in messages[0]["parts"] if p["type"] == "text") if messages else ""


def usage(t):
    """The truth's usage under the conventions' rules: input includes cached tokens, absent stays absent."""
    u = t.get("usage")
    if not u:
        return {}
    if t["api"] == "messages":
        read, made = u.get("cache_read_input_tokens"), u.get("cache_creation_input_tokens")
        r = {"gen_ai.usage.input_tokens": u["input_tokens"] + (read or 0) + (made or 0),
             "gen_ai.usage.output_tokens": u["output_tokens"]}
        if read is not None:
            r["gen_ai.usage.cache_read.input_tokens"] = read
        if made is not None:
            r["gen_ai.usage.cache_creation.input_tokens"] = made
        return r
    r = {"gen_ai.usage.input_tokens": u["prompt_tokens"], "gen_ai.usage.output_tokens": u["completion_tokens"]}
    cached = (u.get("prompt_tokens_details") or {}).get("cached_tokens")
    if cached is not None:
        r["gen_ai.usage.cache_read.input_tokens"] = cached
    return r


def differences(chat, t):
    """What the chat span says otherwise than the truth `t`."""
    want = {"gen_ai.request.model": t["request_model"], "gen_ai.response.model": t["response_model"],
            "gen_ai.response.id": t["response_id"], "spantap.call.request_sha256": t["request_sha256"],
            "gen_ai.operation.name": "chat"}
    if t["finish_reason"]:
        want["gen_ai.response.finish_reasons"] = [t["finish_reason"]]
    want.update(usage(t))
    bad = [f"{k}: {chat.get(k)!r}, truth {v!r}" for k, v in want.items() if v is not None and chat.get(k) != v]
    for k in chat.attrs:
        if k.startswith("gen_ai.usage.") and k not in want and k != "gen_ai.usage.reasoning.output_tokens":
            bad.append(f"{k}: {chat.get(k)!r}, the truth has none")
    if t["text"] is not None and output_text(chat) != t["text"]:
        bad.append(f"text: {output_text(chat)[:80]!r}, truth {t['text'][:80]!r}")
    calls = [p for m in json.loads(chat.get("gen_ai.output.messages", "[]")) for p in m["parts"]
             if p["type"] == "tool_call"]
    got = [(p.get("id"), p["name"], p.get("arguments")) for p in calls]
    exp = [(c["id"], c["name"], json.loads(c["arguments"])) for c in t["tool_calls"] or []]
    if got != exp:
        bad.append(f"tool calls: {got!r}, truth {exp!r}")
    return bad


def matches_truth():
    """Each exchange of the truth has its chat span, equal in every field; no other chat spans."""
    by_sha = {}
    for c in chats:
        by_sha.setdefault((c.get("spantap.call.request_sha256"), c.get("gen_ai.response.id")), []).append(c)
    bad = []
    for t in truth:
        found = by_sha.get((t["request_sha256"], t["response_id"]))
        if not found:
            bad.append(f"no span for exchange {t['seq']}")
            continue
        bad += [f"exchange {t['seq']}: {d}" for d in differences(found.pop(), t)]
    if len(chats) != len(truth):
        bad.append(f"{len(chats)} chat spans, {len(truth)} exchanges")
    print("\n".join(bad), end="\n" if bad else "")
    return not bad


def all_complete():
    bad = [s for s in spans if s.get("spantap.complete") is False]
    for s in bad:
        print("incomplete:", s, s.get("spantap.incomplete.reason"))
    return not bad


def argv(s):
    return s.get("process.command_args", [])


spans = load(sys.argv[1])
chats = [s for s in spans if s.get("gen_ai.operation.name") in ("chat", "text_completion", "generate_content")]
tools = [s for s in spans if s.get("gen_ai.operation.name") == "execute_tool"]
turns = [s for s in spans if s.get("gen_ai.operation.name") == "invoke_agent"]
processes = [s for s in spans if "process.pid" in s.attrs and s not in turns]
conversations = [s for s in spans if s.name.startswith("conversation")]
exchanges = [json.loads(x) for x in open(sys.argv[2], encoding="utf-8")] if sys.argv[2] != "/dev/null" else []
truth = [t for t in exchanges if t["api"] in ("chat", "messages")]

ok = True
for e in sys.argv[3:]:
    try:
        holds = eval(e)  # the tests' own expressions
    except Exception as x:  # shown with the expression that raised it
        holds = f"{type(x).__name__}: {x}"
    if holds is not True and (isinstance(holds, str) or not holds):
        print(f"does not hold: {e}" + (f" ({holds})" if isinstance(holds, str) else ""))
        ok = False
sys.exit(0 if ok else 1)
