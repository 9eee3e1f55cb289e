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
import shlex
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
    if t["api"] == "gemini":
        of = {"promptTokenCount": "input_tokens", "cachedContentTokenCount": "cache_read.input_tokens"}
        r = {"gen_ai.usage." + of[k]: n for k, n in u.items() if k in of}
        r["gen_ai.usage.output_tokens"] = u["candidatesTokenCount"] + u.get("thoughtsTokenCount", 0)
        return r
    of = ("input_tokens", "output_tokens") if t["api"] == "responses" else ("prompt_tokens", "completion_tokens")
    r = {"gen_ai.usage.input_tokens": u[of[0]], "gen_ai.usage.output_tokens": u[of[1]]}
    cached = (u.get(of[0] + "_details") or {}).get("cached_tokens")
    if cached is not None:
        r["gen_ai.usage.cache_read.input_tokens"] = cached
    for kind, key in zip(("input", "output"), of):
        audio = (u.get(key + "_details") or {}).get("audio_tokens")
        if audio is not None:
            r[f"gen_ai.usage.audio.{kind}_tokens"] = audio
    return r


def differences(chat, t):
    """What the chat span says otherwise than the truth `t`."""
    want = {"gen_ai.request.model": t["request_model"], "gen_ai.response.model": t["response_model"],
            "gen_ai.response.id": t["response_id"], "spantap.call.request_sha256": t["request_sha256"],
            "gen_ai.operation.name": "generate_content" if t["api"] == "gemini" else "chat"}
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


def damaged_calls(reason):
    """How many calls are marked incomplete with `reason`; -1 (said why) when any other differs from the truth."""
    marked = [c for c in chats if c.get("spantap.complete") is False and reason in c.get("spantap.incomplete.reason", "")]
    whole = {(c.get("spantap.call.request_sha256"), c.get("gen_ai.response.id")): c for c in chats if c not in marked}
    bad, missing = [], 0
    for t in truth:
        c = whole.pop((t["request_sha256"], t["response_id"]), None)
        missing += c is None
        bad += [f"exchange {t['seq']}: {d}" for d in differences(c, t)] if c else []
        if c and c.get("spantap.complete") is not True:
            bad.append(f"exchange {t['seq']}: incomplete: {c.get('spantap.incomplete.reason')}")
    if whole or missing != len(marked):
        bad.append(f"{len(marked)} calls are marked, {missing} have no complete span, {len(whole)} are of no exchange")
    print("\n".join(bad), end="\n" if bad else "")
    return -1 if bad else len(marked)


def errors_match():
    """Calls that failed say how, the others do not; retried and aborted ones included."""
    bad = []
    for t in truth:
        for c in chats:
            if (c.get("spantap.call.request_sha256"), c.get("gen_ai.response.id")) != (t["request_sha256"],
                                                                                      t["response_id"]):
                continue
            want = t["error"] and (t["error"]["type"], t["error"].get("code"))
            if not want and (c.error or c.get("error.type")):
                bad.append(f"exchange {t['seq']}: {c} says {c.get('error.type')!r}, the truth has no error")
            if want and not (c.error and c.get("error.type") in want):
                bad.append(f"exchange {t['seq']}: {c} says {c.get('error.type')!r}, truth {want!r}")
            if want and c.get("http.response.status_code") != t["response_status"]:
                bad.append(f"exchange {t['seq']}: status {c.get('http.response.status_code')}")
    print("\n".join(bad), end="\n" if bad else "")
    return not bad


# What each command of the scripts starts below its shell.
STARTS = {"uname -s && ls /etc/hostname": ["uname", "ls"], "printf 'one\ntwo\n' | wc -l": ["wc"],
          "sleep 0.2; echo first": ["sleep"], "sleep 0.1; echo second | tr a-z A-Z": ["sleep", "tr"],
          'echo "tool says $((6 * 7))"': [], "sleep 0.1; echo 1": ["sleep"], "sleep 0.2; echo 2": ["sleep"],
          "sleep 0.3; echo 3": ["sleep"]}


def tools_match():
    """Each tool call of the truth has its span, and below it exactly the processes that it started."""
    bad = []
    calls = {c["id"]: c for t in truth for c in t["tool_calls"] or []}
    if sorted(calls) != sorted(s.get("gen_ai.tool.call.id") for s in tools):
        bad.append(f"tools {[s.get('gen_ai.tool.call.id') for s in tools]}, truth {list(calls)}")
    seen = []
    for s in tools:
        c = calls.get(s.get("gen_ai.tool.call.id"))
        if not c:
            continue
        arguments = json.loads(c["arguments"])
        below = list(s.descendants())
        seen += below
        if s.get("gen_ai.tool.name") != c["name"] or json.loads(s.get("gen_ai.tool.call.arguments")) != arguments:
            bad.append(f"{s}: {s.attrs}, truth {c}")
        if s.get("gen_ai.tool.call.result") is None:
            bad.append(f"{s} has no result")
        if s.parent not in turns:
            bad.append(f"{s} is below {s.parent}")
        if c["name"] != "shell":
            bad += [f"{s} has {x} below it" for x in below]
            continue
        shells = s.children
        if len(shells) != 1 or argv(shells[0]) != ["/bin/sh", "-c", arguments["command"]]:
            bad.append(f"{s} has {[argv(x) for x in shells]} below it")
            continue
        started = sorted(x.get("process.executable.name") for x in shells[0].children)
        if started != sorted(STARTS[arguments["command"]]):
            bad.append(f"{s}: {started} below its shell")
        for x in below:
            if x.get("process.exit.code") != 0:
                bad.append(f"{x}: exit code {x.get('process.exit.code')}")
            if not (s.start <= x.start and x.end <= s.end):
                bad.append(f"{x} is not within the time of {s}")
            if x.parent in processes and x.get("process.parent_pid") != x.parent.get("process.pid"):
                bad.append(f"{x}: parent pid {x.get('process.parent_pid')}, below {x.parent.get('process.pid')}")
    bad += [f"{p} {argv(p)} is below no tool" for p in processes if p not in seen]
    print("\n".join(bad), end="\n" if bad else "")
    return not bad


