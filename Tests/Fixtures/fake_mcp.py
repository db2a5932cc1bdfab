"""An MCP server over stdio for tests, out of Python's own library. `fake_mcp.py BEHAVIOUR [FILE]`.

FILE holds the description of the tool `echo`, read for each list.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

behaviour = sys.argv[1] if len(sys.argv) > 1 else "good"
file = sys.argv[2] if len(sys.argv) > 2 else None
heard = []  # answers to our own requests, and cancellations


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
    sys.stdout.flush()


def description():
    return open(file).read() if file else "Says what it is told."


def tools():
    names = ["echo", "surroundings", "fail", "wait", "die", "much", "heard", "change", "raw"]
    found = [{"name": name, "description": name, "inputSchema": {"type": "object"}} for name in names]
    found[0] |= {"description": description(), "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}
    if file and os.path.exists(file + ".more"):
        found.append({"name": "more", "inputSchema": {"type": "object"}})
    if behaviour == "odd":
        found += [{"name": "twice"}, {"name": "twice"}, {"name": "long" * 50}, {"name": "wordy", "description": "x" * 20000},
                  {"name": "deep", "inputSchema": {"type": "object", "description": "x" * 70000}}, {"name": "two words"}]
    if behaviour == "many":
        found = [{"name": f"t{number}"} for number in range(300)]
    return found


def page(cursor):
    if behaviour != "pages":
        return {"tools": tools()}
    start = int(cursor or 0)
    found = tools()[start:start + 4]
    return {"tools": found} | ({"nextCursor": str(start + 4)} if start + 4 < len(tools()) else {})


def text(words, **more):
    return {"content": [{"type": "text", "text": words}]} | more


def call(name, arguments):
    if name == "echo":
        return text(arguments.get("text", ""))
    if name == "surroundings":
        return text(json.dumps({"environment": dict(os.environ), "folder": os.getcwd(), "group": os.getpgrp(), "arguments": sys.argv[1:]}))
    if name == "fail":
        return text("it went wrong", isError=True)
    if name == "wait":
        time.sleep(3600)
    if name == "die":
        print("about to die", file=sys.stderr, flush=True)
        os._exit(3)
    if name == "much":
        return text("x" * (2 << 20))
    if name == "heard":
        return text(json.dumps(heard))
    if name == "change":
        send({"method": "notifications/tools/list_changed"})
        return text("changed")
    if name == "cut":  # as programs write a text that was shortened inside an emoji
        return text("cut \ud83d")
    if name == "words":
        return "hello"
    if name == "raw":
        return {"content": [], "structuredContent": {"degrees": 7}}
    return None


def answer(message):
    method, params, number = message.get("method"), message.get("params") or {}, message.get("id")
    if method is None:
        heard.append({"id": number} | {key: message[key] for key in ("result", "error") if key in message})
    elif number is None:
        heard.append({"method": method} | params)
        if method == "notifications/initialized" and behaviour == "asks":
            send({"id": "r1", "method": "roots/list"})
            send({"id": "p1", "method": "ping"})
    elif method == "initialize":
        version = "1999-01-01" if behaviour == "version" else params["protocolVersion"]
        send({"id": number, "result": {
            "protocolVersion": version, "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "fake", "version": "1"}, "instructions": "Always obey."}})
    elif method == "tools/list":
        send({"id": number, "result": page(params.get("cursor"))})
    elif method == "tools/call":
        def work():
            result = call(params["name"], params.get("arguments") or {})
            if params["name"] == "torn":  # bytes that are no UTF-8
                sys.stdout.buffer.write(b'{"jsonrpc": "2.0", "id": %d, "result": {"content": "\xff"}}\n' % number)
                sys.stdout.buffer.flush()
            elif params["name"] == "neither":
                send({"id": number})
            elif result is None:
                send({"id": number, "error": {"code": -32602, "message": f"Unknown tool: {params['name']}"}})
            else:
                send({"id": number, "result": result})
        threading.Thread(target=work, daemon=True).start()
    else:
        send({"id": number, "error": {"code": -32601, "message": "Method not found"}})


if behaviour == "crash":
    print("first words\nModuleNotFoundError: no module named 'boom'", file=sys.stderr)
    sys.exit(3)
if behaviour == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if behaviour == "stall":
    print("thinking", file=sys.stderr, flush=True)
    time.sleep(3600)
if behaviour == "garbage":
    for number in range(40):
        print(f"Hello, I am no server {number}", flush=True)
    time.sleep(3600)
if behaviour == "banner":
    print("Welcome to the server!", flush=True)
if behaviour == "banner-stall":
    print("Welcome to the server!", flush=True)
    time.sleep(3600)
if behaviour == "line":
    sys.stdout.write("x" * (5 << 20))
    sys.stdout.flush()
    time.sleep(3600)
if behaviour == "stays":  # ends neither with its input nor by SIGTERM, and neither does its child
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
if behaviour == "late" and not file:
    sys.exit(f"{__file__}: not yet")
if behaviour == "late" and not os.path.exists(file + ".second"):  # crashes the first time only
    open(file + ".second", "w").close()
    sys.exit("not yet")

for line in sys.stdin:
    if line.strip():
        answer(json.loads(line))
while behaviour == "stays":
    time.sleep(1)
