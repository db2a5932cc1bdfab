"""`martlet serve --config` on the inference server's own files: its examples, variables, defaults, limits and errors.

The two examples stand here as its documentation prints them; only the upstream's address is put in.
"""

import json
import socket
import time

import pytest

from support import chat
from support.waiting import until

MINIMAL = """\
inference:
  provider: lmstudio
  base_url: "http://localhost:1234"  # LM Studio default
  default_model: "local-model"        # Model loaded in LM Studio
"""
FULL = """\
inference:
  provider: lmstudio
  base_url: "http://localhost:1234"
  default_model: "TheBloke/Mistral-7B-Instruct-v0.2-GGUF"
  allowed_models:                    # Optional: restrict to specific models
    - "TheBloke/Mistral-7B-Instruct-v0.2-GGUF"
    - "TheBloke/Llama-2-7B-Chat-GGUF"
  http:                              # Optional - has smart defaults
    timeout_secs: 60                # Longer for local models
    connect_timeout_secs: 10
    keep_alive_secs: 30
    max_idle_connections: 10
"""
MISTRAL = "TheBloke/Mistral-7B-Instruct-v0.2-GGUF"
LLAMA = "TheBloke/Llama-2-7B-Chat-GGUF"


def at(source, text):
    """An example with the test's upstream in it."""
    assert "http://localhost:1234" in text
    return text.replace("http://localhost:1234", source.url)


def body(**members):
    return chat.dumps({"messages": chat.MESSAGES} | members)


def refused(reply, status, *words):
    assert reply.status == status, reply.body
    message = reply.json["error"]["message"]
    for word in words:
        assert word in message, message


@pytest.fixture
def upstream(upstream):
    """As LM Studio does, a reply names the model that answers: the one that was asked for."""
    def named(exchange):
        exchange.json(chat.completion(model=exchange.request.json["model"]))

    return lambda script=named, **options: upstream(script, **options)


def chunk(*values, **members):
    return chat.chunk(*values, model="writer-8b", **members)


@pytest.mark.parametrize("model", [None, "local-model"])
def test_the_minimal_example(martlet, upstream, model):
    source = upstream(models=["writer-8b"])
    server = martlet(source, config=at(source, MINIMAL))
    reply = server.chat(body(model=model) if model else body())
    assert reply.status == 200
    assert reply.headers["x-martlet-model"] == "studio/writer-8b"
    sent = source.request.json
    assert sent["model"] == "writer-8b", "local-model stands for the only one there is"
    assert (sent["max_tokens"], sent["temperature"]) == (100, 0.7)
    assert "top_p" not in sent and "stop" not in sent


def test_what_the_client_says_goes_before_the_defaults(martlet, upstream):
    source = upstream(models=["writer-8b"])
    server = martlet(source, config=at(source, MINIMAL))
    assert server.chat(body(max_tokens=500, temperature=0, stop=["END"], seed=42, cache_prompt=True)).status == 200
    sent = source.request.json
    assert (sent["max_tokens"], sent["temperature"], sent["stop"], sent["seed"]) == (500, 0, ["END"], 42)
    assert sent["cache_prompt"] is True


def test_usage_stands_in_the_finish_chunk(martlet, upstream):
    def script(exchange):
        assert exchange.request.json["stream_options"] == {"include_usage": True}
        exchange.stream(
            chat.event(chunk({"role": "assistant", "content": "one"})) + chat.event(chunk(finish="stop"))
            + chat.event(chunk(usage=(9, 1))) + chat.event(b"[DONE]"))

    source = upstream(script, models=["writer-8b"])
    reply = martlet(source, config=at(source, MINIMAL)).chat(body(stream=True))
    *chunks, done = reply.events()
    assert done == "[DONE]"
    last = json.loads(chunks[-1])
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["total_tokens"] == 10


def test_the_full_example(martlet, upstream):
    source = upstream(models=[MISTRAL, LLAMA, "another-1b"])
    server = martlet(source, wait=False, config=at(source, FULL))
    until(lambda: server.models() == [MISTRAL, LLAMA], "the allowed models were listed and no other")
    assert server.chat(body()).status == 200
    assert server.chat(body(model=LLAMA)).status == 200
    assert [request.json["model"] for request in source.requests] == [MISTRAL, LLAMA]
    health = server.ask("GET", "/health").json
    assert health["provider"] == "lmstudio"
    assert health["http_config"] == {
        "timeout_secs": 60, "connect_timeout_secs": 10, "keep_alive_secs": 30, "max_idle_connections": 10,
        "max_retries": 3}


def test_the_variables_alone(martlet, upstream):
    source = upstream(models=["writer-8b"])
    server = martlet(environment={
        "INFERENCE_INFERENCE_PROVIDER": "lmstudio", "INFERENCE_INFERENCE_BASE_URL": source.url,
        "INFERENCE_INFERENCE_DEFAULT_MODEL": "local-model", "INFERENCE_INFERENCE_HTTP_TIMEOUT_SECS": "77"})
    assert server.wait_for_model("writer-8b").chat(body(model="local-model")).status == 200
    assert source.request.json["max_tokens"] == 100
    assert server.ask("GET", "/health").json["http_config"]["timeout_secs"] == 77


@pytest.mark.parametrize("target", ["/v1/chat/completions", "/v1/messages"])
def test_a_model_outside_allowed_models_is_400(martlet, upstream, target):
    source = upstream(models=[MISTRAL, "another-1b"])
    server = martlet(source, wait=False, config=at(source, FULL))
    reply = server.ask("POST", target, body(model="another-1b", max_tokens=5))
    refused(reply, 400, '"another-1b"', "allowed_models", MISTRAL, LLAMA)
    assert not source.requests