def runs(arguments, command):
    """Whether a shell is given the command: as it is, or within a script of the agent's, quoted or on lines of its own."""
    return command in arguments or any("eval " + shlex.quote(command) in a or f"\n{command}\n" in a for a in arguments)


def shell_tools_match(subshell=False):
    """
    The tools are the truth's, each that has a command with its shell below it by the evidence of argv, below that
    what the command started, and nothing else; it started with that shell and ended with the last process. What the
    agent runs of its own hangs on the turn. `subshell`: the shell forks one that executes nothing, and that starts it.
    """
    bad = []
    calls = {c["id"]: next((a[k] for k in ("command", "cmd") if k in a), None) for t in truth
             for c in t["tool_calls"] or [] for a in [json.loads(c["arguments"])]}
    if sorted(calls) != sorted(s.get("gen_ai.tool.call.id") for s in tools):
        bad.append(f"tools {[s.get('gen_ai.tool.call.id') for s in tools]}, truth {list(calls)}")
    for s in tools:
        if not s.get("gen_ai.tool.call.result") or s.parent not in turns:
            bad.append(f"{s} is below {s.parent}, result {s.get('gen_ai.tool.call.result')!r}")
        command = calls.get(s.get("gen_ai.tool.call.id"))
        if not command:
            bad += [f"{p} is a stranger below {s}" for p in s.children if p in processes]
            continue
        shells = [p for p in s.children if runs(argv(p), command)]
        below = sorted(p.get("process.executable.name") for p in s.descendants() if p not in shells)
        if len(shells) != 1 or shells[0].get("spantap.link.evidence") != "argv" or below != sorted(STARTS[command]):
            bad.append(f"{s}: {[argv(p) for p in s.descendants()]} below it")
            continue
        pid = shells[0].get("process.pid")
        bad += [f"{p} is a stranger below {s}" for p in s.children if p.get("process.pid") != pid]
        bad += [f"{p}: parent pid {p.get('process.parent_pid')}" for p in shells[0].children
                if (p.get("process.parent_pid") != pid) != subshell]
        bad += [f"{p} ended with {p.get('process.exit.code')}" for p in s.descendants()
                if p.get("process.exit.code", 0) != 0]
        for key, want in (("started", shells[0].start), ("ended", max(p.end for p in s.children))):
            if abs(s.get("spantap.tool." + key, -1) - (want - s.start) / 1e9) > 1e-6:
                bad.append(f"{s} {key} after {s.get('spantap.tool.' + key)} s, its process after {(want - s.start) / 1e9}")
    print("\n".join(bad), end="\n" if bad else "")
    return not bad


def times_match(late=0.05, sane=5.0):
    """
    The client sees what the server did, and later: request to first byte and to first token are at least the
    server's, less `late` for stamps taken late on a busy machine. `sane` catches a wrong unit or a wrong stamp, no
    more: how late a client reads is the machine's affair.
    """
    bad, more = [], []
    by_key = {(c.get("spantap.call.request_sha256"), c.get("gen_ai.response.id")): c for c in chats}
    for t in truth:
        c = by_key[t["request_sha256"], t["response_id"]]
        pairs = [("headers", c.get("spantap.call.headers_time"), t["t_first_byte"]),
                 ("end", (c.end - c.start) / 1e9, t["t_first_byte"])]
        if t["stream"] and not t["error"]:
            pairs.append(("first token", c.get("gen_ai.response.time_to_first_chunk"), t["t_first_token"]))
        for what, got, stamp in pairs:
            want = (stamp - t["t_request_start"]) / 1e9
            more += [got - want] if what != "end" and got is not None else []
            if got is None or got < want - late:
                bad.append(f"exchange {t['seq']}: {what} after {got} s, the server says {want:.6f} s")
    if more and max(more) > sane:
        bad.append(f"a time is {max(more)} s above the server's")
    if more:
        print(f"FIGURE times above the server's: median {sorted(more)[len(more) // 2] * 1e3:.1f} ms, "
              f"largest {max(more) * 1e3:.1f} ms")
    print("\n".join(bad), end="\n" if bad else "")
    return not bad


def in_shape():
    """Conversation → turns → chats and tools; every parent exists."""
    bad = [f"{s} has no parent" for s in spans if s.parent_id and not s.parent]
    bad += [f"{c} is below {c.parent}" for c in chats if c.parent not in turns]
    bad += [f"{c} is below {c.parent}" for c in turns if c.parent not in conversations and c.parent not in tools]
    bad += [f"{s} is not within {s.parent}" for s in chats + tools
            if s.parent and not (s.parent.start <= s.start and s.end <= s.parent.end)]
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
truth = [t for t in exchanges if t["api"] in ("chat", "messages", "responses", "gemini")]

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
