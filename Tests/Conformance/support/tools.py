"""MCP servers for a Martlet under test: real ones of the `mcp` package, and one that is faked."""

import json
import os
import pathlib
import socket
import subprocess
import sys

from .server import REPOSITORY
from .waiting import until

PYTHON = str(sys.executable)
REAL = pathlib.Path(__file__).parent / "mcp_server.py"
FAKE = REPOSITORY / "Tests/Fixtures/fake_mcp.py"


def real(**environment):
    """The entry in `mcp.json` of a real server over stdio."""
    return {"command": PYTHON, "args": [str(REAL), "stdio"]} | ({"env": environment} if environment else {})


def fake(behaviour):
    return {"command": PYTHON, "args": [str(FAKE), behaviour]}


def give_servers(server, entries):
    """Puts an `mcp.json` into a server's home, before it starts."""
    server.home.mkdir(exist_ok=True)
    (server.home / "mcp.json").write_text(json.dumps({"mcpServers": entries}))


class WebServers:
    """Real servers over HTTP."""

    def __init__(self):
        self.running = []

    def start(self, form="events", token=None, authority=None):
        """The address of a new one, which answers in JSON or in events, wants the token, and shows the certificate."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [PYTHON, str(REAL), "http", str(port), form] + ([token] if token else [])
        shown = {"MCP_CERTIFICATE": str(authority.file), "MCP_KEY": str(authority.key)} if authority else {}
        self.running.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, env=os.environ | shown))

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, "the server listened", 30)
        return f"{'https://localhost' if authority else 'http://127.0.0.1'}:{port}/mcp"

    def stop(self):
        for process in self.running:
            process.terminate()
            process.wait(20)
