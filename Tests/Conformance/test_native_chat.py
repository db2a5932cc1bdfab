"""LM Studio's own API for clients: `POST /api/v1/chat` before scripted upstreams, a stand-in for LM Studio, and the real engine."""

import base64
import hashlib
import re
import threading
import time

import pytest

from fake_lmstudio import FakeLMStudio, Quirks
from support import chat, engine
from support.answer import Answer, Call, Text, Thinking, Usage
from support.grammar_native import Told
from support.matrix import KINDS, script, spoken
from support.pictures import PNG
from support.wire import request

ID = re.compile(r"resp_[0-9a-f]{48}")
PICTURE = "data:image/png;base64," + base64.b64encode(PNG).decode()
ANSWER = Answer([Thinking("hm, let me see"), Text("Hello, I am here.")], usage=Usage(fresh=12, output=9, thinking=4))


def ask(server, model, input="hi", **more):
    return server.ask("POST", "/api/v1/chat", chat.dumps({"model": model, "input": input} | more))


def error(reply, status=400):
    assert reply.status == status, reply.body
    assert set(reply.json) == {"error"} and {"type", "message"} <= set(reply.json["error"]), reply.body
    return reply.json["error"]


@pytest.fixture
def extended(martlet, upstream):
    """A server that takes more than LM Studio does, and its upstream."""
    def make(answer=ANSWER, kind="openai-compatible"):
        source = upstream(script(answer, "chat"))
        config = {"server": {"native": "extended"}, "upstreams": {"one": {"kind": kind, "url": source.url}}}
        return martlet(source, config=config), source
    return make


# Replies

@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_before_each_kind_of_upstream(matrix, kind):
    matrix.play(kind, script(ANSWER, KINDS[kind][0]))
    whole = ask(matrix.server, f"{kind}/{chat.MODEL}", store=False)
    assert whole.status == 200, whole.body
    assert whole.headers["x-martlet-model"] == f"{kind}/{chat.MODEL}"
    shown = [{"type": "reasoning", "content": "hm, let me see"}, {"type": "message", "content": "Hello, I am here."}]
    assert whole.json["output"] == shown and "response_id" not in whole.json
    assert whole.json["stats"]["input_tokens"] == 12 and whole.json["stats"]["total_output_tokens"] == 9
    assert whole.json["stats"]["tokens_per_second"] > 0 and "model_load_time_seconds" not in whole.json["stats"]
    streamed = ask(matrix.server, f"{kind}/{chat.MODEL}", store=False, stream=True)
    told = Told(streamed.body)
    assert told.types == [
        "chat.start", "prompt_processing.start", "prompt_processing.end", "reasoning.start", "reasoning.delta", "reasoning.end",
        "message.start", "message.delta", "message.end", "chat.end"]
    assert told.result["output"] == shown and told.result["model_instance_id"] == chat.MODEL == whole.json["model_instance_id"]
    assert len(told.of("message.delta")) > 1 and b"[DONE]" not in streamed.body


def test_an_error_in_a_stream_ends_with_what_there_is(martlet, upstream):
    def breaks(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"content": "Hello"})))
        exchange.close()
    source = upstream(breaks)
    told = Told(ask(martlet(source), chat.MODEL, stream=True).body)
    assert told.types[-2:] == ["error", "chat.end"]
    assert told.events[-2]["error"]["type"] == "internal_error"
    assert told.result["output"] == [{"type": "message", "content": "Hello"}] and "response_id" not in told.result


# Conversations

def test_a_conversation_branches_from_any_reply(martlet, upstream):
    source = upstream(script(ANSWER, "chat"))
    server = martlet(source)
    first = ask(server, chat.MODEL, "one", system_prompt="Be short.").json["response_id"]
    assert ID.fullmatch(first)
    second = ask(server, chat.MODEL, "two", previous_response_id=first).json["response_id"]
    ask(server, chat.MODEL, "three", previous_response_id=second, system_prompt="Be long.")
    ask(server, chat.MODEL, "other", previous_response_id=first, stream=True)
    said = [[(one["role"], one["content"]) for one in request.json["messages"]] for request in source.requests]
    hello = ("assistant", "Hello, I am here.")
    assert said[1] == [("system", "Be short."), ("user", "one"), hello, ("user", "two")]
    assert said[2] == [("system", "Be long."), ("user", "one"), hello, ("user", "two"), hello, ("user", "three")]
    assert said[3] == [("system", "Be short."), ("user", "one"), hello, ("user", "other")]


