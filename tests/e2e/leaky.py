#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""leaky.py: a client that is careless with credentials. Writes into --canaries what may be found nowhere.

Looks into the --watch directory (the store) while it runs, and writes what it finds into --found.
"""
import argparse
import glob
import http.client
import json
import ssl
import subprocess
import time
import urllib.parse

parser = argparse.ArgumentParser()
for name in ("base-url", "ca", "canaries", "watch", "found", "api-key"):
    parser.add_argument("--" + name, required=True)
options = parser.parse_args()
url = urllib.parse.urlsplit(options.base_url)
always = {"argv --api-key of CMD": options.api_key}


def canary(where):
    always[where] = "CANARY" + "".join(c for c in where if c.isalnum()) + "7Qx%02d" % len(always)
    return always[where]


shape = {
    "sk-ant": "sk-ant-api03-Zx81kQpLmN2vB7cXw4TyUi9OpAsDfGhJkL-qw",
    "ghp": "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8",
    "JWT": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "PEM": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq8Zk2LmVx1pQ4RtYw\nUiOpAsDfGhJkLzXcVbNm1234567890AbCd\n"
           "-----END RSA PRIVATE KEY-----",
}
marker = "harmlessMARKERword"
context = ssl.create_default_context(cafile=options.ca)


def post(path, headers, body):
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=30)
    connection.request("POST", path, json.dumps(body).encode(), dict(headers, **{"Content-Type": "application/json"}))
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def chat(messages, **more):
    return dict({"model": "gpt-4o-mini", "messages": messages}, **more)


user = [{"role": "user", "content": marker}]
assert post("/v1/chat/completions", {"Authorization": "Bearer " + canary("Authorization header"),
                                     "Cookie": "session=" + canary("Cookie header"),
                                     "api-key": canary("api-key header"),
                                     "Proxy-Authorization": "Basic " + canary("Proxy-Authorization header"),
                                     "X-Goog-Api-Key": canary("x-goog-api-key header")}, chat(user)) == 200
assert post("/v1/messages", {"x-api-key": canary("x-api-key header"), "anthropic-version": "2023-06-01"},
            {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": user}) == 200
for name in ("key", "api_key", "access_token", "sig"):
    post("/v1/chat/completions?" + name + "=" + canary("query " + name), {}, chat(user))

# What an agent sends back of its tool calls, and what tools print.
calls = [
    {"id": "call_1", "type": "function", "function": {"name": "login", "arguments": json.dumps(
        {"user": "me", "password": canary("argument password"), "api_key": canary("argument api_key")})}},
    {"id": "call_2", "type": "function", "function": {"name": "shell", "arguments": json.dumps(
        {"command": "export AWS_SECRET_ACCESS_KEY=" + canary("export in a command")
         + " && curl -u user:" + canary("curl -u in a command") + " https://localhost/x"
         + " -H 'Authorization: Bearer " + canary("header in a command") + "'"
         + " https://user:" + canary("user info in a command") + "@localhost/"})}}]
post("/v1/chat/completions", {}, chat(user + [
    {"role": "assistant", "content": None, "tool_calls": calls},
    {"role": "tool", "tool_call_id": "call_1", "content": json.dumps({"access_token": canary("result JSON")})},
    {"role": "tool", "tool_call_id": "call_2", "content": "DB_PASSWORD=" + canary("env-like result")
     + "\nAuthorization: Bearer " + canary("header in a result") + "\n"}]))
post("/v1/messages", {}, {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": user + [
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "login",
                                       "input": {"password": canary("input password")}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1",
                                  "content": "token: '" + canary("quoted token in a result") + "'"}]}]})
post("/v1/chat/completions", {}, chat([{"role": "user", "content": "Look at " + ", ".join(shape.values())}]))

# An error that repeats the key.
key = canary("key that an error repeats")
with open(options.canaries + ".error.json", "w") as f:
    json.dump({"replies": [{"error": {"status": 401, "message": "Incorrect API key provided: " + key + ". You can find"
                                      " your API key in your account settings.",
                                      "openai": {"type": "invalid_request_error", "code": "invalid_api_key"},
                                      "anthropic": {"type": "authentication_error"}}}]}, f)
assert post("/v1/chat/completions", {"x-test-script": options.canaries + ".error.json",
                                     "Authorization": "Bearer " + key}, chat(user)) == 401

for argv in (["true", "--api-key", canary("argv --api-key")],
             ["true", "--api-key=" + canary("argv --api-key=")],
             ["true", "--token", canary("argv --token")],
             ["true", "-H", "Authorization: Bearer " + canary("argv -H")],
             ["true", "-H", "x-api-key: " + canary("argv -H x-api-key")],
             ["sh", "-c", "FOO_TOKEN=" + canary("argv assignment") + " sh -c true"],
             ["env", "API_KEY=" + canary("argv env"), "true"],
             ["bash", "-c", "exec -a mysql true -p" + canary("argv mysql -p")],
             ["true", "https://user:" + canary("argv user info") + "@localhost/"],
             ["true", "https://localhost/?api_key=" + canary("argv query")],
             ["true", '{"password": "' + canary("argv JSON") + '"}'],
             ["bash", "-c", "exec -a curl true -u me:" + canary("argv curl -u")]):
    subprocess.run(argv, check=False)

with open(options.canaries, "w") as f:
    json.dump({"always": always, "shape": shape, "marker": marker}, f)
time.sleep(1.2)  # sink commits
with open(options.found, "w") as f:
    for path in glob.glob(options.watch + "/*"):
        try:
            data = open(path, "rb").read()
        except FileNotFoundError:  # status.json.new, that was put in status.json's place meanwhile
            continue
        for where, c in always.items():
            if c.encode() in data:
                print(where, c, path, file=f)
