"""The official Anthropic client through Martlet, on a scripted Chat upstream: what it decodes, and what the upstream received."""

import json
import threading

import anthropic
import pytest

from support import cases, chat
from support.wire import request

TOOL = {"name": "weather", "description": "The weather at a place.", "input_schema": chat.WEATHER["function"]["parameters"]}
PICTURE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


@pytest.fixture
def claude():
    """`claude(server)`: the official Anthropic client for a server, without retries."""
    made = []

    def make(server, **options):
        made.append(anthropic.Anthropic(
            base_url=server.url, api_key=chat.CLIENT_KEY, **({"max_retries": 0, "timeout": 30} | options)))
        return made[-1]

    yield make
    for client in made:
        client.close()


def ask(client, **more):
    return client.messages.create(**{"model": "m1", "max_tokens": 100, "messages": chat.MESSAGES} | more)


def test_plain_reply(martlet, upstream, claude):
    source = upstream()
    reply = ask(claude(martlet(source)), system="Be brief.", stop_sequences=["END"],
                metadata={"user_id": "someone"}, extra_body={"temperature": 0.5})
    assert [(block.type, block.text) for block in reply.content] == [("text", f"Hello, {chat.ANSWER}!")]
    assert (reply.role, reply.type, reply.stop_reason, reply.model) == ("assistant", "message", "end_turn", "m1")
    assert reply.id.startswith("msg_")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (9, 4)
    assert source.request.target.split("?")[0] == "/v1/chat/completions"
    sent = source.request.json
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": chat.PROMPT}]
    assert (sent["model"], sent["temperature"], sent["stop"]) == ("m1", 0.5, ["END"])
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 100
    assert not sent.get("stream")
    assert "metadata" not in sent and "user" not in sent
    assert chat.CLIENT_KEY.encode() not in source.request.head


def test_stream_with_the_helper(martlet, upstream, claude):
    source = upstream(lambda exchange: exchange.stream(chat.text_stream("Hel", "lo \"q\" ", "é🐦", usage=(21, 3))))
    with claude(martlet(source)).messages.stream(model="m1", max_tokens=100, messages=chat.MESSAGES) as stream:
        kinds, pieces = [], []
        for event in stream:
            kinds.append(event.type)
            if event.type == "content_block_delta":
                pieces.append(event.delta.text)
        final = stream.get_final_message()
    assert pieces == ["Hel", "lo \"q\" ", "é🐦"]
    assert final.content[0].text == "Hello \"q\" é🐦"
    assert final.stop_reason == "end_turn"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (21, 3)
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    sent = source.request.json
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}


