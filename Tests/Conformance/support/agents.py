"""Upstreams of every kind for agents, which stream: a model that is asked in its upstream's dialect, and answers in it."""

from . import answer_responses, asked, chat
from .matrix import PATHS

CHAT_KINDS = ("openai-compatible", "llamacpp", "lmstudio", "vllm")
KINDS = CHAT_KINDS + ("anthropic", "openai")
# Those that get reasoning back of what they answered before.
REMEMBERING = (*asked.REASONING, "anthropic", "openai")
DIALECTS = {"anthropic": "messages", "openai": "responses"} | dict.fromkeys(CHAT_KINDS, "chat")


class Model:
    """A script for an upstream of some kind. `say` makes an `Answer` of what was asked; all of that is kept in `asked`."""

    def __init__(self, kind, say):
        self.kind, self.say, self.asked = kind, say, []

    def __call__(self, exchange):
        try:
            assert exchange.request.target.split("?")[0] == PATHS[DIALECTS[self.kind]]
            assert chat.CLIENT_KEY.encode() not in exchange.request.head
            assert exchange.request.json["stream"] is True
            self.asked.append(asked.read(self.kind, exchange.request.json))
            said = self.say(self.asked[-1])
        except Exception:
            exchange.json({"error": {"message": "see the test"}}, 400, "Bad Request")  # which no agent asks again
            raise
        self.answer(exchange, said)

    def answer(self, exchange, said):
        if self.kind == "openai":
            answer_responses.script(said)(exchange)
        elif self.kind == "anthropic":
            # Claude Code takes replies of one id for pieces of one reply.
            exchange.stream(said.messages_stream().replace(b"msg_01upstream", b"msg_%d" % len(self.asked)), cut=61)
        else:
            words = said.chat_stream()
            if self.kind == "vllm":
                words = words.replace(b'"reasoning_content"', b'"reasoning"')
            exchange.stream(words, cut=61)
