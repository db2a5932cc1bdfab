"""One server before an upstream of each kind, shared by the tests of client dialects times upstream dialects."""

import anthropic
import openai

from . import answer_responses, chat
from .server import Martlet
from .upstream import Upstream

# The dialects that each kind of upstream speaks, the one for clients of another dialect first.
KINDS = {"openai-compatible": ("chat",), "llamacpp": ("chat",), "openai": ("responses", "chat"), "anthropic": ("messages",)}
CLIENTS = ("chat", "messages")
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


def spoken(kind, client):
    """The dialect in which that kind of upstream is asked for a client."""
    return client if client in KINDS[kind] else KINDS[kind][0]


def script(answer, dialect):
    """Answers a request in that dialect."""
    return answer_responses.script(answer) if dialect == "responses" else answer.script(dialect)


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