def test_the_stream_on_the_wire_is_grammatical(martlet, upstream):
    """Every event has its name, its index and its place."""
    source = upstream(lambda exchange: exchange.stream(b"".join(map(chat.event, [
        chat.chunk({"role": "assistant", "content": ""}), chat.chunk({"reasoning_content": "hm"}), chat.chunk({"content": "so"}),
        chat.chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "a", "arguments": ""}}]}),
        chat.chunk({"tool_calls": [{"index": 1, "id": "call_2", "type": "function", "function": {"name": "b", "arguments": ""}}]}),
        chat.chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]}),
        chat.chunk({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
        chat.chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        chat.chunk({}, "tool_calls"),
        chat.chunk() | {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                                                 "prompt_tokens_details": {"cached_tokens": 3}}}])) + chat.DONE))
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in "ab"]
    reply = martlet(source).ask("POST", "/v1/messages", chat.dumps(
        {"model": "m1", "max_tokens": 100, "messages": chat.MESSAGES, "tools": tools, "stream": True}))
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["request-id"]
    blocks, open_block, events = [], None, []
    for frame in reply.body.decode().removesuffix("\n\n").split("\n\n"):
        if frame.startswith(":"):
            continue
        name, data = frame.split("\n")
        data = json.loads(data.removeprefix("data: "))
        assert name == f"event: {data['type']}"
        events.append(data["type"])
        if data["type"] == "content_block_start":
            assert open_block is None and data["index"] == len(blocks)
            open_block = data["index"]
            blocks.append([data["content_block"], []])
        elif data["type"] == "content_block_delta":
            assert data["index"] == open_block
            blocks[open_block][1].append(data["delta"])
        elif data["type"] == "content_block_stop":
            assert data["index"] == open_block
            open_block = None
        elif data["type"] == "message_delta":
            delta = data
    assert events[0] == "message_start" and events[-2:] == ["message_delta", "message_stop"]
    assert [block["type"] for block, _ in blocks] == ["thinking", "text", "tool_use", "tool_use"]
    assert "".join(part.get("thinking", "") for part in blocks[0][1]) == "hm"
    assert blocks[0][1][-1]["type"] == "signature_delta" and blocks[0][1][-1]["signature"]
    assert [json.loads("".join(part["partial_json"] for part in parts)) for _, parts in blocks[2:]] == [{"x": 1}, {}]
    assert [(block["id"], block["name"]) for block, _ in blocks[2:]] == [("call_1", "a"), ("call_2", "b")]
    assert delta["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 5}.items() <= delta["usage"].items()


def test_tool_call_and_its_result(martlet, upstream, claude):
    source = upstream([
        lambda exchange: exchange.json(chat.completion(
            "Let me see.", [chat.call("call_1", "weather", '{"place": "Bergen", "exact": 1.50}')], "tool_calls")),
        lambda exchange: exchange.json(chat.completion("It rains.")),
    ])
    client = claude(martlet(source))
    first = ask(client, tools=[TOOL], tool_choice={"type": "any", "disable_parallel_tool_use": True})
    assert first.stop_reason == "tool_use"
    text, use = first.content
    assert (text.text, use.type, use.id, use.name) == ("Let me see.", "tool_use", "call_1", "weather")
    assert use.input == {"place": "Bergen", "exact": 1.5}
    second = ask(client, tools=[TOOL], messages=[
        *chat.MESSAGES, {"role": "assistant", "content": [block.to_dict() for block in first.content]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "rain"}], "is_error": False},
            {"type": "text", "text": "Well?"}]}])
    assert second.content[0].text == "It rains."
    asked, told = (received.json for received in source.requests)
    assert asked["tools"][0]["function"] == {
        "name": "weather", "description": TOOL["description"], "parameters": TOOL["input_schema"]}
    assert asked["tool_choice"] == "required"
    assert asked["parallel_tool_calls"] is False
    history = told["messages"]
    assert [message["role"] for message in history] == ["user", "assistant", "tool", "user"]
    assert history[1]["tool_calls"][0]["id"] == "call_1"
    assert json.loads(history[1]["tool_calls"][0]["function"]["arguments"]) == {"place": "Bergen", "exact": 1.5}
    assert history[2] == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
    assert history[3] == {"role": "user", "content": "Well?"}


