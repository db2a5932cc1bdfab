"""Strict readers of the streams of Chat Completions and of Messages, from the bytes that Martlet writes.

Each asserts the whole grammar of its dialect and returns the reply that the stream adds up to, in the form of an unstreamed one.
`grammar_responses` is the third.
"""

import json

REASONS = ("stop", "length", "tool_calls", "content_filter")
STOP_REASONS = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal", "model_context_window_exceeded")


class Failed(Exception):
    """The stream ended with an error in the way of its dialect; `args[0]` is the error."""


def frames(body):
    """(name or None, data) of each event. A comment is a frame of its own; an event is its name, a line of data, and a blank."""
    text = body.decode()
    assert text.endswith("\n\n"), f"bytes behind the last event: {text[-80:]!r}"
    assert "\r" not in text, "lines end in \\n"
    found = []
    for frame in text[:-2].split("\n\n"):
        if frame.startswith(":"):
            assert "\n" not in frame, f"not a comment alone: {frame!r}"
            continue
        *head, data = frame.split("\n")
        assert data.startswith("data: ") and len(data) > 6 and len(head) < 2, f"not an event: {frame!r}"
        assert not head or head[0].startswith("event: "), f"not a name: {frame!r}"
        found.append((head[0][7:] if head else None, data[6:]))
    return found


def read_chat(body, usage):
    """A Chat stream. `usage`: the client asked for it. Raises `Failed` where the stream ends with an error."""
    found = frames(body)
    assert all(name is None for name, _ in found), "no event of Chat has a name"
    *datas, last = (data for _, data in found)
    assert "[DONE]" not in datas, "something behind [DONE]"
    if last != "[DONE]":
        error = json.loads(last).get("error")
        assert error, "neither [DONE] nor an error at its end"
        assert set(error) == {"message", "type", "param", "code"} and error["message"], error
        raise Failed(error)
    chunks = [json.loads(data) for data in datas]
    assert chunks, "no chunk at all: some clients take that for a failure"
    for name in ("id", "object", "created", "model"):
        assert len({json.dumps(chunk[name]) for chunk in chunks}) == 1, f"{name} is not the same in all chunks"
    assert chunks[0]["object"] == "chat.completion.chunk" and type(chunks[0]["created"]) is int
    told = None
    if usage:
        *chunks, final = chunks
        assert final["choices"] == [], "usage comes at the end, in a chunk of its own"
        told = final["usage"]
        assert told["total_tokens"] == told["prompt_tokens"] + told["completion_tokens"]
        assert all(chunk.get("usage") is None for chunk in chunks), "usage comes once"
    else:
        assert all("usage" not in chunk for chunk in chunks), "nobody asked for usage"
    choices = {}
    for chunk in chunks:
        assert chunk["choices"], "clients read choices[0]"
        for part in chunk["choices"]:
            _grow_choice(choices.setdefault(part["index"], {"index": part["index"], "message": {}, "finish_reason": None}), part)
    assert sorted(choices) == list(range(len(choices)))
    for choice in choices.values():
        _check_choice(choice)
    return {"id": chunks[0]["id"], "object": "chat.completion", "created": chunks[0]["created"], "model": chunks[0]["model"],
            "choices": [choices[index] for index in sorted(choices)], "usage": told}


def _grow_choice(choice, part):
    message, delta = choice["message"], part["delta"]
    assert choice["finish_reason"] is None, "something behind the finish"
    assert ("role" in delta) == ("role" not in message), "the role comes once, at the beginning"
    if "role" in delta:
        assert delta["role"] == "assistant"
        message |= {"role": "assistant", "content": None}
    for name in ("content", "reasoning_content", "refusal"):
        if delta.get(name):
            message[name] = (message.get(name) or "") + delta[name]
    assert delta.get("tool_calls") != [], "an empty list breaks clients"
    for call in delta.get("tool_calls") or []:
        _grow_call(message.setdefault("tool_calls", []), call)
    choice["finish_reason"] = part["finish_reason"]
    if part["finish_reason"]:
        assert part["finish_reason"] in REASONS and not any(delta.values()), part


def _grow_call(calls, call):
    function = call["function"]
    assert type(function["arguments"]) is str
    if call["index"] == len(calls):
        assert set(call) == {"index", "id", "type", "function"} and call["type"] == "function", call
        assert call["id"] and function["name"] and call["id"] not in [other["id"] for other in calls]
        calls.append({"id": call["id"], "type": "function", "function": {"name": function["name"], "arguments": ""}})
    else:
        assert call["index"] < len(calls), "call indices have no gaps"
        assert set(call) == {"index", "function"} and set(function) == {"arguments"}, f"said once only: {call}"
    calls[call["index"]]["function"]["arguments"] += function["arguments"]


