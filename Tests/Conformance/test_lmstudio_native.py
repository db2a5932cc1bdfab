"""LM Studio's own API as the upstream's dialect, before clients of each other dialect."""

import json

import pytest

from fake_lmstudio import FakeLMStudio, Model, Quirks
from support import chat
from support.wire import failed_by_length

KEY = "acme/writer-8b"
TARGETS = {"chat": "/v1/chat/completions", "anthropic": "/v1/messages", "responses": "/v1/responses"}


def body(dialect, text="hello", **more):
    if dialect == "responses":
        return chat.dumps({"model": KEY, "instructions": "Be short.", "input": text} | more)
    messages = [{"role": "user", "content": text}]
    if dialect == "anthropic":
        return chat.dumps({"model": KEY, "max_tokens": 99, "system": "Be short.", "messages": messages} | more)
    return chat.dumps({"model": KEY, "messages": [{"role": "system", "content": "Be short."}, *messages]} | more)


def text_of(dialect, reply):
    if dialect == "chat":
        return reply.json["choices"][0]["message"]["content"]
    if dialect == "anthropic":
        return reply.json["content"][-1]["text"]
    return reply.json["output"][-1]["content"][0]["text"]


@pytest.fixture
def studio(martlet):
    """`studio(…)`: a server that speaks LM Studio's own API to a fake, and the fake."""
    made = []

    def make(**options):
        made.append(FakeLMStudio(Quirks(), **options))
        config = {"upstreams": {"studio": {"kind": "lmstudio", "url": made[-1].url, "dialect": "lmstudio"}}}
        return martlet(made[-1], config=config), made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("dialect", TARGETS)
def test_a_whole_reply(studio, dialect):
    server, fake = studio(thinking="hm")
    reply = server.ask("POST", TARGETS[dialect], body(dialect))
    assert reply.status == 200, reply.body
    assert text_of(dialect, reply) == "Hello, I am a fake."
    assert reply.headers["x-martlet-model"] == f"studio/{KEY}"
    sent = fake.request
    assert sent.target == "/api/v1/chat"
    limit = {"max_output_tokens": 99} if dialect == "anthropic" else {}
    assert sent.json == {"model": KEY, "system_prompt": "Be short.", "input": "hello", "store": False} | limit


@pytest.mark.parametrize("dialect", TARGETS)
def test_a_stream_ends_with_its_last_event_though_the_socket_does_not(studio, dialect):
    server, fake = studio(thinking="hm")
    reply = server.ask("POST", TARGETS[dialect], body(dialect, stream=True))
    assert reply.status == 200
    events = [json.loads(event) for event in reply.events() if event != "[DONE]"]
    if dialect == "chat":
        assert "".join(one["choices"][0]["delta"].get("content") or "" for one in events if one["choices"]) == "Hello, I am a fake."
        assert "".join(one["choices"][0]["delta"].get("reasoning_content") or "" for one in events if one["choices"]) == "hm"
    elif dialect == "anthropic":
        assert events[-1]["type"] == "message_stop"
        assert "".join(one["delta"].get("text", "") for one in events if one["type"] == "content_block_delta") == "Hello, I am a fake."
    else:
        assert events[-1]["type"] == "response.completed"
        assert events[-1]["response"]["output"][-1]["content"][0]["text"] == "Hello, I am a fake."
    assert fake.request.json["stream"] is True


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", TARGETS)
def test_an_overflow_is_told_as_one(studio, dialect, stream):
    server, _ = studio(models=[Model(KEY, context=100)])
    reply = server.ask("POST", TARGETS[dialect], body(dialect, "long " * 200, stream=stream))
    if stream and dialect == "responses":
        return failed_by_length(reply)
    assert reply.status == 400
    error = reply.json["error"]
    if dialect == "anthropic":
        assert error["message"].startswith("prompt is too long: ")
    else:
        assert error["code"] == "context_length_exceeded"


@pytest.mark.parametrize("dialect, more, name", [
    ("chat", {"tools": [chat.WEATHER]}, "tools"),
    ("anthropic", {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}, "tools"),
    ("responses", {"tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]}, "tools"),
    ("chat", {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                           {"role": "user", "content": "c"}]}, "messages"),
])
def test_what_it_cannot_carry_is_refused_with_the_setting_that_helps(studio, dialect, more, name):
    server, fake = studio()
    reply = server.ask("POST", TARGETS[dialect], body(dialect, **more))
    assert reply.status == 400
    message = reply.json["error"]["message"]
    assert message.startswith(f"{name}: ") and "set this upstream's dialect to chat" in message
    assert not fake.requests


def test_what_it_loses_is_named(studio):
    server, fake = studio()
    reply = server.ask("POST", TARGETS["chat"], body("chat", seed=1, temperature=1.5, stop=["I am"]))
    assert reply.status == 200
    assert reply.headers["x-translation-dropped"] == "seed, temperature"
    assert text_of("chat", reply) == "Hello, "
    assert fake.request.json["temperature"] == 1


def test_no_other_model_answers(studio):
    server, fake = studio(models=[Model(KEY), Model("acme/small-1b", loaded=False)])
    del fake.catalogue["acme/small-1b"]
    for stream in (False, True):
        reply = server.ask("POST", TARGETS["chat"], body("chat", model="acme/small-1b", stream=stream))
        assert reply.status == 404
        assert f'LM Studio has "{KEY}" loaded' in reply.json["error"]["message"]


def test_a_response_is_stored_here_and_not_there(studio):
    server, fake = studio()
    first = server.ask("POST", TARGETS["responses"], body("responses")).json
    assert server.ask("GET", f"/v1/responses/{first['id']}").json["id"] == first["id"]
    assert fake.request.json["store"] is False
