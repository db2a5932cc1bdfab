#!/usr/bin/env python3
"""A llama-server that loads nothing and misbehaves on request, for the tests of MartletEngine.

It takes the flags Martlet passes. What it does wrong comes as one more flag, --fake WORDS, comma-separated:
  exit-on-load     prints an error like llama.cpp's and ends with code 3
  slow-load        answers 503 until a file named like the socket plus ".go" appears
  no-socket        never opens its socket
  ignore-term      ignores SIGTERM
  grandchild       leaves a child of its own behind, which ignores SIGTERM
  exit-on-request  ends with code 7 at the first request that is not /health
  quotes           prints lines in which llama.cpp would quote a request, and one with a path, at each request
  reports-load     tells how far it is with loading, as llama-server tells its router, and ends when its input does
  noisy            prints 2000 long lines before it is ready
"""
import os
import signal
import socket
import subprocess
import sys
import threading
import time


def flag(name, default=None):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def say(text):
    print(text, file=sys.stderr, flush=True)


def answer(connection, status, body):
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    connection.sendall((head + body).encode())


def main():
    if "--version" in sys.argv:
        say("version: 1 (fake)")
        return
    if "--list-devices" in sys.argv:
        print("Available devices:")
        return
    if "--help" in sys.argv:
        print("-kvu,  --kv-unified     one cache for all slots")
        return
    behaviour = flag("--fake", "").split(",")
    path = flag("--host")
    if "ignore-term" in behaviour:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "grandchild" in behaviour:
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", code])
        say(f"grandchild {child.pid}")
    if "noisy" in behaviour:
        for number in range(2000):
            say(f"line {number} " + "x" * 900)
    if "exit-on-load" in behaviour:
        say(f"0.00.003.346 E gguf_init_from_reader: cannot read '{flag('--model')}'")
        say("0.00.004.115 E srv          init: exiting due to model loading error")
        sys.exit(3)
    if "no-socket" in behaviour:
        time.sleep(600)
    if "reports-load" in behaviour and "LLAMA_SERVER_ROUTER_PORT" in os.environ:
        for part, value in [("text_model", 0), ("text_model", 0.5), ("mmproj_model", 0.5)]:
            stages = '["text_model","mmproj_model"]'
            report = f'{{"stages":{stages},"current":"{part}","value":{value}}}'
            print('cmd_child_to_router:state:{"state":"loading","payload":' + report + "}", flush=True)
            time.sleep(0.3)
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(9)), daemon=True).start()
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(16)
    say("listening " + " ".join(sys.argv[1:]))
    while True:
        connection, _ = server.accept()
        request = connection.recv(65536).decode(errors="replace")
        if not request.startswith("GET /health "):
            if "quotes" in behaviour:
                say("0.00.008.000 E srv operator(): got exception: secret words")
                say("0.00.008.001 W common_chat_parse: Failed to parse: secret words")
                say("0.00.008.002 E GGML_ASSERT failed (/src/ggml/ggml.c:12)")
            if "exit-on-request" in behaviour:
                say("0.00.009.000 E ggml_abort: the fake engine gives up")
                os._exit(7)
            answer(connection, "200 OK", '{"fake":true}')
        elif "slow-load" in behaviour and not os.path.exists(path + ".go"):
            answer(connection, "503 Service Unavailable", '{"error":{"message":"Loading model"}}')
        else:
            answer(connection, "200 OK", '{"status":"ok"}')
        connection.close()


main()
