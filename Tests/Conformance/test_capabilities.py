"""Every flag of `capabilities:`, by what it changes at a scripted upstream; and the switches beside them."""

import json

import pytest

from support import chat

PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
LINK = {"type": "image", "source": {"type": "url", "url": "https://pictures.example/a.png"}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"p": {"type": "string", "pattern": "x"}}}}
SCHEMA = {"type": "object", "properties": {"p": {"type": "string"}}}
CALL = {"type": "tool_use", "id": "toolu_0123456789", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_0123456789", "content": "done"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}


def said(*blocks, role="user"):
    return {"role": role, "content": list(blocks)}


def text(text):
    return {"type": "text", "text": text}


def anthropic(*messages, **more):
    return {"model": chat.MODEL, "max_tokens": 100, "messages": list(messages) or chat.MESSAGES} | more


LOOP = (said(text("go")), said(THOUGHT, text("I call"), CALL, role="assistant"), said(RESULT))
LATE = (said(text("a")), said(text("b"), role="assistant"), {"role": "system", "content": "late"}, said(text("c")))


def content(sent, place=-1):
    return json.dumps(sent["messages"][place]["content"])


def schema_of(sent):
    return sent["tools"][0]["function"]["parameters"]["properties"]["p"]


# Flag, value, request, and what must hold of the body upstream with it; without it, the opposite must.
CASES = [
    ("reasoning_in", "reasoning", anthropic(*LOOP), lambda sent: sent["messages"][1].get("reasoning") == "hm"),
    ("reasoning_in", "think_tags", anthropic(*LOOP), lambda sent: content(sent, 1).startswith('"<think>')),
    ("thinking_control", "effort", anthropic(thinking={"type": "enabled", "budget_tokens": 20000}),
     lambda sent: sent.get("reasoning_effort") == "high"),
    ("thinking_control", "enable_thinking", anthropic(thinking={"type": "disabled"}),
     lambda sent: sent.get("chat_template_kwargs") == {"enable_thinking": False}),
    ("thinking_control", "budget", anthropic(thinking={"type": "enabled", "budget_tokens": 20000}),
     lambda sent: sent.get("thinking_budget_tokens") == 20000),
    ("tool_choice", "full", anthropic(tools=[TOOL], tool_choice={"type": "tool", "name": "f"}),
     lambda sent: isinstance(sent["tool_choice"], dict)),
    ("tool_choice", "none", anthropic(tools=[TOOL], tool_choice={"type": "any"}), lambda sent: "tool_choice" not in sent),
    ("parallel_tool_calls", False, anthropic(tools=[TOOL], tool_choice={"type": "auto", "disable_parallel_tool_use": True}),
     lambda sent: "parallel_tool_calls" not in sent),
    ("parallel_tool_calls", "off_by_default", anthropic(tools=[TOOL]), lambda sent: sent.get("parallel_tool_calls") is True),
    ("strict_tools", True, anthropic(tools=[TOOL | {"strict": True}]),
     lambda sent: sent["tools"][0]["function"].get("strict") is True),
    ("tool_call_id", 9, anthropic(*LOOP), lambda sent: len(sent["messages"][-1]["tool_call_id"]) == 9),
    ("tool_call_id", "[a-zA-Z0-9]{9}", anthropic(*LOOP), lambda sent: sent["messages"][-1]["tool_call_id"].isalnum()),
    ("tool_name_length", 16, anthropic(tools=[TOOL | {"name": "n" * 40}]),
     lambda sent: len(sent["tools"][0]["function"]["name"]) == 16),
    ("system_late", "keep", anthropic(*LATE), lambda sent: sent["messages"][-2]["role"] == "system"),
    ("system_late", "merge", anthropic(*LATE), lambda sent: sent["messages"][0] == {"role": "system", "content": "late"}),
    ("images", "url", anthropic(said(LINK)), lambda sent: "pictures.example" in content(sent)),
    ("images", "none", anthropic(said(PNG)), lambda sent: "image_url" not in content(sent)),
    ("image_in_tool", True, anthropic(*LOOP[:2], said(RESULT | {"content": [PNG]})),
     lambda sent: sent["messages"][-1]["role"] == "tool" and "image_url" in content(sent)),
    ("image_types", ["jpeg"], anthropic(said(PNG)), lambda sent: "image_url" not in content(sent)),
    ("files", True, anthropic(said(PDF)), lambda sent: "file_data" in content(sent)),
    ("content_string", True, anthropic(said(text("go")), said(CALL, role="assistant"), said(RESULT)),
     lambda sent: sent["messages"][1]["content"] == ""),
    ("prefill", True, anthropic(said(text("go")), said(text("once"), role="assistant")),
     lambda sent: sent["messages"][-1] == {"role": "assistant", "content": "once"}),
    ("json_schema", "none", anthropic(output_config={"format": {"type": "json_schema", "schema": SCHEMA}}),
     lambda sent: "response_format" not in sent and "JSON Schema" in content(sent, 0)),
    ("json_schema", "grammar", anthropic(tools=[TOOL], output_config={"format": {"type": "json_schema", "schema": SCHEMA}}),
     lambda sent: "response_format" not in sent),
    ("schema_profile", "none", anthropic(tools=[TOOL]), lambda sent: schema_of(sent).get("pattern") == "x"),
    ("schema_profile", "minimal", anthropic(tools=[TOOL]), lambda sent: schema_of(sent) == {"type": "string"}),
    ("max_tokens_field", "max_completion_tokens", anthropic(), lambda sent: sent.get("max_completion_tokens") == 100),
    ("stop_limit", 1, anthropic(stop_sequences=["a", "b"]), lambda sent: "stop" not in sent),
    ("stop_limit", "unlimited", anthropic(stop_sequences=list("abcdef")), lambda sent: len(sent.get("stop", [])) == 6),
    ("top_k", True, anthropic(top_k=3), lambda sent: sent.get("top_k") == 3),
    ("sampling", False, anthropic(temperature=0.5), lambda sent: "temperature" not in sent),
    ("prompt_progress", True, anthropic(stream=True), lambda sent: sent.get("return_progress") is True),
    ("usage", "always", anthropic(stream=True), lambda sent: "stream_options" not in sent),
    ("usage", "never", anthropic(stream=True), lambda sent: "stream_options" not in sent),
]


def answer(exchange):
    if exchange.request.json.get("stream"):
        return exchange.stream(chat.text_stream("ok", usage=(9, 1)))
    exchange.json(chat.completion("{}"))


def config(source, **more):
    return {"upstreams": {"u": {"kind": "openai-compatible", "url": source.url} | more}}


def body_upstream(martlet, upstream, settings, request, path="/v1/messages"):
    """What the upstream gets; None when the request is refused."""
    source = upstream(answer)
    server = martlet(config=settings(source)).wait_for_model(chat.MODEL)
    reply = server.ask("POST", path, chat.dumps(request))
    if reply.status == 400:
        assert not source.requests
        return None
    assert reply.status == 200, reply.body
    return source.request.json


@pytest.mark.parametrize(("flag", "value", "request_", "holds"), CASES, ids=[f"{case[0]}={case[1]}" for case in CASES])
def test_a_flag_changes_what_the_upstream_gets(martlet, upstream, flag, value, request_, holds):
    got = body_upstream(martlet, upstream, lambda source: config(source, capabilities={flag: value}), request_)
    assert got is not None and holds(got), got
    plain = body_upstream(martlet, upstream, config, request_)
    assert plain is None or not holds(plain), plain


@pytest.mark.parametrize("form", ["native", "none"])
def test_a_json_object_is_a_schema_to_upstreams_that_know_nothing_else(martlet, upstream, form):
    request = {"model": chat.MODEL, "messages": chat.MESSAGES, "response_format": {"type": "json_object"}}
    got = body_upstream(martlet, upstream, lambda source: config(source, capabilities={"json_object": form}), request,
                        path="/v1/chat/completions")["response_format"]
    if form == "native":
        assert got == {"type": "json_object"}
    else:
        assert (got["type"], got["json_schema"]["schema"]) == ("json_schema", {"type": "object"})


EFFORTS = [
    (["low", "medium", "max"], {"type": "enabled", "budget_tokens": 40000}, "medium"),
    (["none", "high"], {"type": "disabled"}, "none"),
    (["high"], {"type": "disabled"}, None),
]


@pytest.mark.parametrize(("efforts", "thinking", "sent"), EFFORTS)
def test_efforts_are_those_of_the_list(martlet, upstream, efforts, thinking, sent):
    flags = {"thinking_control": "effort", "efforts": efforts}
    got = body_upstream(martlet, upstream, lambda source: config(source, capabilities=flags), anthropic(thinking=thinking))
    assert got.get("reasoning_effort") == sent


@pytest.mark.parametrize("allowed", [True, False])
def test_a_forced_call_and_thinking(martlet, upstream, allowed):
    flags = {"thinking_control": "enable_thinking", "forced_call_with_thinking": allowed}
    request = anthropic(tools=[TOOL], tool_choice={"type": "any"}, thinking={"type": "enabled", "budget_tokens": 2000})
    got = body_upstream(martlet, upstream, lambda source: config(source, capabilities=flags), request)
    assert got["chat_template_kwargs"] == {"enable_thinking": allowed}


@pytest.mark.parametrize("many", ["keep", "merge"])
def test_several_leading_instructions(martlet, upstream, many):
    request = anthropic(said(text("go")), {"role": "system", "content": "early"}, system="first")
    got = body_upstream(martlet, upstream, lambda source: config(source, capabilities={"system_many": many}), request)
    assert [message["role"] for message in got["messages"]].count("system") == (2 if many == "keep" else 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("flags", "thinking", "visible"), [
    ({"reasoning_out": "think_tags"}, "hm", "answer"),
    ({"reasoning_out": "think_tags", "prompt_opened_think": True}, "hm", "answer"),
    ({"reasoning_out": "reasoning_content"}, "hm", "answer"),
    ({"reasoning_out": "reasoning_content", "think_tags": False}, None, "<think>hm</think>answer"),
])
def test_thinking_in_tags(martlet, upstream, stream, flags, thinking, visible):
    said_upstream = "<think>hm</think>answer"
    if flags.get("prompt_opened_think"):
        said_upstream = said_upstream.removeprefix("<think>")

    def script(exchange):
        if stream:
            return exchange.stream(chat.text_stream(*said_upstream, usage=(9, 4)))
        exchange.json(chat.completion(said_upstream))

    source = upstream(script)
    server = martlet(config=config(source, capabilities=flags)).wait_for_model(chat.MODEL)
    reply = server.ask("POST", "/v1/messages", chat.dumps(anthropic(stream=stream)))
    if stream:
        deltas = [json.loads(event) for event in reply.events()]
        deltas = [event["delta"] for event in deltas if event["type"] == "content_block_delta"]
        got = ["".join(delta.get(key, "") for delta in deltas) for key in ("thinking", "text")]
    else:
        got = ["".join(block.get(key, "") for block in reply.json["content"]) for key in ("thinking", "text")]
    assert got == [thinking or "", visible]


def test_a_relayed_stream_is_not_asked_for_usage_where_it_never_comes(martlet, upstream):
    request = {"model": chat.MODEL, "messages": chat.MESSAGES, "stream": True}
    for usage, asked in (("never", False), ("stream_options", True)):
        got = body_upstream(martlet, upstream, lambda source: config(source, capabilities={"usage": usage}), request,
                            path="/v1/chat/completions")
        assert ("stream_options" in got) is asked


def test_flags_of_a_model_come_before_its_upstreams(martlet, upstream):
    source = upstream(answer, models=["plain", "special-one", "special-two"])
    settings = config(source, capabilities={"top_k": True})
    settings["models"] = {"capabilities": {"special-*": {"top_k": False}, "u/special-two": {"top_k": True}}}
    server = martlet(config=settings).wait_for_model("plain")
    for model in source.models:
        assert server.ask("POST", "/v1/messages", chat.dumps(anthropic(top_k=3) | {"model": model})).status == 200
    assert ["top_k" in request.json for request in source.requests] == [True, False, True]


@pytest.mark.parametrize("strict", [True, False])
def test_what_would_be_dropped_is_refused_in_strict_mode(martlet, upstream, strict):
    source = upstream(answer)
    server = martlet(config=config(source, strict=strict)).wait_for_model(chat.MODEL)
    reply = server.ask("POST", "/v1/messages", chat.dumps(anthropic(top_k=3)))
    if strict:
        assert reply.status == 400 and "top_k" in reply.json["error"]["message"]
    else:
        assert reply.headers["x-translation-dropped"] == "top_k"


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m1", "stop_reason": "end_turn", "stop_sequence": None,
           "content": [{"type": "thinking", "thinking": "hm", "signature": "sig"}, {"type": "text", "text": "ok"}],
           "usage": {"input_tokens": 9, "output_tokens": 4}}


