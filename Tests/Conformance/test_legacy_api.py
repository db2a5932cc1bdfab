"""LM Studio's older API as a client calls it: completions that tell how they went, errors in words alone, and the probes."""

import hashlib
import json

import pytest

from fake_lmstudio import FakeLMStudio, Quirks
from support import chat, engine

CHAT, COMPLETIONS, EMBEDDINGS = "/api/v0/chat/completions", "/api/v0/completions", "/api/v0/embeddings"
WORDS = {"userStopped", "modelUnloaded", "failed", "eosFound", "stopStringFound", "toolCalls", "maxPredictedTokensReached",
         "contextLengthReached"}


def post(server, target, **body):
    return server.ask("POST", target, json.dumps(body).encode())


def messages(**more):
    return {"messages": chat.MESSAGES} | more


def check(extras, *, tokens=True):
    """The three objects are there, each member of its kind."""
    stats, info, runtime = (extras[name] for name in ("stats", "model_info", "runtime"))
    for name in ("tokens_per_second", "time_to_first_token", "generation_time")[0 if tokens else 1:]:
        assert isinstance(stats[name], int | float) and stats[name] >= 0, stats
    assert not tokens or stats["stop_reason"] in WORDS
    assert all(isinstance(info[name], str) for name in ("arch", "quant", "format")), info
    assert isinstance(runtime["name"], str) and isinstance(runtime["version"], str)
    assert isinstance(runtime["supported_formats"], list)
    return stats, info, runtime


def chunks(reply):
    assert reply.status == 200, reply.body
    events = reply.events()
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


def as_zed_reads(chunk):
    """Zed's types, as strict as its parser: a chunk that does not fit ends the reply."""
    assert isinstance(chunk["created"], int) and isinstance(chunk["model"], str)
    assert chunk["object"] == "chat.completion.chunk"
    for choice in chunk["choices"]:
        assert isinstance(choice["index"], int) and isinstance(choice["delta"], dict)
        assert choice.get("finish_reason") is None or isinstance(choice["finish_reason"], str)
    usage = chunk.get("usage")
    assert usage is None or all(isinstance(usage[name], int) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))


# The engine

def test_the_engine_tells_how_it_went(tiny):
    reply = post(tiny, CHAT, model=engine.MODEL, max_tokens=4, ttl=600, temperature=0, **messages())
    assert reply.status == 200, reply.body
    stats, info, runtime = check(reply.json)
    assert 0 < stats["tokens_per_second"] and 0 < stats["generation_time"] < 60 and stats["time_to_first_token"] < 60
    assert info["arch"] == "llama" and info["quant"] == "F16" and info["format"] == "gguf" and info["context_length"] > 0
    assert runtime["name"] == "llama.cpp" and runtime["version"] and runtime["supported_formats"] == ["gguf"]
    usage = reply.json["usage"]
    expected = "maxPredictedTokensReached" if reply.json["choices"][0]["finish_reason"] == "length" else "eosFound"
    assert stats["stop_reason"] == expected and usage["completion_tokens"] <= 4


@pytest.mark.parametrize("asks", [True, False], ids=["usage", "noUsage"])
def test_a_stream_of_the_engine_tells_it_last(tiny, asks):
    more = {"stream_options": {"include_usage": True}} if asks else {}
    all_of_it = chunks(post(tiny, CHAT, model=engine.MODEL, max_tokens=4, stream=True, **messages(**more)))
    for chunk in all_of_it:
        as_zed_reads(chunk)
    assert not any({"stats", "model_info", "runtime"} & chunk.keys() for chunk in all_of_it[:-1])
    check(all_of_it[-1])
    assert bool(all_of_it[-1].get("usage")) == asks
    assert sum(choice["finish_reason"] is not None for chunk in all_of_it for choice in chunk["choices"]) == 1


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
def test_completions_of_the_engine_tell_it_too(tiny, streams):
    reply = post(tiny, COMPLETIONS, model=engine.MODEL, prompt="one", max_tokens=3, stream=streams)
    last = chunks(reply)[-1] if streams else reply.json
    stats, info, _ = check(last)
    assert stats["stop_reason"] in ("maxPredictedTokensReached", "eosFound") and info["arch"] == "llama"


# Other servers

def test_what_an_upstream_does_not_tell_is_measured(martlet, upstream):
    def script(exchange):
        stream = json.loads(exchange.request.body).get("stream")
        exchange.stream(chat.text_stream("Hel", "lo", finish="length", usage=(3, 2))) if stream else exchange.json(
            chat.completion(finish="length"))

    source = upstream(script)
    server = martlet(source)
    whole = post(server, CHAT, model="m1", max_tokens=2, **messages())
    stats, info, runtime = check(whole.json)
    assert stats["stop_reason"] == "maxPredictedTokensReached" and stats["tokens_per_second"] > 0
    assert runtime["name"] == "openai-compatible" and info["arch"] == ""
    last = chunks(post(server, CHAT, model="m1", stream=True, **messages()))[-1]
    stats, _, _ = check(last)
    assert stats["stop_reason"] == "contextLengthReached", "the request had no limit of its own"
    assert [request.target for request in source.requests] == ["/v1/chat/completions"] * 2