def test_a_missing_model_is_404(martlet, upstream):
    source = upstream(models=["writer-8b"])
    server = martlet(source, config=at(source, MINIMAL))
    refused(server.chat(body(model="writer-9b")), 404, '"writer-9b"', "closest: writer-8b", "martlet ls")


def test_an_allowed_model_that_is_not_loaded_is_404(martlet, upstream):
    source = upstream(models=[MISTRAL])
    server = martlet(source, config=at(source, FULL))
    refused(server.chat(body(model=LLAMA)), 404, LLAMA)
    assert not source.requests


def test_a_unique_part_of_a_name_is_enough_in_the_file(martlet, upstream):
    source = upstream(models=[MISTRAL, LLAMA])
    server = martlet(source, config=at(source, MINIMAL).replace("local-model", "Mistral-7B"))
    for asked in ({}, {"model": "local-model"}, {"model": "Mistral-7B"}):
        assert server.chat(body(**asked)).status == 200
    assert {request.json["model"] for request in source.requests} == {MISTRAL}
    refused(server.chat(body(model="Llama-2")), 404, "Llama-2", LLAMA)


def test_a_part_of_a_name_is_resolved_when_the_upstream_comes_up_later(martlet, upstream):
    source = upstream(models=[MISTRAL, LLAMA])
    source.stop_listening()
    server = martlet(source, wait=False, config=at(source, MINIMAL).replace("local-model", "Mistral-7B"))
    refused(server.chat(body()), 502, "cannot connect")
    late = upstream(models=[MISTRAL, LLAMA], port=source.port)
    # Until the list is read, once a second at most, the name goes out as it is written.
    until(
        lambda: server.chat(body()).status == 200 and late.requests[-1].json["model"] == MISTRAL,
        "the name was resolved")


def test_an_ambiguous_part_names_the_candidates(martlet, upstream):
    source = upstream(models=[MISTRAL, LLAMA])
    server = martlet(source, config=at(source, MINIMAL).replace("local-model", "TheBloke"))
    refused(server.chat(body()), 404, MISTRAL, LLAMA)


def test_unreachable_is_502(martlet, upstream):
    source = upstream(models=["writer-8b"])
    server = martlet(source, config=at(source, MINIMAL))
    source.stop_listening()
    refused(server.chat(body()), 502, "cannot connect to LM Studio", str(source.port), "lms server start")


def test_a_failing_upstream_is_500(martlet, upstream):
    source = upstream(
        lambda exchange: exchange.json({"error": {"message": "the model crashed"}}, 500, "Internal Server Error"),
        models=["writer-8b"])
    refused(martlet(source, config=at(source, MINIMAL)).chat(body()), 500, "the model crashed")


@pytest.mark.parametrize("parameter", [{"temperature": 7}, {"top_p": 2}, {"max_tokens": "many"}])
def test_invalid_parameters_are_400(martlet, upstream, parameter):
    source = upstream(models=["writer-8b"])
    refused(martlet(source, config=at(source, MINIMAL)).chat(body(**parameter)), 400, next(iter(parameter)))
    assert not source.requests


@pytest.mark.parametrize("stream", [False, True])
def test_slow_is_504(martlet, upstream, stream):
    source = upstream(lambda exchange: exchange.wait_gone(), models=["writer-8b"])
    server = martlet(source, config=at(source, MINIMAL) + "  http: { timeout_secs: 1 }\n")
    began = time.monotonic()
    refused(server.chat(body(stream=stream)), 504, "LM Studio", "after 1 s", "inference.http.timeout_secs")
    assert 0.9 < time.monotonic() - began < 5
    assert source.exchanges[0].gone(within=1)


def test_the_timeout_bounds_a_whole_unstreamed_reply(martlet, upstream):
    def script(exchange):
        exchange.head(content_type="application/json", content_length=1000)
        for _ in range(100):  # never silent for long, and never done
            exchange.send(b" ")
            time.sleep(0.1)

    source = upstream(script, models=["writer-8b"])
    server = martlet(source, config=at(source, MINIMAL) + "  http: { timeout_secs: 1 }\n")
    began = time.monotonic()
    refused(server.chat(body()), 504, "total timeout after 1 s", "inference.http.timeout_secs")
    assert time.monotonic() - began < 5


def test_the_timeout_does_not_bound_a_stream_that_goes_on(martlet, upstream):
    def script(exchange):
        exchange.stream_head()
        for _ in range(15):
            exchange.chunked(chat.event(chunk({"content": "more "})))
            time.sleep(0.15)
        exchange.chunked(chat.event(chunk(finish="stop")) + chat.event(b"[DONE]"))
        exchange.end_chunks()

    source = upstream(script, models=["writer-8b"])
    server = martlet(source, config=at(source, MINIMAL) + "  http: { timeout_secs: 1 }\n")
    began = time.monotonic()
    assert server.chat(body(stream=True)).events()[-1] == "[DONE]"
    assert time.monotonic() - began > 2


def test_a_connection_that_is_not_taken_is_504(martlet):
    with socket.socket() as full:  # its queue is full: a further connection waits for ever
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        text = MINIMAL.replace("http://localhost:1234", f"http://127.0.0.1:{full.getsockname()[1]}")
        server = martlet(config=text + "  http: { connect_timeout_secs: 1, max_retries: 0 }\n")
        refused(server.chat(body()), 504, "inference.http.connect_timeout_secs")
        for one in waiting:
            one.close()


def test_the_mock_provider(martlet):
    server = martlet(config="inference: { provider: mock }\n")
    assert server.models() == ["mock"]
    reply = server.chat(body(model="local-model"))
    assert reply.json["choices"][0]["message"]["content"] == f"The mock heard: {chat.PROMPT}"
    assert server.ask("GET", "/health").json["provider"] == "mock"