def test_a_conversation_goes_on_between_this_api_and_responses(martlet, upstream):
    source = upstream(script(ANSWER, "chat"))
    server = martlet(source)
    first = ask(server, chat.MODEL, [{"type": "text", "content": "one"}, {"type": "image", "data_url": PICTURE}]).json
    body = {"model": chat.MODEL, "input": "two", "previous_response_id": first["response_id"]}
    second = server.ask("POST", "/v1/responses", chat.dumps(body)).json
    reply = ask(server, chat.MODEL, "three", previous_response_id=second["id"])
    assert reply.status == 200
    roles = [one["role"] for one in source.requests[-1].json["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    assert [part["type"] for part in source.requests[-1].json["messages"][0]["content"]] == ["text", "image_url"]
    stored = server.ask("GET", f"/v1/responses/{first['response_id']}")
    assert stored.status == 200 and stored.json["output"][-1]["content"][0]["text"] == "Hello, I am here."


def test_a_conversation_is_its_owners(martlet, upstream):
    tokens = ["sk-one", "sk-two"]
    digests = ["sha256:" + hashlib.sha256(token.encode()).hexdigest() for token in tokens]
    source = upstream(script(ANSWER, "chat"))
    server = martlet(config={"auth": {"tokens": digests}, "upstreams": {"one": {"kind": "openai-compatible", "url": source.url}}})
    body = chat.dumps({"model": f"one/{chat.MODEL}", "input": "hi"})
    missing = error(server.ask("POST", "/api/v1/chat", body), 401)
    assert missing["type"] == "invalid_request" and missing["code"] == "invalid_api_key"
    first = server.ask("POST", "/api/v1/chat", body, authorization="Bearer sk-one").json["response_id"]
    more = chat.dumps({"model": f"one/{chat.MODEL}", "input": "go on", "previous_response_id": first})
    assert error(server.ask("POST", "/api/v1/chat", more, authorization="Bearer sk-two"))["param"] == "previous_response_id"
    assert server.ask("POST", "/api/v1/chat", more, authorization="Bearer sk-one").status == 200


# What is taken

@pytest.mark.parametrize("more, code, param, words", [
    ({"stop": ["x"], "seed": 1}, "unrecognized_keys", None, "Unrecognized key(s) in object: 'stop', 'seed'"),
    ({"model": None}, "missing_required_parameter", "model", '"model" is required'),
    ({"input": None}, "missing_required_parameter", "input", '"input" is required'),
    ({"input": [{"type": "audio"}]}, "invalid_union", "input", "input[0].type"),
    ({"input": [{"role": "assistant", "content": "a"}]}, "invalid_union", "input", "input[0].type"),
    ({"input": [{"type": "image", "data_url": "https://a.example/a.png"}]}, None, "input[0].data_url", "data URL"),
    ({"temperature": 1.5}, None, "temperature", "between 0 and 1"),
    ({"reasoning": "max"}, None, "reasoning", "off, low, medium, high, on"),
    ({"previous_response_id": "abc"}, None, "previous_response_id", "resp_"),
    ({"previous_response_id": "resp_" + "0" * 48}, "previous_response_not_found", "previous_response_id", "not found"),
])
def test_what_lm_studio_refuses_is_refused(matrix, more, code, param, words):
    source = matrix.play("llamacpp", script(ANSWER, "chat"))
    said = error(ask(matrix.server, **{"model": f"llamacpp/{chat.MODEL}"} | more))
    assert (said["type"], said.get("code"), said.get("param")) == ("invalid_request", code, param)
    assert words in said["message"]
    assert not source.requests


def test_other_errors_have_its_form(matrix):
    assert error(ask(matrix.server, "nobody/has-this"), 404)["type"] == "model_not_found"
    assert error(matrix.server.ask("POST", "/api/v1/chat", b"{"))["type"] == "invalid_request"
    assert error(matrix.server.ask("GET", "/api/v1/nothing"), 404)["type"] == "invalid_request"
    assert error(matrix.server.ask("GET", "/api/v1/chat"), 405)["type"] == "invalid_request"
    said = error(ask(matrix.server, f"llamacpp/{chat.MODEL}", integrations=["mcp/files"]), 403)
    assert said["type"] == "mcp_connection_error"


def test_settings_reach_the_upstream(matrix):
    source = matrix.play("llamacpp", script(ANSWER, "chat"))
    sent = {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "repeat_penalty": 1.1}
    reply = ask(matrix.server, f"llamacpp/{chat.MODEL}", [{"type": "message", "content": "hi"}], reasoning="on",
                max_output_tokens=50, store=False, context_length=4096, **sent)
    assert reply.status == 200 and "x-translation-dropped" not in reply.headers
    got = source.requests[-1].json
    assert {name: got[name] for name in sent} == sent and got["max_tokens"] == 50
    assert got["chat_template_kwargs"] == {"enable_thinking": True} and got["messages"] == [{"role": "user", "content": "hi"}]


def test_an_extended_request_is_an_agents(extended):
    server, source = extended(Answer([Text("Let me look."), Call("call_1", "weather", '{"city": "Paris"}')], end="calls"))
    more = {"tools": [chat.WEATHER], "stop": ["END"], "seed": 7}
    told = Told(ask(server, chat.MODEL, "How is it?", stream=True, **more).body)
    assert told.types[-5:] == ["message.delta", "message.end", "tool_call.start", "tool_call.arguments", "chat.end"]
    [call] = [item for item in told.result["output"] if item["type"] == "tool_call"]
    assert call == {"type": "tool_call", "tool": "weather", "arguments": {"city": "Paris"}, "provider_info": {"type": "caller"},
                    "call_id": "call_1"}
    sent = source.requests[-1].json
    assert sent["stop"] == ["END"] and sent["seed"] == 7 and sent["tools"][0]["function"]["name"] == "weather"
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    assert ask(server, chat.MODEL, [result], previous_response_id=told.result["response_id"], **more).status == 200
    assert [one["role"] for one in source.requests[-1].json["messages"]] == ["user", "assistant", "tool"]
    turns = [{"type": "text", "content": "a"}, {"role": "assistant", "content": "b"}, {"type": "text", "content": "c"}]
    assert ask(server, chat.MODEL, turns, store=False).status == 200
    assert [one["content"] for one in source.requests[-1].json["messages"]] == ["a", "b", "c"]


# Before LM Studio

@pytest.mark.parametrize("stream", [False, True])
def test_lm_studio_is_asked_in_its_own_api(martlet, stream):
    fake = FakeLMStudio(Quirks(), thinking="hm")
    try:
        server = martlet(fake, kind="lmstudio")
        reply = ask(server, "acme/writer-8b", system_prompt="Be short.", reasoning="low", stream=stream)
        sent = fake.request
        assert sent.target == "/api/v1/chat"
        assert sent.json == {"model": "acme/writer-8b", "system_prompt": "Be short.", "input": "hi", "reasoning": "low", "store": False
                             } | ({"stream": True} if stream else {})
        result = Told(reply.body).result if stream else reply.json
        assert result["output"][-1] == {"type": "message", "content": "Hello, I am a fake."}
        assert result["stats"]["tokens_per_second"] == 50.5 and ID.fullmatch(result["response_id"])
        again = ask(server, "acme/writer-8b", "more", previous_response_id=result["response_id"])
        assert again.status == 200 and fake.requests[-1].target == "/v1/chat/completions"
        assert [one["role"] for one in fake.requests[-1].json["messages"]] == ["system", "user", "assistant", "user"]
    finally:
        fake.close()


def test_how_far_a_prompt_is_leaves_as_it_happens(martlet, upstream):
    goes_on = threading.Event()

    def answer(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": None}, prompt_progress={
            "total": 1000, "cache": 0, "processed": 250, "time_ms": 100})))
        assert goes_on.wait(30)
        exchange.chunked(chat.text_stream("hello"))
        exchange.end_chunks()

    server = martlet(upstream(answer), kind="llamacpp", wait=False)
    body = chat.dumps({"model": chat.MODEL, "input": "hi", "stream": True})
    began, seen = time.monotonic(), b""
    with server.connect(timeout=60) as connection:
        connection.send(request("POST", "/api/v1/chat", body, port=server.port))
        reply = connection.open_reply()
        while b"prompt_processing.progress" not in seen:
            seen += reply.readline()
        assert time.monotonic() - began < 3, "it is told before there is anything else"
        goes_on.set()
        seen += reply.read()
    assert Told(seen).types[:3] == ["chat.start", "prompt_processing.start", "prompt_processing.progress"]
    assert Told(seen).result["output"] == [{"type": "message", "content": "hello"}]