def test_named_and_failed_tools(martlet, upstream, claude):
    source = upstream()
    ask(claude(martlet(source)), tools=[TOOL], tool_choice={"type": "tool", "name": "weather"}, messages=[
        *chat.MESSAGES, {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such place", "is_error": True}]}])
    sent = source.request.json
    assert sent["tool_choice"] in ({"type": "function", "function": {"name": "weather"}}, "required")
    assert sent["messages"][-1] == {"role": "tool", "tool_call_id": "toolu_1", "content": "[tool error] no such place"}


def test_images_become_data_urls(martlet, upstream, claude):
    source = upstream()
    ask(claude(martlet(source)), messages=[{"role": "user", "content": [
        {"type": "image", "source": PICTURE}, {"type": "text", "text": chat.PROMPT}]}])
    image, text = source.request.json["messages"][0]["content"]
    assert image["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="
    assert text["text"] == chat.PROMPT


def test_thinking_is_read_and_dropped_from_history_or_named(martlet, upstream, claude):
    reply = chat.completion("So.")
    reply["choices"][0]["message"]["reasoning_content"] = "hm"
    source = upstream(lambda exchange: exchange.json(reply))
    client = claude(martlet(source))
    got = ask(client, max_tokens=4000, thinking={"type": "enabled", "budget_tokens": 2000})
    assert [block.type for block in got.content] == ["thinking", "text"]
    assert got.content[0].thinking == "hm" and got.content[0].signature
    ask(client, messages=[*chat.MESSAGES, {"role": "assistant", "content": [block.to_dict() for block in got.content]},
                          {"role": "user", "content": "And?"}])
    history = source.requests[1].json["messages"]
    assert history[1]["content"] == "So.", "thinking is never visible text"
    assert [message["role"] for message in history] == ["user", "assistant", "user"]


@pytest.mark.parametrize(("finish", "stop_reason"), [("length", "max_tokens"), ("content_filter", "refusal"), ("stop", "end_turn")])
@pytest.mark.parametrize("stream", [False, True])
def test_reasons_to_stop(martlet, upstream, claude, finish, stop_reason, stream):
    source = upstream(lambda exchange: exchange.stream(chat.text_stream("x", finish=finish)) if stream
                      else exchange.json(chat.completion("x", finish=finish)))
    client = claude(martlet(source))
    if stream:
        with client.messages.stream(model="m1", max_tokens=9, messages=chat.MESSAGES) as stream_:
            assert stream_.get_final_message().stop_reason == stop_reason
    else:
        assert ask(client, max_tokens=9).stop_reason == stop_reason


def test_truncated_stream_raises(martlet, upstream, claude):
    source = upstream(lambda exchange: exchange.stream(chat.text_stream("one", finish=None, done=False)))
    with pytest.raises(anthropic.APIError):
        with claude(martlet(source)).messages.stream(model="m1", max_tokens=9, messages=chat.MESSAGES) as stream:
            stream.get_final_message()


@pytest.mark.parametrize(("status", "body", "expected", "kind", "words"), [
    (400, {"error": {"message": "request (9120 tokens) exceeds the available context size (8192 tokens)"}}, 400,
     "invalid_request_error", "prompt is too long: 9120 tokens > 8192 maximum"),
    (503, {"error": {"message": "busy"}}, 529, "overloaded_error", "busy"),
    (500, {"error": {"message": "it broke"}}, 500, "api_error", "it broke"),
    (401, {"error": {"message": "bad key"}}, 502, "api_error", ""),
])
def test_errors_of_the_upstream(martlet, upstream, claude, status, body, expected, kind, words):
    source = upstream(lambda exchange: exchange.json(body, status, "No", retry_after=0))
    with pytest.raises(anthropic.APIStatusError) as raised:
        ask(claude(martlet(source)))
    assert raised.value.status_code == expected
    assert raised.value.body["type"] == "error"
    assert raised.value.body["error"]["type"] == kind
    assert words in raised.value.body["error"]["message"]


def test_bad_requests_get_anthropic_errors(martlet, upstream):
    source = upstream()
    server = martlet(source)
    for body, status, kind in (
            (b'{"model":', 400, "invalid_request_error"),
            (chat.dumps({"model": "m9", "max_tokens": 9, "messages": chat.MESSAGES}), 404, "not_found_error"),
            (chat.dumps({"model": "m1", "max_tokens": 9, "messages": "hi"}), 400, "invalid_request_error"),
            (chat.dumps({"model": "m1", "max_tokens": "9", "messages": chat.MESSAGES}), 400, "invalid_request_error"),
            (b'{"model":"m1","max_tokens":9,"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "invalid_request_error"),
            (b'{"model":"m1","model":"m2","max_tokens":9,"messages":[]}', 400, "invalid_request_error")):
        reply = server.ask("POST", "/v1/messages", body)
        assert reply.status == status, reply.body
        assert (reply.json["type"], reply.json["error"]["type"]) == ("error", kind)
        assert reply.headers["request-id"]
    assert source.requests == []


@pytest.mark.parametrize("root", ["", "/anthropic"])
def test_tokens_are_counted(martlet, upstream, claude, root):
    """B20: with tools, system blocks and images, on every root."""
    server = martlet(upstream())
    client = anthropic.Anthropic(base_url=server.url + root, api_key="x", max_retries=0)
    few = client.messages.count_tokens(model="m1", messages=chat.MESSAGES).input_tokens
    many = client.messages.count_tokens(
        model="m1", system="Be brief. " * 50, tools=[TOOL], messages=chat.MESSAGES).input_tokens
    seen = client.messages.count_tokens(model="m1", messages=[{"role": "user", "content": [cases.PICTURE]}]).input_tokens
    assert 0 < few < many and few + 100 < seen
    assert client.messages.create(model="m1", max_tokens=9, messages=chat.MESSAGES).content
    client.close()


def test_models_are_listed(martlet, upstream, claude):
    page = claude(martlet(upstream(models=["m1", "m2"]))).models.list(limit=100)
    assert {"m1", "m2"} <= {model.id for model in page.data}
    assert all(model.type == "model" and model.display_name and model.created_at for model in page.data)


def test_a_ping_comes_while_the_upstream_thinks(martlet, upstream):
    """The head leaves after five seconds at the latest, with a real event, so that clients do not give up."""
    proceed = threading.Event()

    def script(exchange):
        assert proceed.wait(20)
        exchange.stream(chat.text_stream("late"))

    server = martlet(upstream(script))
    with server.connect() as client:
        client.send(request("POST", "/v1/messages", chat.dumps(
            {"model": "m1", "max_tokens": 9, "messages": chat.MESSAGES, "stream": True}), port=server.port))
        response = client.open_reply()
        seen = b""
        while b"event: ping" not in seen:
            seen += response.read1(65536)
        proceed.set()
        rest = response.read()
    assert b'"late"' in rest and b"message_stop" in rest
    assert (seen + rest).count(b"event: message_start\n") == 1
