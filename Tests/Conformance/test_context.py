"""What Martlet knows of context windows, and what follows from it: lists, limits that fit, and prompts refused before they wait."""

import threading

import pytest

from fake_lmstudio import FakeLMStudio, Model, Quirks
from support import chat, engine
from support.waiting import until
from support.wire import Connection

COUNT = "/v1/chat/completions/input_tokens"


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


def counting(tokens, answer=lambda exchange: exchange.json(chat.completion())):
    """A script that counts every prompt so and answers all else."""

    def script(exchange):
        if exchange.request.target == COUNT:
            return exchange.json({"input_tokens": tokens, "object": "response.input_tokens"})
        answer(exchange)

    return script


def completions(source):
    return [request for request in source.requests if request.target == "/v1/chat/completions"]


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
    source = upstream(models=["one", "two"])
    plain = source.get

    def show(exchange):
        if exchange.request.target != "/api/show":
            return plain(exchange)
        length = {"one": 4096, "two": 8192}[exchange.request.json["model"]]
        exchange.json({"model_info": {"general.architecture": "llama", "llama.context_length": length}})

    source.get = show
    server = martlet(source, kind="ollama")
    assert [listed(server, model)["context_length"] for model in source.models] == [4096, 8192]
    assert {probe.json["model"] for probe in source.probes if probe.method == "POST"} == {"one", "two"}


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


# Overflow

LONG = [{"role": "user", "content": "one word after another " * 200}]


def test_a_prompt_that_is_too_long_is_refused_before_it_is_sent(martlet, upstream):
    source = window_of(upstream(counting(912)), 512)
    server = martlet(source, kind="llamacpp")
    reply = messages(server, messages=LONG)
    assert reply.status == 400
    assert reply.json["error"] == {"type": "invalid_request_error", "message": "prompt is too long: 912 tokens > 512 maximum"}
    reply = server.chat(chat.body(messages=LONG))
    assert (reply.status, reply.json["error"]["code"]) == (400, "context_length_exceeded")
    assert "512" in reply.json["error"]["message"] and "912" in reply.json["error"]["message"]
    assert completions(source) == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_only_looks_too_long_is_sent(martlet, upstream, stream):
    def answer(exchange):
        if stream:
            exchange.stream(chat.text_stream("ok", usage=(9, 1)))
        else:
            exchange.json(chat.completion())

    source = window_of(upstream(counting(500, answer)), 512)
    server = martlet(source, kind="llamacpp")
    assert server.chat(chat.body(messages=LONG, stream=stream)).status == 200
    assert len(completions(source)) == 1


def test_an_estimate_alone_refuses_nothing(martlet, upstream):
    """The upstream cannot count: the prompt is sent, and what the upstream says about it is the answer."""
    def script(exchange):
        if exchange.request.target == COUNT:
            return exchange.json({"error": {"message": "no such route"}}, 404, "Not Found")
        exchange.json({"error": {"message": "request (912 tokens) exceeds the available context size (512 tokens)",
                                 "type": "exceed_context_size_error", "n_prompt_tokens": 912, "n_ctx": 512}}, 400, "Bad Request")

    source = window_of(upstream(script), 512)
    reply = messages(martlet(source, kind="llamacpp"), messages=LONG)
    assert reply.json["error"]["message"] == "prompt is too long: 912 tokens > 512 maximum"
    assert len(completions(source)) == 1


def test_a_prompt_no_vocabulary_can_shorten_enough_is_refused_without_a_count(martlet, upstream):
    source = window_of(upstream(), 16)
    source.script = lambda exchange: exchange.json({}, 404, "Not Found")
    reply = messages(martlet(source, kind="llamacpp"), messages=LONG)
    assert reply.status == 400
    assert reply.json["error"]["message"].startswith("prompt is too long: ")
    assert reply.json["error"]["message"].endswith(" tokens > 16 maximum")
    assert completions(source) == []


def test_a_short_prompt_is_not_counted(martlet, upstream):
    source = window_of(upstream(counting(100_000)), 512)
    assert martlet(source, kind="llamacpp").chat(chat.body()).status == 200
    assert [request.target for request in source.requests] == ["/v1/chat/completions"]


def test_nothing_is_counted_in_exact_mode(martlet, upstream):
    source = window_of(upstream(counting(100_000)), 512)
    assert martlet(source, kind="llamacpp", mode="exact").chat(chat.body(messages=LONG)).status == 200
    assert [request.target for request in source.requests] == ["/v1/chat/completions"]


def test_a_model_loaded_anew_with_a_larger_window_is_not_refused(martlet, upstream):
    source = window_of(upstream(counting(912)), 512)
    server = martlet(source, kind="llamacpp")
    assert server.chat(chat.body(messages=LONG)).status == 400
    window_of(source, 4096)
    # A list that was just read is taken as fresh for a second.
    until(lambda: server.chat(chat.body(messages=LONG)).status == 200, "the new window was seen", within=5)


def test_a_later_candidate_with_more_room_is_kept(martlet, upstream):
    small, large = window_of(upstream(counting(912)), 512), window_of(upstream(counting(912)), 4096)
    server = martlet(config={
        "upstreams": {"small": {"kind": "llamacpp", "url": small.url}, "large": {"kind": "llamacpp", "url": large.url}},
        "models": {"aliases": {"both": ["small/m1", "large/m1"]}}})
    assert server.chat(chat.body(model="both", messages=LONG)).status == 200


# The engine itself

def test_the_window_of_a_model_is_told_before_and_after_it_is_loaded(martlet):
    server = martlet(
        before=engine.give_model, engines=engine.engines(), environment={"MARTLET_ENGINE_CONTEXT": "512"})
    before = listed(server, engine.MODEL)
    assert (before["context_length"], before["max_context_length"]) == (512, 131072), "as it will be loaded"
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1), timeout=180).status == 200
    entry = listed(server, engine.MODEL)
    assert (entry["context_length"], entry["max_context_length"]) == (512, 131072)
    words = [{"role": "user", "content": "the blue cat talked with the fox. " * 200}]
    reply = messages(server, model=engine.MODEL, messages=words)
    assert reply.status == 400
    assert reply.json["error"]["message"].startswith("prompt is too long: ")
    assert reply.json["error"]["message"].endswith(" tokens > 512 maximum")
