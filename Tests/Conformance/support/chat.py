"""Chat Completions as an upstream writes it: replies, chunks, streams. Every text that must not reach a log is a canary."""

import json

MODEL = "m1"
# None of these may ever show up in Martlet's log.
PROMPT = "canary-prompt-4f1d9a"
ANSWER = "canary-answer-8c2e7b"
CLIENT_KEY = "sk-canary-client-1b7f3e"
UPSTREAM_KEY = "sk-canary-upstream-9d5a2c"
CANARIES = (PROMPT, ANSWER, CLIENT_KEY, UPSTREAM_KEY)

MESSAGES = [{"role": "user", "content": PROMPT}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def dumps(value):
    """Compact JSON, as bytes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def completion(content=f"Hello, {ANSWER}!", tool_calls=None, finish="stop", model=MODEL, usage=(9, 4)):
    """A whole reply."""
    message = {"role": "assistant", "content": content}
    if tool_calls:
        message["tool_calls"] = tool_calls
    return {
        "id": "chatcmpl-upstream1", "object": "chat.completion", "created": 1767225600, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)},
    }


def call(identity, name, arguments):
    """A tool call of a whole reply."""
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def chunk(delta=None, finish=None, model=MODEL, usage=None, **more):
    """One chunk of a stream. With `usage` and no delta: the usage chunk, which has no choices."""
    value = {"id": "chatcmpl-upstream1", "object": "chat.completion.chunk", "created": 1767225600, "model": model}
    value["choices"] = [] if delta is None and finish is None else [
        {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}]
    if usage:
        value["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return value | more


def event(value):
    """One event of a stream, ready to send."""
    return b"data: " + (value if isinstance(value, bytes) else dumps(value)) + b"\n\n"


DONE = event(b"[DONE]")


def text_stream(*pieces, finish="stop", usage=None, done=True):
    """A text answer as a whole stream; `pieces` are the deltas."""
    values = [chunk({"role": "assistant", "content": ""})]
    values += [chunk({"content": piece}) for piece in pieces]
    if finish:
        values.append(chunk({}, finish))
    if usage:
        values.append(chunk(usage=usage))
    return b"".join(map(event, values)) + (DONE if done else b"")


def calls_stream(*calls):
    """Tool calls as a whole stream. Each of `calls` is (id, name, argument pieces); their pieces interleave."""
    values = [chunk({"role": "assistant", "content": None})]
    for index, (identity, name, _) in enumerate(calls):
        head = {"index": index, "id": identity, "type": "function", "function": {"name": name, "arguments": ""}}
        values.append(chunk({"tool_calls": [head]}))
    for turn in range(max(len(pieces) for _, _, pieces in calls)):
        for index, (_, _, pieces) in enumerate(calls):
            if turn < len(pieces):
                values.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": pieces[turn]}}]}))
    values.append(chunk({}, "tool_calls"))
    return b"".join(map(event, values)) + DONE


def body(**more):
    """A request's body, as bytes."""
    return dumps({"model": MODEL, "messages": MESSAGES} | more)
