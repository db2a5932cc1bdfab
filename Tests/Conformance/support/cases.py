"""The cases of the matrix: the same request in both dialects, what each kind of upstream has to get of it, and an answer.

`asked` is what a client gives its SDK. In its own dialect the upstream gets just that; `sent` is what the others get, by kind of
upstream, without `model` and what streaming adds (for `openai` see `cases_responses.py`). `dropped` is the header
`x-translation-dropped` of those.
"""

import dataclasses

from . import chat
from .answer import SIGNATURE, Answer, Call, Text, Thinking, Usage

CHAT_KINDS = ("openai-compatible", "llamacpp")
ODD = "é🐦 \"q\" \\ / <think>\t\n\u2028 end"
TOOL = {"name": "weather", "description": chat.WEATHER["function"]["description"],
        "input_schema": chat.WEATHER["function"]["parameters"]}
CLOCK = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}
CHAT_CLOCK = {"type": "function", "function": {"name": "clock", "parameters": CLOCK["input_schema"]}}
PIXEL = "iVBORw0KGgo="
DATA_URL = f"data:image/png;base64,{PIXEL}"
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
ADDRESS = "https://example.com/cat.png"
HELLO = Answer([Text(f"Hello, {chat.ANSWER}!")])


@dataclasses.dataclass
class Case:
    """See above."""

    asked: dict  # dialect -> request
    sent: dict  # kind of upstream of the other dialect -> request
    answer: Answer = dataclasses.field(default_factory=lambda: HELLO)
    dropped: dict = dataclasses.field(default_factory=dict)


def user(*content):
    """A string, or a list of parts."""
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def assistant(content, **more):
    return {"role": "assistant", "content": content} | more


def text(value):
    return {"type": "text", "text": value}


def use(call, arguments):
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def result(call, content, **more):
    return {"type": "tool_result", "tool_use_id": call.id, "content": content} | more


def told(call, content):
    return {"role": "tool", "tool_call_id": call.id, "content": content}


def to_chat(request, **by_kind):
    """What Chat upstreams get, and how it differs: llama.cpp makes one call at a time unless told that it may make more."""
    sent = {}
    for kind in CHAT_KINDS:
        body = dict(request)
        if kind == "llamacpp" and "tools" in body:
            body.setdefault("parallel_tool_calls", True)
        sent[kind] = body | by_kind.get(kind, {})
    return sent


PLAIN = {"messages": [user(text(chat.PROMPT))], "max_tokens": 100}
CALL = Call("call_1", "weather", '{"place": "Bergen", "exact": 1.50, "q": "\\u00e9\\/"}')
TIME = Call("call_2", "clock", "{}")
OSLO = Call("toolu_01A-b_c", "weather", '{"place":"Oslo"}')

