#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""schema.py LEVEL OTLP_FILE: what was said, as the spans have it at one content level, against schemas/.

The schemas are written from the conventions' tables; a part of a type that they name must have its fields. At none no
content attribute may be there; at shape no text. Prints how many values of each attribute are valid, each that is not.
"""
import collections
import json
import os
import sys

import jsonschema

NAMES = ("system_instructions", "input.messages", "output.messages", "tool.definitions")
CONTENT = {"gen_ai." + n for n in NAMES} | {"gen_ai.tool.call.arguments", "gen_ai.tool.call.result",
                                            "gen_ai.retrieval.query.text", "gen_ai.retrieval.documents",
                                            "process.command_args", "process.working_directory", "mcp.resource.uri"}
SHOWN = {"type", "role", "name", "id", "finish_reason", "modality", "mime_type", "hash"}  # strings that shape shows


def validator(name):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schemas", name + ".json")
    with open(path, encoding="utf-8") as f:
        return jsonschema.Draft7Validator(json.load(f))


def attributes(path):
    """(name, text) of all content attributes."""
    for line in open(path, encoding="utf-8"):
        for rs in json.loads(line)["resourceSpans"]:
            for s in (s for ss in rs["scopeSpans"] for s in ss["spans"]):
                for a in s["attributes"]:
                    if a["key"] in CONTENT:
                        yield a["key"], a["value"].get("stringValue")


def texts(v, key=None):
    """Strings of a shape that are none of its own words."""
    if isinstance(v, dict):
        for k, x in v.items():
            yield from texts(x, k)
    elif isinstance(v, list):
        for x in v:
            yield from texts(x, key)
    elif isinstance(v, str) and key not in SHOWN and v != "[withheld]":
        yield v


def problem(level, v, text):
    """What is wrong with an attribute's value; None: nothing."""
    try:
        value = json.loads(text)
    except ValueError as e:
        return f"no JSON: {e}"
    for e in v.iter_errors(value):
        return f"at {list(e.absolute_path)}: {e.message[:200]}"
    for t in texts(value) if level == "shape" else ():
        return f"text is shown: {t[:100]!r}"
    return None


def main(level, path):
    validators = {"gen_ai." + n: validator(n) for n in NAMES}
    tally, bad, known = collections.Counter(), 0, {}
    for name, text in attributes(path):
        tally[name] += 1
        if level == "none" or name not in validators:
            wrong = "is there" if level == "none" else None
        else:
            if (name, text) not in known:
                known[name, text] = problem(level, validators[name], text)
            wrong = known[name, text]
        if wrong:
            bad += 1
            print(f"DIFF {level} {name} {wrong}: {(text or '')[:300]}")
    for name in sorted(validators):
        print(f"FIGURE content {level}: {tally[name]} values of {name}, {len([k for k in known if k[0] == name])} different")
    print(f"FIGURE content {level}: {bad} not as the schemas have it")
    return bad or (level != "none" and not all(tally[name] for name in validators))


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
