"""What a model says, as an upstream writes it: whole or streamed, as Chat Completions or as Anthropic Messages. For Responses see
`answer_responses.py`.
"""

import dataclasses
import json
import typing

from . import chat

# An end for either dialect: (finish_reason, stop_reason).
ENDS = {"end": ("stop", "end_turn"), "length": ("length", "max_tokens"), "calls": ("tool_calls", "tool_use"),
        "refusal": ("content_filter", "refusal"), "stop": ("stop", "stop_sequence")}
SIGNATURE = "EqQBCkgIARABGAIiQL3+genuine/signature=="
SEAL = "gAAAABqx/3Vw+Zk9_genuine-seal=="


class Usage(typing.NamedTuple):
    """Tokens: `fresh`, `cached` and `written` make up the prompt; `thinking` is part of `output`."""

    fresh: int = 9
    output: int = 4
    cached: int = 0
    written: int = 0
    thinking: int = 0


class Text(str):
    """A text that the stream cuts into pieces of 7 characters."""


class Thinking(str):
    """Reasoning, signed where the dialect signs it."""


class Sealed(Thinking):
    """Reasoning that comes with `SEAL`, the form that only its maker can read."""


class Call(typing.NamedTuple):
    """A tool call; `arguments` is JSON text, which nobody may spell anew."""

    id: str
    name: str
    arguments: str


@dataclasses.dataclass
class Answer:
    """Parts in their order, an end of `ENDS`, and the tokens. `stop` is the stop string that ended it."""

    parts: list
    end: str = "end"
    usage: Usage = Usage()
    stop: str | None = None

    def calls(self):
        return [part for part in self.parts if isinstance(part, Call)]

    def joined(self, kind):
        return "".join(part for part in self.parts if isinstance(part, kind))

    # As Chat Completions

    def chat_usage(self):
        fresh, output, cached, written, thinking = self.usage
        prompt = fresh + cached + written
        usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
        if cached or written:
            usage["prompt_tokens_details"] = {"cached_tokens": cached, "cache_write_tokens": written}
        if thinking:
            usage["completion_tokens_details"] = {"reasoning_tokens": thinking}
        return usage

    def chat(self):
        """A whole reply."""
        message = {"role": "assistant", "content": self.joined(Text) or None}
        if thinking := self.joined(Thinking):
            message["reasoning_content"] = thinking
        if self.calls():
            message["tool_calls"] = [chat.call(*call) for call in self.calls()]
        return chat.completion() | {
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": ENDS[self.end][0]}],
            "usage": self.chat_usage()}

    def chat_stream(self):
        """The events of a stream; parallel calls interleave."""
        values = [chat.chunk({"role": "assistant", "content": ""})]
        for part in self.parts:
            if not isinstance(part, Call):
                key = "content" if isinstance(part, Text) else "reasoning_content"
                values += [chat.chunk({key: piece}) for piece in pieces(part)]
        for index, call in enumerate(self.calls()):
            values.append(chat.chunk({"tool_calls": [
                {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}]}))
        cut = [pieces(call.arguments) for call in self.calls()]
        for turn in range(max(map(len, cut), default=0)):
            values += [chat.chunk({"tool_calls": [{"index": index, "function": {"arguments": some[turn]}}]})
                       for index, some in enumerate(cut) if turn < len(some)]
        values += [chat.chunk({}, ENDS[self.end][0]), chat.chunk() | {"choices": [], "usage": self.chat_usage()}]
        return b"".join(map(chat.event, values)) + chat.DONE

    # As Anthropic Messages

    def messages_usage(self):
        fresh, output, cached, written, thinking = self.usage
        usage = {"input_tokens": fresh, "cache_creation_input_tokens": written, "cache_read_input_tokens": cached,
                 "output_tokens": output}
        if thinking:
            usage["output_tokens_details"] = {"thinking_tokens": thinking}
        return usage

    def message(self, content=(), **more):
        return {"id": "msg_01upstream", "type": "message", "role": "assistant", "model": chat.MODEL,
                "content": list(content), "stop_reason": None, "stop_sequence": None, "usage": self.messages_usage()} | more

    def messages(self):
        """A whole reply, as bytes: the arguments keep their spelling."""
        blocks, inputs = [], []
        for part in self.parts:
            if isinstance(part, Call):
                inputs.append(part.arguments)
                blocks.append({"type": "tool_use", "id": part.id, "name": part.name, "input": f"raw-{len(inputs)}"})
            elif isinstance(part, Thinking):
                blocks.append({"type": "thinking", "thinking": part, "signature": SIGNATURE})
            else:
                blocks.append({"type": "text", "text": part})
        body = chat.dumps(self.message(blocks, stop_reason=ENDS[self.end][1], stop_sequence=self.stop))
        for number, raw in enumerate(inputs, 1):
            body = body.replace(b'"raw-%d"' % number, raw.encode())
        return body

    def messages_stream(self):
        """The events of a stream, with a ping behind the first."""
        events = [{"type": "message_start", "message": self.message() | {
            "usage": self.messages_usage() | {"output_tokens": 1}}}, {"type": "ping"}]
        for index, part in enumerate(self.parts):
            if isinstance(part, Call):
                block, deltas = {"type": "tool_use", "id": part.id, "name": part.name, "input": {}}, [
                    {"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(part.arguments)]]
                if part.arguments == "{}":
                    deltas = []
            elif isinstance(part, Thinking):
                block = {"type": "thinking", "thinking": "", "signature": ""}
                deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(part)]
                deltas.append({"type": "signature_delta", "signature": SIGNATURE})
            else:
                block = {"type": "text", "text": ""}
                deltas = [{"type": "text_delta", "text": piece} for piece in pieces(part)]
            events.append({"type": "content_block_start", "index": index, "content_block": block})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        events.append({"type": "message_delta", "delta": {"stop_reason": ENDS[self.end][1], "stop_sequence": self.stop},
                       "usage": {"output_tokens": self.usage.output} | (
                           {"output_tokens_details": {"thinking_tokens": self.usage.thinking}} if self.usage.thinking else {})})
        events.append({"type": "message_stop"})
        return b"".join(map(named, events))

    def script(self, dialect):
        """Answers a request, streamed or whole as it asks."""
        def answer(exchange):
            if exchange.request.json.get("stream"):
                exchange.stream(self.chat_stream() if dialect == "chat" else self.messages_stream(), cut=61)
            else:
                exchange.json(self.chat() if dialect == "chat" else self.messages())
        return answer


def pieces(text, size=7):
    return [text[start:start + size] for start in range(0, len(text), size)]


def named(event):
    """An event of an Anthropic stream, ready to send."""
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), chat.dumps(event))