CASES = {
    "text": Case(
        asked={"chat": {"messages": [{"role": "system", "content": "Be brief."}, user(chat.PROMPT)], "max_tokens": 100,
                        "temperature": 0.5, "top_p": 0.25},
               "messages": {"system": "Be brief.", "messages": [user(chat.PROMPT)], "max_tokens": 100,
                            "extra_body": {"temperature": 0.5, "top_p": 0.25}}},
        sent=to_chat({"messages": [{"role": "system", "content": "Be brief."}, user(chat.PROMPT)], "max_tokens": 100,
                      "temperature": 0.5, "top_p": 0.25})
        | {"anthropic": PLAIN | {"system": [text("Be brief.")], "temperature": 0.5, "top_p": 0.25}},
        answer=Answer([Text(f"Hello, {chat.ANSWER}! {ODD}")])),
    "conversation": Case(
        asked={"chat": {"messages": [{"role": "developer", "content": "A"}, {"role": "system", "content": [text("B"), text("C")]},
                                     user(ODD), assistant(ODD), user("one"), user("two")]},
               "messages": {"max_tokens": 4096, "system": [text("A"), text("B\n\nC")], "messages": [
                   user(text(ODD)), assistant([text(ODD[:9]), text(ODD[9:])]), user("one"), user("two")]}},
        sent=to_chat({"max_tokens": 4096, "messages": [
            {"role": "system", "content": "A\n\nB\n\nC"}, user(ODD), assistant(ODD), user("one\n\ntwo")]})
        | {"anthropic": {"max_tokens": 4096, "system": [text("A"), text("B\n\nC")], "messages": [
            user(text(ODD)), assistant([text(ODD)]), user(text("one"), text("two"))]}}),
    "toolCall": Case(
        asked={"chat": {"messages": [user(chat.PROMPT)], "max_tokens": 100, "tools": [chat.WEATHER], "tool_choice": "required",
                        "parallel_tool_calls": False},
               "messages": {"messages": [user(chat.PROMPT)], "max_tokens": 100, "tools": [TOOL],
                            "tool_choice": {"type": "any", "disable_parallel_tool_use": True}}},
        sent=to_chat({"messages": [user(chat.PROMPT)], "max_tokens": 100, "tools": [chat.WEATHER], "tool_choice": "required",
                      "parallel_tool_calls": False})
        | {"anthropic": PLAIN | {"tools": [TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}}},
        answer=Answer([Text("Let me see."), CALL], "calls")),
    "namedTool": Case(
        asked={"chat": PLAIN | {"tools": [chat.WEATHER, CHAT_CLOCK],
                                "tool_choice": {"type": "function", "function": {"name": "clock"}}},
               "messages": PLAIN | {"tools": [TOOL, CLOCK], "tool_choice": {"type": "tool", "name": "clock"}}},
        # Where a function cannot be named, it is the only one offered.
        sent=to_chat({"messages": [user(chat.PROMPT)], "max_tokens": 100, "tools": [CHAT_CLOCK], "tool_choice": "required"})
        | {"anthropic": PLAIN | {"tools": [TOOL, CLOCK], "tool_choice": {"type": "tool", "name": "clock"}}},
        answer=Answer([TIME], "calls")),
    "parallelCalls": Case(
        asked={"chat": PLAIN | {"tools": [chat.WEATHER, CHAT_CLOCK]}, "messages": PLAIN | {"tools": [TOOL, CLOCK]}},
        sent=to_chat({"messages": [user(chat.PROMPT)], "max_tokens": 100, "tools": [chat.WEATHER, CHAT_CLOCK]})
        | {"anthropic": PLAIN | {"tools": [TOOL, CLOCK]}},
        answer=Answer([CALL, TIME, OSLO], "calls")),
    "toolResults": Case(
        asked={"chat": {"max_tokens": 100, "tools": [chat.WEATHER, CHAT_CLOCK], "messages": [
            user(chat.PROMPT), assistant(None, tool_calls=[chat.call(*CALL), chat.call(*TIME), chat.call(*OSLO)]),
            told(OSLO, [text("rain"), text("wind")]), told(CALL, ODD), told(TIME, "no clock"), user("Well?")]},
               "messages": {"max_tokens": 100, "tools": [TOOL, CLOCK], "messages": [
                   user(chat.PROMPT), assistant([
                       text("Let me see."), use(CALL, {"place": "Bergen"}), use(TIME, {}), use(OSLO, {"place": "Oslo"})]),
                   user(result(OSLO, [text("rain"), text("wind")]), result(CALL, ODD), text("Well?"),
                        result(TIME, "no clock", is_error=True))]}},
        sent=to_chat({"max_tokens": 100, "tools": [chat.WEATHER, CHAT_CLOCK], "messages": [
            user(chat.PROMPT), assistant("Let me see.", tool_calls=[
                chat.call("call_1", "weather", '{"place":"Bergen"}'), chat.call("call_2", "clock", "{}"),
                chat.call(OSLO.id, "weather", '{"place":"Oslo"}')]),
            told(CALL, ODD), told(TIME, "[tool error] no clock"), told(OSLO, "rain\n\nwind"), user("Well?")]})
        | {"anthropic": {"max_tokens": 100, "tools": [TOOL, CLOCK], "messages": [
            user(text(chat.PROMPT)),
            assistant([use(CALL, {"place": "Bergen", "exact": 1.5, "q": "é/"}), use(TIME, {}), use(OSLO, {"place": "Oslo"})]),
            user(result(CALL, ODD), result(TIME, "no clock"), result(OSLO, [text("rain"), text("wind")]), text("Well?"))]}}),
    "imageInResult": Case(
        asked={"chat": PLAIN | {"tools": [chat.WEATHER], "messages": [
            user(chat.PROMPT), assistant("", tool_calls=[chat.call(*OSLO)]), told(OSLO, "see")]},
               "messages": PLAIN | {"tools": [TOOL], "messages": [
                   user(chat.PROMPT), assistant([use(OSLO, {"place": "Oslo"})]),
                   user(result(OSLO, [text("see"), PICTURE]), text("Well?"))]}},
        sent=to_chat({"max_tokens": 100, "tools": [chat.WEATHER], "messages": [
            user(chat.PROMPT), assistant(None, tool_calls=[chat.call(*OSLO)]), told(OSLO, "see\n\n[image 1 attached below]"),
            user(text(f"Image 1 from tool call {OSLO.id}:"), {"type": "image_url", "image_url": {"url": DATA_URL}},
                 text("Well?"))]})
        | {"anthropic": PLAIN | {"tools": [TOOL], "messages": [
            user(text(chat.PROMPT)), assistant([use(OSLO, {"place": "Oslo"})]), user(result(OSLO, "see"))]}}),
    "thinking": Case(
        asked={"chat": {"messages": [user(chat.PROMPT)], "max_tokens": 8000, "reasoning_effort": "low"},
               "messages": PLAIN | {"max_tokens": 8000, "thinking": {"type": "enabled", "budget_tokens": 2048}}},
        sent=to_chat({"messages": [user(chat.PROMPT)], "max_tokens": 8000},
                     llamacpp={"chat_template_kwargs": {"enable_thinking": True}})
        | {"anthropic": PLAIN | {"max_tokens": 8000, "thinking": {"type": "enabled", "budget_tokens": 2048}}},
        dropped={"openai-compatible": "thinking"},
        answer=Answer([Thinking("hm, \"é\" …"), Text("So.")], usage=Usage(9, 30, thinking=20))),
    "thinkingInHistory": Case(
        asked={"chat": PLAIN | {"tools": [chat.WEATHER], "messages": [
            user(chat.PROMPT), assistant("See:", tool_calls=[chat.call(*OSLO)], reasoning_content="hm",
                                         thinking_blocks=[{"type": "thinking", "thinking": "hm", "signature": SIGNATURE}]),
            told(OSLO, "rain")]},
               "messages": PLAIN | {"tools": [TOOL], "messages": [
                   user(chat.PROMPT), assistant([
                       {"type": "thinking", "thinking": "hm", "signature": SIGNATURE},
                       {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4a"},
                       text("See:"), use(OSLO, {"place": "Oslo"})]),
                   user(result(OSLO, "rain"))]}},
        sent=to_chat({"tools": [chat.WEATHER], "max_tokens": 100, "messages": [
            user(chat.PROMPT), assistant("See:", tool_calls=[chat.call(*OSLO)]), told(OSLO, "rain")]},
            llamacpp={"messages": [
                user(chat.PROMPT), assistant("See:", tool_calls=[chat.call(*OSLO)], reasoning_content="hm"), told(OSLO, "rain")]})
        | {"anthropic": PLAIN | {"tools": [TOOL], "messages": [
            user(text(chat.PROMPT)),
            assistant([{"type": "thinking", "thinking": "hm", "signature": SIGNATURE}, text("See:"),
                       use(OSLO, {"place": "Oslo"})]),
            user(result(OSLO, "rain"))]}},
        answer=Answer([Thinking("and"), Text("It rains.")])),
    "images": Case(
        asked={"chat": PLAIN | {"messages": [user(
            text("Two:"), {"type": "image_url", "image_url": {"url": DATA_URL}},
            {"type": "image_url", "image_url": {"url": ADDRESS}})]},
               "messages": PLAIN | {"messages": [user(
                   text("Two:"), PICTURE,
                   {"type": "image", "source": {"type": "url", "url": ADDRESS}})]}},
        sent=to_chat({"max_tokens": 100, "messages": [user(
            text("Two:"), {"type": "image_url", "image_url": {"url": DATA_URL}},
            text("[image omitted: this model takes no image addresses]"))]})
        | {"anthropic": PLAIN | {"messages": [user(
            text("Two:"), PICTURE,
            {"type": "image", "source": {"type": "url", "url": ADDRESS}})]}},
        dropped={"openai-compatible": "content.image", "llamacpp": "content.image"}),
    "stopSequences": Case(
        asked={"chat": PLAIN | {"stop": ["END", "S\"T"]}, "messages": PLAIN | {"stop_sequences": ["END", "S\"T"]}},
        sent=to_chat({"messages": [user(chat.PROMPT)], "max_tokens": 100, "stop": ["END", "S\"T"]})
        | {"anthropic": PLAIN | {"stop_sequences": ["END", "S\"T"]}},
        answer=Answer([Text("so it ")], "stop", stop="END")),
    "limit": Case(
        asked={"chat": PLAIN, "messages": PLAIN},
        sent=to_chat({"messages": [user(chat.PROMPT)], "max_tokens": 100}) | {"anthropic": PLAIN},
        answer=Answer([Text("cut")], "length", Usage(9, 100))),
    "refusal": Case(
        asked={"chat": PLAIN, "messages": PLAIN},
        sent=to_chat({"messages": [user(chat.PROMPT)], "max_tokens": 100}) | {"anthropic": PLAIN},
        answer=Answer([Text("I cannot")], "refusal")),
    "cachedTokens": Case(
        asked={"chat": PLAIN, "messages": PLAIN},
        sent=to_chat({"messages": [user(chat.PROMPT)], "max_tokens": 100}) | {"anthropic": PLAIN},
        answer=Answer([Text("Hi")], usage=Usage(30, 7, 60, 10))),
}
