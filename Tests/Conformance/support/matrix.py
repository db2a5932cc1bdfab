"""One server before an upstream of each kind, shared by the tests of client dialects times upstream dialects."""

import anthropic
import openai

from . import chat
from .server import Martlet
from .upstream import Upstream

# The dialect that each kind of upstream speaks.
KINDS = {"openai-compatible": "chat", "llamacpp": "chat", "openai": "chat", "anthropic": "messages"}
CLIENTS = ("chat", "messages")


class Matrix:
    """Its upstreams are named like their kinds: the model of the first is `openai-compatible/m1`."""

    def __init__(self):
        self.upstreams = {kind: Upstream(None) for kind in KINDS}
        self.server = Martlet("--no-discovery", config={"upstreams": {
            kind: {"kind": kind, "url": source.url, "api_key": chat.UPSTREAM_KEY, "retries": 0}
            for kind, source in self.upstreams.items()}})
        self.server.start()
        self.server.wait_for_model(chat.MODEL)
        options = {"api_key": chat.CLIENT_KEY, "max_retries": 0, "timeout": 30}
        self.chat = openai.OpenAI(base_url=f"{self.server.url}/v1", **options)
        self.messages = anthropic.Anthropic(base_url=self.server.url, **options)

    def client(self, dialect):
        return self.chat if dialect == "chat" else self.messages

    def play(self, kind, script):
        """Has the upstream follow a script, and forget what it was asked before."""
        source = self.upstreams[kind]
        source.script = script
        source.requests.clear()
        source.exchanges.clear()
        return source

    def close(self):
        """What is wrong after its end, as `Martlet.stop` lists it."""
        self.chat.close()
        self.messages.close()
        wrong = self.server.stop()
        for source in self.upstreams.values():
            source.close()
        self.server.remove()
        return wrong