def _check_choice(choice):
    calls, reason = choice["message"].get("tool_calls"), choice["finish_reason"]
    assert reason, f"choice {choice['index']} never finished"
    if reason not in ("length", "content_filter"):
        assert (reason == "tool_calls") == bool(calls), f"{reason} with {calls}"
        for call in calls or []:
            json.loads(call["function"]["arguments"])


def read_messages(body):
    """A Messages stream. Raises `Failed` where the stream ends with an error."""
    message, is_open, inputs, is_told = None, False, [], False
    found = frames(body)
    for number, (name, data) in enumerate(found):
        event = json.loads(data)
        kind = event["type"]
        assert name == kind, f"event {number} is named {name} and is {kind}"
        if kind == "ping":
            assert event == {"type": "ping"}
        elif kind == "error":
            assert number == len(found) - 1, "something behind the error"
            assert event["error"]["type"] and event["error"]["message"], event
            raise Failed(event["error"])
        elif kind == "message_start":
            assert message is None, "a second message_start"
            message = event["message"]
            assert message["id"].startswith("msg_") and message["model"] and message["content"] == []
            assert (message["type"], message["role"]) == ("message", "assistant")
            assert message["stop_reason"] is None and message["stop_sequence"] is None
            _check_usage(message["usage"], "input_tokens", "output_tokens")
        elif message is None:
            raise AssertionError(f"{kind} before message_start")
        elif kind == "content_block_start":
            assert not is_open and not is_told and event["index"] == len(message["content"]), event
            _check_block(event["content_block"])
            message["content"].append(event["content_block"])
            inputs.append("")
            is_open = True
        elif kind == "content_block_delta":
            assert is_open and event["index"] == len(message["content"]) - 1, event
            _grow_block(message["content"][-1], event["delta"], inputs)
        elif kind == "content_block_stop":
            assert is_open and event["index"] == len(message["content"]) - 1, event
            _close_block(message["content"][-1], inputs[-1])
            is_open = False
        elif kind == "message_delta":
            assert not is_open and not is_told, "one message_delta, behind all blocks"
            is_told = True
            _check_usage(event["usage"], "output_tokens")
            message |= event["delta"]
            message["usage"] |= event["usage"]
        else:
            assert kind == "message_stop" and is_told and number == len(found) - 1, event
    assert found[-1][0] == "message_stop", "neither message_stop nor an error at its end"
    reason, has_calls = message["stop_reason"], any(block["type"] == "tool_use" for block in message["content"])
    assert reason in STOP_REASONS and (message["stop_sequence"] is not None) == (reason == "stop_sequence")
    if reason in ("end_turn", "stop_sequence", "tool_use"):
        assert (reason == "tool_use") == has_calls, reason
    return message


def _check_usage(usage, *required):
    assert set(required) <= set(usage), usage
    for name in ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"):
        assert type(usage.get(name, 0)) is int and usage.get(name, 0) >= 0, usage


def _check_block(block):
    match block["type"]:
        case "text":
            assert block == {"type": "text", "text": ""}
        case "thinking":
            assert block == {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use":
            assert block["id"] and block["name"] and block["input"] == {}
        case other:
            assert other == "redacted_thinking" and block["data"], f"nobody asked for {other}"


def _grow_block(block, delta, inputs):
    match delta["type"], block["type"]:
        case "text_delta", "text":
            assert delta["text"]
            block["text"] += delta["text"]
        case "thinking_delta", "thinking":
            assert delta["thinking"] and not block["signature"], "thinking behind its signature"
            block["thinking"] += delta["thinking"]
        case "signature_delta", "thinking":
            assert delta["signature"] and not block["signature"], "a signature comes once, whole"
            block["signature"] = delta["signature"]
        case "input_json_delta", "tool_use":
            inputs[-1] += delta["partial_json"]
        case pair:
            raise AssertionError(f"{pair[0]} in a block of {pair[1]}")


def _close_block(block, input_text):
    match block["type"]:
        case "text":
            assert block["text"], "an empty text block"
        case "thinking":
            assert block["signature"], "thinking without a signature"
        case "tool_use" if input_text:
            block["input"] = json.loads(input_text)
            assert isinstance(block["input"], dict), input_text