def test_another_dialect_behind_it_is_told_too(martlet, upstream):
    reply = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m1", "content": [{"type": "text", "text": "Hi."}],
             "stop_reason": "stop_sequence", "stop_sequence": "END", "usage": {"input_tokens": 3, "output_tokens": 2}}
    server = martlet(upstream(lambda exchange: exchange.json(reply)), kind="anthropic", wait=False)
    answer = post(server, CHAT, model="m1", stop=["END"], **messages())
    assert answer.status == 200, answer.body
    stats, _, _ = check(answer.json)
    assert stats["stop_reason"] == "stopStringFound"


def test_embeddings_tell_what_made_them(martlet, upstream):
    reply = {"object": "list", "model": "m1", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}],
             "usage": {"prompt_tokens": 2, "total_tokens": 2}}
    source = upstream(lambda exchange: exchange.json(reply))
    answer = post(martlet(source), EMBEDDINGS, model="m1", input="one")
    check(answer.json, tokens=False)
    assert answer.json["data"] == reply["data"] and source.request.target == "/v1/embeddings"


# A real LM Studio

@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("asks", [True, False], ids=["usage", "noUsage"])
def test_lm_studio_measures_by_itself(martlet, streams, asks):
    fake = FakeLMStudio()
    try:
        server = martlet(None, "--upstream", fake.url, "--kind", "lmstudio")
        server.wait_for_model("acme/writer-8b")
        more = {"stream": streams} | ({"stream_options": {"include_usage": True}} if streams and asks else {})
        reply = post(server, CHAT, model="acme/writer-8b", ttl=60, draft_model="acme/small", **messages(**more))
        last = chunks(reply)[-1] if streams else reply.json
        assert fake.requests[-1].target == CHAT
        assert fake.requests[-1].json["ttl"] == 60 and fake.requests[-1].json["draft_model"] == "acme/small"
        assert last["stats"] == {"tokens_per_second": 60.1, "time_to_first_token": 0.08, "generation_time": 0.05,
                                 "stop_reason": "eosFound"}
        assert last["runtime"]["name"] == "llama.cpp-linux-x86_64-avx2" and last["model_info"]["context_length"] == 8192
    finally:
        fake.close()


def test_errors_of_lm_studio_are_errors_here(martlet):
    fake = FakeLMStudio(Quirks(overflow="string"))
    try:
        server = martlet(None, "--upstream", fake.url, "--kind", "lmstudio")
        server.wait_for_model("acme/writer-8b")
        long = [{"role": "user", "content": "word " * 20000}]
        reply = post(server, CHAT, model="acme/writer-8b", messages=long)
        assert reply.status == 400 and "maximum context length" in reply.json["error"]
    finally:
        fake.close()


# Errors, routes, probes

def test_errors_are_words_alone(martlet, upstream):
    server = martlet(upstream())
    for target, body, code, words in (
            (CHAT, {"model": "m1", "messages": []}, 400, "messages"), (CHAT, {"model": "none"} | messages(), 404, '"none"'),
            (CHAT, {"model": "m1", "temperature": 9} | messages(), 400, "temperature"),
            (COMPLETIONS, {"model": "m1"}, 400, "prompt"), (EMBEDDINGS, {"model": "none", "input": "a"}, 404, '"none"')):
        reply = post(server, target, **body)
        assert reply.status == code and list(reply.json) == ["error"] and words in reply.json["error"], reply.body
    assert isinstance(server.ask("POST", CHAT, b"{").json["error"], str)
    assert "not installed" in server.ask("GET", "/api/v0/models/none").json["error"]


def test_unknown_routes_and_methods_are_told_in_lm_studios_words(martlet, upstream):
    server = martlet(upstream())
    for method, target, code in (("GET", "/api/v0/files", 404), ("PUT", CHAT, 405), ("GET", "/v1/files", 404),
                                 ("GET", "/v1/chat/completions", 405), ("GET", "/nothing", 404)):
        reply = server.ask(method, target, b"{}" if method != "GET" else None)
        assert reply.status == code, target
        error = reply.json["error"] if target.startswith("/api/v0") else reply.json["error"]["message"]
        assert error.startswith(f"Unexpected endpoint or method. ({method} {target})"), error
        assert (code == 405) == ("allow" in reply.headers)


def test_a_missing_token_is_told_alike_everywhere(martlet, upstream):
    digest = hashlib.sha256(b"sk-right").hexdigest()
    source = upstream()
    server = martlet(config={
        "upstreams": {"one": {"kind": "openai-compatible", "url": source.url}}, "auth": {"tokens": [f"sha256:{digest}"]}})
    reply = post(server, CHAT, model="m1", **messages())
    assert reply.status == 401 and reply.json["error"]["code"] == "invalid_api_key"
    for target, body in (("/lmstudio-greeting", {"lmstudio": True}), ("/lms-status", {"package": "lmstudio", "version": "0.4.1"})):
        answer = server.ask("GET", target)
        assert (answer.status, answer.json) == (200, body), "probes need no token"
        assert server.ask("GET", target, host="evil.example").status == 403, "but one of this machine's names"


def test_pages_that_may_ask_may_ask_here_too(martlet, upstream):
    page = "https://app.example"
    source = upstream()
    server = martlet(config={
        "upstreams": {"one": {"kind": "openai-compatible", "url": source.url}}, "server": {"allowed_origins": [page]}})
    for target in (CHAT, "/api/v0/models", "/api/v1/models", "/api/v1/models/load"):
        reply = server.ask("OPTIONS", target, origin=page, access_control_request_method="POST")
        assert reply.status == 204 and reply.headers["access-control-allow-origin"] == page, target
        assert server.ask("OPTIONS", target, origin="https://evil.example").status == 403
