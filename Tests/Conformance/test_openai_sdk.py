"""The official OpenAI client through Martlet, on a scripted Chat upstream: what the client decodes, and what the upstream received."""

import threading

import openai
import pytest

from support import chat


def test_plain_reply_is_decoded_and_the_request_arrives(martlet, upstream, sdk, mode):
    source = upstream()
    reply = sdk(martlet(source, mode=mode)).chat.completions.create(
        model="m1", messages=chat.MESSAGES, temperature=0.25, seed=7)
    assert reply.choices[0].message.content == f"Hello, {chat.ANSWER}!"
    assert reply.choices[0].finish_reason == "stop"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (9, 4, 13)
    assert reply.model == "m1"
    assert source.request.target == "/v1/chat/completions"
    assert source.request.json == {"messages": chat.MESSAGES, "model": "m1", "seed": 7, "temperature": 0.25}


def test_stream_is_decoded_piece_by_piece(martlet, upstream, sdk, mode):
    pieces = ["Hel", "lo, ", "wörld ", "🐦", "\n\"quoted\" \\ "]
    source = upstream(lambda exchange: exchange.stream(chat.text_stream(*pieces)))
    chunks = list(sdk(martlet(source, mode=mode)).chat.completions.create(model="m1", messages=chat.MESSAGES, stream=True))
    deltas = [one.choices[0].delta.content for one in chunks if one.choices and one.choices[0].delta.content]
    assert deltas == pieces
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {one.id for one in chunks} == {"chatcmpl-upstream1"}
    assert all(one.usage is None for one in chunks), "usage was not asked for"
    sent = source.request.json
    sent.pop("stream_options", None)  # `repair` may ask for usage on its own account
    assert sent == {"messages": chat.MESSAGES, "model": "m1", "stream": True}


def test_stream_reaches_the_client_as_it_comes(martlet, upstream, sdk, mode):
    def script(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})))
        assert asked_for_more.wait(15), "the first delta was held back"
        exchange.chunked(chat.text_stream("second"))
        exchange.end_chunks()

    asked_for_more = threading.Event()
    source = upstream(script)
    stream = sdk(martlet(source, mode=mode)).chat.completions.create(model="m1", messages=chat.MESSAGES, stream=True)
    first = next(iter(stream))
    assert first.choices[0].delta.content == "first"
    asked_for_more.set()
    assert "second" in [one.choices[0].delta.content for one in stream if one.choices]


