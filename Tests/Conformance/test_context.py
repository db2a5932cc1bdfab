"""What Martlet knows of context windows, and what follows from it: lists, and limits that fit."""

import threading

import pytest

from fake_lmstudio import FakeLMStudio, Model, Quirks
from support import chat, engine
from support.wire import Connection


def listed(server, model):
    return server.ask("GET", f"/v1/models/{model}").json


def messages(server, **more):
    body = chat.dumps({"model": chat.MODEL, "max_tokens": 32000, "messages": chat.MESSAGES} | more)
    return server.ask("POST", "/v1/messages", body, **{"anthropic-version": "2023-06-01"})


def window_of(upstream, tokens, **asides):
    """Lets a scripted upstream list its model with a window, and answer further questions."""

    def get(exchange):
        path = exchange.request.target
        if path in asides:
            return asides[path](exchange)
        if path != "/v1/models":
            return exchange.json({}, 404, "Not Found")
        exchange.json({"data": [{"id": chat.MODEL, "object": "model", "meta": {"n_ctx": tokens, "n_ctx_train": 65536}}]})

    upstream.get = get
    return upstream


# Lists

def test_the_window_goes_by_every_name(martlet, upstream):
    server = martlet(window_of(upstream(), 8192), kind="llamacpp")
    entry = listed(server, chat.MODEL)
    assert [entry[name] for name in ("context_length", "max_model_len", "max_input_tokens")] == [8192] * 3
    assert entry["max_context_length"] == 65536
    assert entry in server.ask("GET", "/v1/models").json["data"]


def test_an_alias_has_its_models_window(martlet, upstream):
    source = window_of(upstream(), 8192)
    server = martlet(source, "--alias", f"claude={chat.MODEL}", kind="llamacpp")
    assert listed(server, "claude")["context_length"] == 8192


def test_lm_studio_tells_what_is_loaded(martlet):
    fake = FakeLMStudio(Quirks(), models=[Model("a/loaded", context=4096), Model("a/other", loaded=False)])
    try:
        server = martlet(fake, kind="lmstudio")
        assert (listed(server, "a/loaded")["context_length"], listed(server, "a/loaded")["max_context_length"]) == (4096, 131072)
        assert listed(server, "a/other")["context_length"] == 131072
    finally:
        fake.close()


def test_a_model_of_unknown_window_is_listed_without_one(martlet, upstream):
    entry = listed(martlet(upstream(), kind="lmstudio"), chat.MODEL)
    assert not {"context_length", "max_model_len", "max_input_tokens", "max_context_length"} & entry.keys()


def test_the_list_does_not_wait_for_a_question_beside_it(martlet, upstream):
    """`/api/ps` hangs: the models are listed all the same, and soon."""
    source = upstream()
    plain, free = source.get, threading.Event()
    source.get = lambda exchange: free.wait(20) if exchange.request.target == "/api/ps" else plain(exchange)
    server = martlet(source, kind="ollama")
    try:
        with Connection(server.port, timeout=2.0) as connection:
            assert [entry["id"] for entry in connection.ask("GET", "/v1/models").json["data"]] == [chat.MODEL]
    finally:
        free.set()


def test_ollama_is_asked_model_by_model(martlet, upstream):
    def show(exchange):
        assert exchange.request.target == "/api/show"
        length = {"one": 4096, "two": 8192}[exchange.request.json["model"]]
        exchange.json({"model_info": {"general.architecture": "llama", "llama.context_length": length}})

    source = upstream(show, models=["one", "two"])
    server = martlet(source, kind="ollama")
    assert [listed(server, model)["context_length"] for model in source.models] == [4096, 8192]
    assert {request.json["model"] for request in source.requests} == {"one", "two"}


# Limits

@pytest.mark.parametrize("known", [True, False])
def test_an_agents_limit_is_cut_to_what_is_free(martlet, upstream, known):
    source = window_of(upstream(), 8192 if known else None)
    if not known:
        source.get = type(source).get.__get__(source)
    server = martlet(source, kind="llamacpp")
    reply = messages(server)
    assert reply.status == 200
    limit = source.request.json["max_tokens"]
    if known:
        assert 8000 < limit < 8192
        assert reply.headers["x-translation-dropped"] == "max_tokens"
    else:
        assert limit == 32000
        assert "x-translation-dropped" not in reply.headers


def test_a_limit_that_fits_is_left_alone(martlet, upstream):
    source = window_of(upstream(), 8192)
    reply = messages(martlet(source, kind="llamacpp"), max_tokens=1000)
    assert source.request.json["max_tokens"] == 1000
    assert "x-translation-dropped" not in reply.headers


def test_a_relayed_limit_is_left_alone(martlet, upstream):
    source = window_of(upstream(), 8192)
    assert martlet(source, kind="llamacpp").chat(chat.body(max_tokens=32000)).status == 200
    assert source.request.json["max_tokens"] == 32000


# The engine itself

def test_the_engine_tells_its_window_once_it_is_loaded(martlet):
    server = martlet(
        before=engine.give_model, engines=engine.engines(), environment={"MARTLET_ENGINE_CONTEXT": "512"})
    assert "context_length" not in listed(server, engine.MODEL)
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1), timeout=180).status == 200
    entry = listed(server, engine.MODEL)
    assert (entry["context_length"], entry["max_context_length"]) == (512, 131072)
