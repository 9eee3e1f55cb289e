#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""table.py add RESULTS NAME VERSION OTLP SITE   one row of what a test has captured
   table.py check RESULTS                        whether all that must be tested was; says what was not
   table.py write RESULTS README                 the table in README.md, between its markers
   table.py optional                             the tests that only AGENTS=all runs

RESULTS is build/agents.jsonl, which `tests/run agents` begins anew."""
import json
import sys

# name, what people call it, whether continuous integration must have tested it
ROWS = (
    ("codex", "Codex", True), ("opencode", "OpenCode", True), ("gemini_cli", "Gemini CLI", True),
    ("bun", "`openai` for Bun", True), ("node_openai", "`openai` for node", True),
    ("node_anthropic", "`@anthropic-ai/sdk` for node", True), ("httpx_h2", "python3 httpx, HTTP/2", True),
    ("curl_openssl", "libcurl, OpenSSL", True), ("curl_gnutls", "libcurl, GnuTLS", True), ("go", "Go, `net/http`", True),
    ("claude_code", "Claude Code", False), ("qwen", "Qwen Code", False), ("pi", "pi", False), ("deno", "Deno", False),
    ("copilot", "Copilot CLI", False),
)
BEGIN, END = "<!-- agents: written by tests/agents/table.py -->", "<!-- agents end -->"


def results(path):
    try:
        with open(path, encoding="utf-8") as f:
            return {r["name"]: r for r in map(json.loads, f)}
    except FileNotFoundError:
        return {}


def captured(otlp):
    """In words: which APIs, over what, how much."""
    chats = tools = processes = 0
    apis, libraries = set(), set()
    with open(otlp, encoding="utf-8") as f:
        for s in (s for line in f for r in json.loads(line)["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]):
            a = {x["key"]: next(iter(x["value"].values())) for x in s.get("attributes", [])}
            operation = a.get("gen_ai.operation.name")
            tools += operation == "execute_tool"
            processes += "process.pid" in a and operation != "invoke_agent"
            if "spantap.call.api" in a and operation in ("chat", "generate_content"):
                chats += 1
                apis.add(a["spantap.call.api"])
                libraries.add(a.get("spantap.tls.library", "no TLS"))
    if not chats:
        return "nothing, which is said"
    return f"{', '.join(sorted(apis))} over {', '.join(sorted(libraries))}; {chats} calls, {tools} tools, {processes} processes"


def add(path, name, version, otlp, site):
    if name not in (r[0] for r in ROWS):
        sys.exit(f"table.py has no row '{name}'")
    with open(path, "a", encoding="utf-8") as f:
        print(json.dumps({"name": name, "version": version, "captured": captured(otlp), "site": site}), file=f)


def check(path):
    found = results(path)
    absent = [label for name, label, must in ROWS if must and name not in found]
    if absent:
        print("FAILED: not tested, but must be: " + ", ".join(absent))
    print(f"FIGURE {len(found)} of {len(ROWS)} rows; not tested: " +
          (", ".join(label for name, label, _ in ROWS if name not in found) or "none"))
    sys.exit(bool(absent))


def write(path, readme):
    found = results(path)
    lines = ["| agent or stack | version | captured, equal to the server's log | site |", "|---|---|---|---|"]
    for name, label, _ in ROWS:
        r = found.get(name)
        lines.append(f"| {label} | {r['version']} | {r['captured']} | {r['site']} |" if r else f"| {label} | not tested | | |")
    with open(readme, encoding="utf-8") as f:
        text = f.read()
    before, rest = text.split(BEGIN + "\n")
    after = rest.split(END, 1)[1]
    with open(readme, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


if __name__ == "__main__":
    if sys.argv[1:] == ["optional"]:
        print(*(name for name, _, must in ROWS if not must))
    elif len(sys.argv) > 2 and sys.argv[1] in ("add", "check", "write"):
        {"add": add, "check": check, "write": write}[sys.argv[1]](*sys.argv[2:])
    else:
        sys.exit(__doc__)