def test_usage_comes_when_it_is_asked_for(martlet, upstream, sdk, mode):
    source = upstream(lambda exchange: exchange.stream(chat.text_stream("Hi", usage=(21, 2))))
    chunks = list(sdk(martlet(source, mode=mode)).chat.completions.create(
        model="m1", messages=chat.MESSAGES, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (21, 2)
    assert source.request.json["stream_options"] == {"include_usage": True}


def test_usage_that_was_not_asked_for_is_hidden_in_repair(martlet, upstream, sdk):
    source = upstream(lambda exchange: exchange.stream(chat.text_stream("Hi", usage=(21, 2))))
    chunks = list(sdk(martlet(source, mode="repair")).chat.completions.create(
        model="m1", messages=chat.MESSAGES, stream=True))
    assert all(one.usage is None and one.choices for one in chunks)


def test_tool_call_and_the_second_turn(martlet, upstream, sdk, mode):
    source = upstream([
        lambda exchange: exchange.json(chat.completion(
            None, [chat.call("call_1", "weather", '{"place": "Bergen", "exact": 1.50}')], "tool_calls")),
        lambda exchange: exchange.json(chat.completion("It rains.")),
    ])
    client = sdk(martlet(source, mode=mode))
    first = client.chat.completions.create(
        model="m1", messages=chat.MESSAGES, tools=[chat.WEATHER], tool_choice="required", parallel_tool_calls=False)
    call = first.choices[0].message.tool_calls[0]
    assert first.choices[0].finish_reason == "tool_calls"
    assert (call.id, call.function.name) == ("call_1", "weather")
    assert call.function.arguments == '{"place": "Bergen", "exact": 1.50}', "arguments are text and stay as they are"
    second = client.chat.completions.create(model="m1", tools=[chat.WEATHER], messages=[
        *chat.MESSAGES, first.choices[0].message.to_dict(),
        {"role": "tool", "tool_call_id": call.id, "content": '{"rain": true}'}])
    assert second.choices[0].message.content == "It rains."
    asked, told = source.requests
    assert asked.json == {"messages": chat.MESSAGES, "model": "m1", "parallel_tool_calls": False,
                          "tool_choice": "required", "tools": [chat.WEATHER]}
    assert told.json["messages"][0] == asked.json["messages"][0]
    assert told.json["messages"][1]["tool_calls"][0]["function"]["arguments"] == call.function.arguments
    assert told.json["messages"][2] == {"role": "tool", "tool_call_id": "call_1", "content": '{"rain": true}'}


def test_parallel_tool_calls_are_put_together_from_their_pieces(martlet, upstream, sdk, mode):
    source = upstream(lambda exchange: exchange.stream(chat.calls_stream(
        ("call_1", "weather", ['{"pla', 'ce":"Oslo"}']), ("call_2", "clock", ['{', '}']))))
    chunks = list(sdk(martlet(source, mode=mode)).chat.completions.create(
        model="m1", messages=chat.MESSAGES, tools=[chat.WEATHER], stream=True))
    calls = {}
    for one in chunks:
        for part in (one.choices[0].delta.tool_calls or []) if one.choices else []:
            entry = calls.setdefault(part.index, {"id": [], "name": [], "arguments": ""})
            entry["id"] += [part.id] if part.id else []
            entry["name"] += [part.function.name] if part.function.name else []
            entry["arguments"] += part.function.arguments or ""
    assert calls == {
        0: {"id": ["call_1"], "name": ["weather"], "arguments": '{"place":"Oslo"}'},
        1: {"id": ["call_2"], "name": ["clock"], "arguments": "{}"},
    }
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert source.request.json["tools"] == [chat.WEATHER]


def test_the_strict_stream_helper_accepts_what_comes(martlet, upstream, sdk, mode):
    source = upstream(lambda exchange: exchange.stream(chat.calls_stream(("call_1", "weather", ['{"place":', '"Oslo"}']))))
    with sdk(martlet(source, mode=mode)).chat.completions.stream(
            model="m1", messages=chat.MESSAGES, tools=[chat.WEATHER | {"function": chat.WEATHER["function"] | {
                "strict": True, "parameters": chat.WEATHER["function"]["parameters"] | {"additionalProperties": False},
            }}]) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.parsed_arguments == {"place": "Oslo"}


def test_models_are_listed_and_found(martlet, upstream, sdk):
    client = sdk(martlet(upstream(models=["m1", "publisher/m2"])))
    listed = client.models.list().data
    assert {"m1", "publisher/m2"} <= {model.id for model in listed}
    assert all(model.object == "model" for model in listed)
    assert client.models.retrieve("m1").id == "m1"
    assert client.models.retrieve("publisher/m2").id == "publisher/m2"
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("m9")
    assert missing.value.code == "model_not_found"


def test_unknown_model_is_refused_and_the_nearest_is_named(martlet, upstream, sdk):
    source = upstream(models=["qwen3-8b"])
    with pytest.raises(openai.NotFoundError) as refused:
        sdk(martlet(source)).chat.completions.create(model="qwen3", messages=chat.MESSAGES)
    assert refused.value.code == "model_not_found"
    assert "qwen3-8b" in refused.value.message
    assert source.requests == []


def test_the_clients_key_never_reaches_the_upstream(martlet, upstream, sdk):
    source = upstream()
    sdk(martlet(source)).chat.completions.create(model="m1", messages=chat.MESSAGES)
    assert chat.CLIENT_KEY.encode() not in source.request.head


def test_the_upstreams_own_key_is_sent_to_it(martlet, upstream, sdk):
    source = upstream()
    server = martlet(source, config={"upstreams": {"mine": {
        "kind": "openai-compatible", "url": source.url, "api_key": chat.UPSTREAM_KEY}}})
    reply = sdk(server).chat.completions.with_raw_response.create(model="m1", messages=chat.MESSAGES)
    assert source.request.header("authorization") == f"Bearer {chat.UPSTREAM_KEY}"
    assert chat.UPSTREAM_KEY not in str(reply.headers)
    assert reply.headers["x-martlet-model"] == "mine/m1"


def test_reasoning_and_images_pass(martlet, upstream, sdk, mode):
    events = [chat.chunk({"role": "assistant", "reasoning_content": "hm"}), chat.chunk({"content": "yes"}), chat.chunk({}, "stop")]
    source = upstream(lambda exchange: exchange.stream(b"".join(map(chat.event, events)) + chat.DONE))
    content = [{"type": "text", "text": chat.PROMPT},
               {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]
    chunks = list(sdk(martlet(source, mode=mode)).chat.completions.create(
        model="m1", messages=[{"role": "user", "content": content}], stream=True))
    deltas = [one.choices[0].delta for one in chunks if one.choices]
    assert [delta.reasoning_content for delta in deltas if getattr(delta, "reasoning_content", None)] == ["hm"]
    assert [delta.content for delta in deltas if delta.content] == ["yes"]
    assert source.request.json["messages"][0]["content"] == content
