"""What a client's SDK makes of a reply, in one form for both dialects; streams are read strictly on the way."""

import dataclasses
import json

from .answer import Call, Text, Thinking, Usage


@dataclasses.dataclass
class Heard:
    """The reply as decoded. `end` is the dialect's own word."""

    id: str
    model: str
    parts: list
    end: str
    usage: Usage
    stop: str | None = None
    signatures: list = dataclasses.field(default_factory=list)


def ask_chat(client, model, asked, stream):
    """Asks through the `openai` library."""
    if not stream:
        return _chat(client.chat.completions.create(model=model, **asked))
    return _chat_stream(list(client.chat.completions.create(
        model=model, stream=True, stream_options={"include_usage": True}, **asked)))


def _chat_usage(usage):
    prompt, output = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = (prompt and prompt.cached_tokens) or 0
    written = (prompt and getattr(prompt, "cache_write_tokens", 0)) or 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    return Usage(usage.prompt_tokens - cached - written, usage.completion_tokens, cached, written,
                 (output and output.reasoning_tokens) or 0)


def _chat(reply):
    [choice] = reply.choices
    message = choice.message
    assert (reply.object, choice.index, message.role) == ("chat.completion", 0, "assistant")
    parts = [Thinking(message.reasoning_content)] if getattr(message, "reasoning_content", None) else []
    parts += [Text(message.content)] if message.content else []
    assert message.tool_calls != [], "an empty list breaks clients"
    for call in message.tool_calls or []:
        assert call.type == "function"
        parts.append(Call(call.id, call.function.name, call.function.arguments))
    return Heard(reply.id, reply.model, parts, choice.finish_reason, _chat_usage(reply.usage))


def _chat_stream(chunks):
    """One role, each call's id and name once, indices without gaps, one finish, and the usage behind it."""
    assert len({(chunk.id, chunk.model, chunk.created, chunk.object) for chunk in chunks}) == 1
    *deltas, last = chunks
    assert last.choices == [], "usage comes in a chunk of its own, at the end"
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in deltas)
    parts, calls, roles, ends = [], [], 0, []
    for chunk in deltas:
        [choice] = chunk.choices
        delta = choice.delta
        assert not ends, "nothing comes behind the finish"
        roles += delta.role is not None
        for kind, piece in ((Thinking, getattr(delta, "reasoning_content", None)), (Text, delta.content)):
            if piece:
                if parts and isinstance(parts[-1], kind):
                    parts[-1] = kind(parts[-1] + piece)
                else:
                    parts.append(kind(piece))
        for part in delta.tool_calls or []:
            if part.index == len(calls):
                assert part.id and part.function.name and part.type == "function"
                calls.append([part.id, part.function.name, ""])
            else:
                assert part.index < len(calls) and not part.id and not part.function.name
            calls[part.index][2] += part.function.arguments or ""
        ends += [choice.finish_reason] if choice.finish_reason else []
    assert roles == 1
    [end] = ends
    return Heard(last.id, last.model, parts + [Call(*call) for call in calls], end, _chat_usage(last.usage))


def ask_messages(client, model, asked, stream):
    """Asks through the `anthropic` library."""
    if not stream:
        return _message(client.messages.create(model=model, **asked))
    with client.messages.stream(model=model, **asked) as events:
        kinds = _read_strictly([event for event in events if event.type in WIRE])
        final = events.get_final_message()
    assert kinds == [block.type for block in final.content]
    return _message(final)


WIRE = ("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop")


def _read_strictly(events):
    """Checks the grammar of a stream: one block open at a time, indices from 0 without gaps. The kinds of its blocks."""
    names = [event.type for event in events]
    assert names[0] == "message_start" and names[-2:] == ["message_delta", "message_stop"]
    assert names.count("message_start") == names.count("message_delta") == names.count("message_stop") == 1
    kinds, is_open, inputs = [], False, {}
    for event in events[1:-2]:
        if event.type == "content_block_start":
            assert not is_open and event.index == len(kinds)
            kinds.append(event.content_block.type)
            is_open = True
            continue
        assert is_open and event.index == len(kinds) - 1
        if event.type == "content_block_stop":
            is_open = False
        elif event.delta.type == "input_json_delta":
            inputs[event.index] = inputs.get(event.index, "") + event.delta.partial_json
    assert not is_open
    for text in inputs.values():
        assert isinstance(json.loads(text or "{}"), dict)
    return kinds


def _message(message):
    assert (message.type, message.role) == ("message", "assistant")
    parts, signatures = [], []
    for block in message.content:
        if block.type == "thinking":
            parts.append(Thinking(block.thinking))
            signatures.append(block.signature)
        elif block.type == "tool_use":
            parts.append(Call(block.id, block.name, json.dumps(block.input)))
        else:
            parts.append(Text(block.text))
    usage = message.usage
    details = getattr(usage, "output_tokens_details", None)
    thinking = (details.get("thinking_tokens") if isinstance(details, dict) else getattr(details, "thinking_tokens", 0)) or 0
    return Heard(message.id, message.model, parts, message.stop_reason, Usage(
        usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0,
        thinking), message.stop_sequence, signatures)