@pytest.mark.parametrize("shown", [True, False])
def test_thinking_blocks_for_chat_clients(martlet, upstream, shown):
    source = upstream(lambda exchange: exchange.json(MESSAGE))
    settings = {"upstreams": {"u": {"kind": "anthropic", "url": source.url, "api_key": "k", "thinking_blocks": shown}}}
    server = martlet(config=settings).wait_for_model(chat.MODEL)
    message = server.chat(chat.body()).json["choices"][0]["message"]
    assert message["reasoning_content"] == "hm"
    assert message.get("thinking_blocks") == (
        [{"type": "thinking", "thinking": "hm", "signature": "sig"}] if shown else None)


FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {
    "type": "object", "properties": {"n": {"type": "integer"}}}}}
LEFT = '<tool_call>{"name":"f","arguments":{"n":1}}</tool_call>'


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("wanted", [True, False])
def test_calls_left_in_the_text_are_looked_for_where_the_flag_says_so(martlet, upstream, wanted, streams):
    def reply(exchange):
        if exchange.request.json.get("stream"):
            return exchange.stream(chat.text_stream("I look.\n", LEFT[:20], LEFT[20:]))
        exchange.json(chat.completion("I look.\n" + LEFT))

    source = upstream(reply)
    server = martlet(config=config(source, capabilities={"text_calls": wanted})).wait_for_model(chat.MODEL)
    request = {"model": chat.MODEL, "messages": chat.MESSAGES, "tools": [FUNCTION], "stream": streams}
    text = server.ask("POST", "/v1/chat/completions", chat.dumps(request)).body.decode()
    assert ('"tool_calls"' in text and "<tool_call>" not in text) == wanted, text
    assert ('"finish_reason":"tool_calls"' in text) == wanted, text