# The real engine

def test_every_event_leaves_as_it_happens(local):
    server = local(load_seconds=3)
    body = chat.dumps({"model": engine.MODEL, "input": "Tell me a long story. " * 30, "stream": True, "max_output_tokens": 12,
                       "temperature": 0})
    began, seen = time.monotonic(), b""
    with server.connect(timeout=120) as connection:
        connection.send(request("POST", "/api/v1/chat", body, port=server.port))
        reply = connection.open_reply()
        while b"model_load.start" not in seen:
            seen += reply.readline()
        assert time.monotonic() - began < 3, "the load is told of when it begins"
        seen += reply.read()
    told = Told(seen)
    order = [name for name in told.types if name.endswith((".start", ".end"))]
    assert order == ["chat.start", "model_load.start", "model_load.end", "prompt_processing.start", "prompt_processing.end",
                     "message.start", "message.end", "chat.end"]
    assert "prompt_processing.progress" in told.types
    stats = told.result["stats"]
    assert stats["model_load_time_seconds"] >= 3 and told.of("model_load.end")[0]["load_time_seconds"] >= 3
    assert stats["input_tokens"] > 100 and stats["tokens_per_second"] > 0 and stats["time_to_first_token_seconds"] > 0
    assert told.result["model_instance_id"] == engine.MODEL
    whole = ask(server, engine.MODEL, max_output_tokens=8).json
    assert "model_load_time_seconds" not in whole["stats"] and whole["stats"]["tokens_per_second"] > 0


def test_the_installed_engine_tells_how_far_it_is_with_loading(martlet):
    server = martlet(before=engine.give_model, engines=engine.engines(), environment={"MARTLET_ENGINE_THREADS": "1"})
    told = Told(ask(server, engine.MODEL, stream=True, max_output_tokens=2, context_length=1024).body)
    assert told.of("model_load.progress") and told.result["stats"]["model_load_time_seconds"] > 0
    [model] = [one for one in server.ask("GET", "/api/v1/models").json["models"] if one["loaded_instances"]]
    [instance] = model["loaded_instances"]
    assert instance["config"]["context_length"] == 1024 and instance["id"] == told.result["model_instance_id"]


def test_the_engine_goes_on_with_a_conversation(tiny):
    first = ask(tiny, engine.MODEL, "Hello!", max_output_tokens=16).json
    again = ask(tiny, engine.MODEL, "And more?", previous_response_id=first["response_id"], max_output_tokens=4).json
    assert again["stats"]["input_tokens"] > first["stats"]["input_tokens"] + first["stats"]["total_output_tokens"] - 1
    blind = error(ask(tiny, engine.MODEL, [{"type": "image", "data_url": PICTURE}]))
    assert blind["param"] == "input" and "cannot see images" in blind["message"]
