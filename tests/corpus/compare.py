#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py HOW CORPUS DIR OTLP_FILE: the spans of a client of tls.sh against what each recording expects.

A span says at the end of user_agent.original which exchange it is; prints exact/total per provider and scope
and per coding of the answer, and each difference. Differences that are known and right lie in tests/golden/known.tsv, which is of
all harnesses: what only this one finds is marked `span:` there, and must occur. Exits 1 when something else differs.
"""
import collections
import glob
import hashlib
import json
import sys

import exchanges
import wire

KNOWN = "tests/golden/known.tsv"
WORDS = {"chat", "text_completion", "embeddings", "generate_content"}
ITEMS = {"local_shell_call", "shell_call", "apply_patch_call", "computer_call"}  # the agent's, but server_items there


def value(v):
    if "intValue" in v:
        return int(v["intValue"])
    if "arrayValue" in v:
        return [value(x) for x in v["arrayValue"].get("values", [])]
    return next(iter(v.values()), None)


def load(path):
    """The attributes of every span, and as "message" that of its status."""
    found = []
    for line in open(path, encoding="utf-8"):
        for rs in json.loads(line)["resourceSpans"]:
            for s in (s for ss in rs["scopeSpans"] for s in ss["spans"]):
                found.append({a["key"]: value(a["value"]) for a in s["attributes"]})
                found[-1]["message"] = s.get("status", {}).get("message")
    return found


class Known:
    def __init__(self):
        self.rows = {}
        for line in open(KNOWN, encoding="utf-8"):
            if line.strip() and line[0] != "#":
                file, n, field = line.split("\t")[:3]
                self.rows[file, n, field] = False

    def has(self, x, field):
        for one in (field, "span:" + field):
            if (x.path, str(x.n), one) in self.rows:
                self.rows[x.path, str(x.n), one] = True
                return True
        return False

    def stale(self):
        return [row for row, seen in self.rows.items() if row[2].startswith("span:") and not seen]


def differences(got, want):
    """(field, got, want) of two dicts of the same fields."""
    return [(f, got.get(f), want.get(f)) for f in want if got.get(f) != want.get(f)]


def text_of(message, kind):
    return "".join(p["content"] for p in message.get("parts", []) if p["type"] == kind)


def sha(text):
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def arguments(v):
    """Arguments that are no JSON are expected as the string they are; none at all as null."""
    if isinstance(v, str):
        try:
            return json.loads(v)
        except ValueError:
            pass
    return None if v == "" else v


def wanted_error(e, status):
    if not e:
        return None
    word = e.get("type") or e.get("status") or e.get("code")
    return str(word) if word not in (None, "") else str(status) if status >= 400 else None


def request_fields(s, x):
    e = x.expect
    got = {"request_stream": bool(s.get("gen_ai.request.stream")), "status": s.get("http.response.status_code")}
    want = {"request_stream": bool(e.get("request_stream")), "status": e.get("status")}
    operation = s.get("gen_ai.operation.name")
    if e.get("operation"):
        got["operation"], want["operation"] = operation, e["operation"]
    elif operation in WORDS:
        got["operation"], want["operation"] = operation, None
    if x.scope != "request_only" or e.get("request_model"):
        got["request_model"], want["request_model"] = s.get("gen_ai.request.model") or None, e.get("request_model") or None
    if x.scope != "request_only":
        got["error"], want["error"] = s.get("error.type"), wanted_error(e.get("error"), e.get("status"))
        if e.get("error") and want["error"] is None:  # it has only a message, which the span's type cannot be held against
            del got["error"], want["error"]
        head = (e.get("error") or {}).get("message_head")
        if head:
            got["error message"], want["error message"] = (s["message"] or "")[:len(head)], head
    if e.get("empty_body"):
        got["empty_body"], want["empty_body"] = s.get("spantap.call.response_bytes"), 0
    return got, want


def finish_reasons(e):
    return [str(v) for v in e.get("finish_reasons") or [] if v is not None]


def usage_fields(s, e):
    names = {"input": "input_tokens", "output": "output_tokens", "cache_read": "cache_read.input_tokens",
             "cache_write": "cache_creation.input_tokens", "reasoning": "reasoning.output_tokens"}
    u = e.get("usage_semconv") or {}
    return ({f"usage.{k}": s.get("gen_ai.usage." + v) for k, v in names.items()},
            {f"usage.{k}": u.get(k) for k in names})


def content_fields(s, e):
    out = json.loads(s.get("gen_ai.output.messages") or "[]")
    first = out[0] if out else {}
    got, want = {}, {}
    for kind, name in (("text", "text"), ("reasoning", "reasoning")):
        if e.get(name + "_sha256"):
            text = text_of(first, kind)
            got[name], want[name] = (sha(text), len(text.encode())), (e[name + "_sha256"], e[name + "_len"])
    if "choices" in e:
        got["choices"], want["choices"] = len(out), len(e["choices"])
    for i, choice in enumerate(e.get("choices") or []):
        text = text_of(out[i], "text") if i < len(out) else ""
        got[f"choice {i}"] = (sha(text), len(text.encode()))
        want[f"choice {i}"] = (choice.get("text_sha256"), choice.get("text_len"))
    calls = [p for m in out for p in m.get("parts", []) if p["type"] == "tool_call" and p["name"] not in ITEMS]
    got["tool_calls"] = [(p.get("id") or None, p["name"] or None, arguments(p.get("arguments"))) for p in calls]
    want["tool_calls"] = [(t.get("id") or None, t.get("name") or None, arguments(t.get("arguments"))) for t in e.get("tool_calls") or []]
    if "server_items" in e:
        api = s["spantap.call.api"]
        got["server_items"], want["server_items"] = [item for p in first.get("parts", []) for item in server_item(p, api)], e["server_items"]
    if "refusal_len" in e:
        refused = [p["content"] for p in first.get("parts", []) if p["type"] == "refusal"]
        got["refusal_len"], want["refusal_len"] = len("".join(refused).encode()), e["refusal_len"]
    return got, want


def server_item(p, api):
    """What the provider ran itself, by the name that `expect` has for it: one or none."""
    kind = p["type"]
    if kind == "reasoning":
        return ["redacted_thinking"] if p.get("redacted") else []
    if kind in ("text", "refusal", "tool_call_response") or (kind == "tool_call" and p["name"] not in ITEMS):
        return []
    body = p.get(kind, {}) if kind.startswith("server_tool_call") else {}
    if api.startswith("gemini") and "toolType" in json.dumps(body):
        return ["toolCall" if kind == "server_tool_call" else "toolResponse"]
    prefix = "server_tool_use:" if kind == "server_tool_call" and api.startswith("anthropic") else ""
    return [prefix + (p.get("name") or body.get("type") or kind)]


def wire_fields(s, x):
    """What `expect` leaves out: parameters, details of usage."""
    want = {**wire.request(x), **wire.response(x)}
    return {name: s.get(name) for name in want}, want


def full_fields(s, x):
    e = x.expect
    got = {"response_id": s.get("gen_ai.response.id") or None, "response_model": s.get("gen_ai.response.model") or None,
           "finish_reasons": s.get("gen_ai.response.finish_reasons") or []}
    want = {"response_id": e.get("response_id") or None, "response_model": e.get("response_model") or None,
            "finish_reasons": finish_reasons(e)}
    complete = s.get("spantap.complete")
    if "stream_complete" in e:
        got["stream_complete"] = bool(complete and s.get("gen_ai.response.finish_reasons"))
        want["stream_complete"] = e["stream_complete"]
    else:
        got["complete"], want["complete"] = complete, True
    got["stream_framing"], want["stream_framing"] = s.get("spantap.call.framing"), e.get("stream_framing")
    got["stream"], want["stream"] = "spantap.call.framing" in s, bool(e.get("stream"))
    if e.get("response_status"):
        got["response_status"], want["response_status"] = s.get("spantap.call.response_status"), e["response_status"]
    if e.get("embeddings_count") is not None:
        got["embeddings_count"], want["embeddings_count"] = s.get("spantap.call.output_count"), e["embeddings_count"]
    for more in (usage_fields(s, e), content_fields(s, e), wire_fields(s, x)):
        got.update(more[0])
        want.update(more[1])
    return got, want


def mcp_fields(found, e):
    got = [(s.get("mcp.method.name"), s.get("jsonrpc.request.id"), s.get("gen_ai.tool.name")) for s in found]
    want = [(m["method"], None if m.get("id") is None else str(m["id"]), m.get("tool")) for m in e.get("mcp") or []]
    return {"mcp": sorted(got, key=repr)}, {"mcp": sorted(want, key=repr)}


def judge(x, calls, mcp):
    """The differences of one exchange."""
    bad = differences(*mcp_fields(mcp, x.expect))
    expected = 0 if x.scope == "none" or x.api == "mcp" else 1
    if len(calls) != expected:
        return bad + [("call", [s.get("spantap.call.api") for s in calls], expected)]
    if not calls:
        return bad
    bad += differences(*request_fields(calls[0], x))
    return bad + differences(*full_fields(calls[0], x)) if x.scope == "full" else bad


def made(directory):
    """The numbers of the exchanges that were made."""
    return sorted(int(line) for name in glob.glob(directory + "/made.*") for line in open(name, encoding="ascii"))


def exchange_of(s):
    number = (s.get("user_agent.original") or "").rpartition("exchange/")[2]
    return int(number) if number.isdecimal() else -1


class Tally:
    """exact/total by some key."""

    def __init__(self):
        self.exact, self.total = collections.Counter(), collections.Counter()

    def add(self, key, exact):
        self.total[key] += 1
        self.exact[key] += exact

    def report(self, how):
        for key in sorted(self.total, key=str):
            what = " ".join(f"{word or '-':12}" for word in key)
            print(f"FIGURE {how} {what} {self.exact[key]} of {self.total[key]} exact")


def main(how, corpus, directory, otlp):
    every, done, known = exchanges.load(corpus), made(directory), Known()
    calls, mcp, peerless = collections.defaultdict(list), collections.defaultdict(list), 0
    for s in load(otlp):
        kind = calls if s.get("spantap.call.api") else mcp if s.get("mcp.method.name") else None
        if kind is not None:
            kind[exchange_of(s)].append(s)
            peerless += "network.peer.port" not in s
    astray = len(calls[-1]) + len(mcp[-1])
    by_provider, by_coding, over = Tally(), Tally(), Tally()
    for x in (every[n] for n in done):
        bad = [d for d in judge(x, calls[x.number], mcp[x.number]) if not known.has(x, d[0])]
        for field, got, want in bad:
            print(f"DIFF {how} {x.path} #{x.n} {field}: got {got!r:.300}, expected {want!r:.300}")
        by_provider.add((x.provider, x.scope), not bad)
        by_coding.add((exchanges.response_message(x)[2] or "as it is",), not bad)
        over.add(how, not bad)
    by_provider.report(how)
    by_coding.report(how)
    exact, total = over.exact[how], over.total[how]
    print(f"FIGURE {how} {exact} of {total} exchanges exact over TLS; {len(every) - total} not to be replayed; "
          f"{astray} spans of none; {peerless} spans without peer")
    for row in known.stale():
        print("KNOWN", *row, "does not differ any more: remove it")
    return exact != total or not total or bool(known.stale()) or bool(astray)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
