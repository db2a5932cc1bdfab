"""Models are loaded, shared, swapped and unloaded: over LM Studio's own API, by its older one, and for requests that come."""

import json
import os
import signal
import threading

import pytest

from support import chat, engine
from support.waiting import until
from support.wire import request

LOAD, UNLOAD = "/api/v1/models/load", "/api/v1/models/unload"
# What an instance with the least context takes, as `/admin/v1/residents` tells it, is less than this; two are more.
ROOM_FOR_ONE = "140MiB"


@pytest.fixture
def server(martlet):
    """`server(engine={…})`: a running server with the tiny model twice, as tiny-chat and as other."""

    def make(**settings):
        def give(made):
            engine.give_model(made)
            engine.give_model(made, name="other")

        config = {"discovery": "off", "engine": {"threads": 1, "context": 2048, "parallel": 2} | settings}
        return martlet(before=give, config=config, engines=engine.engines())

    return make


def post(server, target, timeout=60, **body):
    with server.connect(timeout=timeout) as connection:
        return connection.ask("POST", target, json.dumps(body).encode())


def loaded(server):
    """What `GET /api/v1/models` says is loaded, by instance."""
    models = server.ask("GET", "/api/v1/models").json["models"]
    return {one["id"]: one["config"] for model in models for one in model["loaded_instances"]}


def residents(server):
    reply = server.ask("GET", "/admin/v1/residents").json
    return {one["id"]: one for one in reply["residents"]}


def ask(server, model=engine.MODEL, **more):
    return server.chat(chat.body(model=model, **({"max_tokens": 2} | more)))


def words(reply):
    """The native error object."""
    assert list(reply.json) == ["error"] and {"type", "message"} <= set(reply.json["error"]) <= {"type", "message", "code", "param"}
    assert None not in reply.json["error"].values()
    return reply.json["error"]


def test_a_model_is_loaded_as_asked_and_unloaded(server):
    server = server()
    assert loaded(server) == {} and residents(server) == {}
    reply = post(server, LOAD, model=engine.MODEL, context_length=4096, eval_batch_size=128, flash_attention=True,
                 echo_load_config=True)
    assert reply.status == 200, reply.body
    assert reply.json.keys() == {"type", "instance_id", "load_time_seconds", "status", "load_config"}
    assert (reply.json["type"], reply.json["instance_id"], reply.json["status"]) == ("llm", engine.MODEL, "loaded")
    assert 0 < reply.json["load_time_seconds"] < 30
    config = {"context_length": 4096, "eval_batch_size": 128, "parallel": 2, "flash_attention": True}
    assert reply.json["load_config"] == config == loaded(server)[engine.MODEL]
    entry = residents(server)[engine.MODEL]
    assert entry["state"] == "idle" and entry["explicit"] and entry["ttl_ms"] is None and entry["users"] == 0
    assert entry["settings"]["context_length"] == {"value": 4096, "origin": "request"}
    assert entry["settings"]["threads"] == {"value": 1, "origin": "configuration"}
    assert entry["settings"]["parallel"] == {"value": 2, "origin": "configuration"}
    assert entry["settings"]["prompt_cache"]["origin"] == "built-in"
    assert entry["settings"]["cache_type_k"] == {"value": "f16", "origin": "engine"}
    assert entry["settings"]["gpu_layers"] == {"value": None, "origin": "engine"}
    _, line = engine.command(server)
    flags = dict(zip(line, line[1:]))
    assert (flags["--ctx-size"], flags["--batch-size"], flags["--flash-attn"]) == ("8192", "128", "on")
    assert int(flags["--cache-ram"]) << 20 == entry["settings"]["prompt_cache"]["value"] >> 20 << 20
    old = server.ask("GET", f"/api/v0/models/{engine.MODEL}").json
    assert (old["state"], old["loaded_context_length"]) == ("loaded", 4096)
    assert ask(server).status == 200

    reply = post(server, UNLOAD, instance_id=engine.MODEL)
    assert (reply.status, reply.json) == (200, {"instance_id": engine.MODEL, "status": "unloaded"})
    assert loaded(server) == {} and engine.command(server) is None
    assert server.ask("GET", f"/api/v0/models/{engine.MODEL}").json["state"] == "not-loaded"
    again = post(server, UNLOAD, instance_id=engine.MODEL)
    assert (again.status, words(again)["type"]) == (404, "model_not_found")


@pytest.mark.parametrize("body, status, kind, code, says", [
    ({}, 400, "invalid_request", "missing_required_parameter", '"model" is required'),
    ({"model": "tiny-chat", "gpu": 1, "ttl_s": 3}, 400, "invalid_request", "unrecognized_keys", "'gpu', 'ttl_s'"),
    ({"model": "tiny-chat", "context_length": "8k"}, 400, "invalid_request", "invalid_type", "context_length must be"),
    ({"model": "tiny-chat", "context_length": 10**6}, 400, "invalid_request", "engine_bad_setting", "trained for"),
    ({"model": "tiny-chat", "parallel": 257}, 400, "invalid_request", "invalid_type", "parallel must be a whole number from 1 to 256"),
    ({"model": "tiny-chat", "cache_type_k": "q2_k"}, 400, "invalid_request", "invalid_type", "one of f32, f16"),
    ({"model": "tiny-chat", "num_experts": 2}, 400, "invalid_request", "engine_bad_setting", "tiny-chat has no experts"),
    ({"model": "tiny-cat"}, 404, "model_not_found", None, "closest: tiny-chat"),
    ({"model": "tiny-chat", "identifier": "other"}, 400, "invalid_request", "engine_name_taken", "another model"),
    ({"model": "tiny-chat", "identifier": "local/other"}, 400, "invalid_request", "engine_name_taken", "go to local/other"),
    ({"model": "tiny-chat", "identifier": "TINY-CHAT"}, 400, "invalid_request", "engine_name_taken", "go to local/tiny-chat"),
    ({"model": "tiny-chat", "draft_model": "gone"}, 404, "model_not_found", None, '"gone" is not installed'),
    ({"model": "tiny-chat", "draft_model": "tiny-chat"}, 400, "invalid_request", "engine_bad_setting", "for itself"),
])
def test_a_load_that_cannot_be_meant_is_refused(server, body, status, kind, code, says):
    server = server()
    reply = post(server, LOAD, **body)
    error = words(reply)
    assert (reply.status, error["type"]) == (status, kind) and says in error["message"]
    assert code is None or error["code"] == code
    assert error.get("param") == "context_length" or "trained for" not in says
    assert engine.command(server) is None


def test_a_reply_names_the_model_that_answered_where_the_request_names_none(server):
    server = server()
    assert ask(server).status == 200
    assert ask(server, model="").json["model"] == engine.MODEL


def test_requests_at_once_do_not_fill_each_others_window(server):
    server = server(context="auto", parallel=4, memory="120MiB")
    window = next(one["context"] for one in [ask(server) and residents(server)[engine.MODEL]])
    replies, prompt = [], "the blue cat talked " * (window // 6)

    def one():
        replies.append(ask(server, messages=[{"role": "user", "content": prompt}], max_tokens=window // 5))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.status for reply in replies] == [200] * 4, [reply.body[:300] for reply in replies]
    assert sum(reply.json["usage"]["prompt_tokens"] for reply in replies) > window


@pytest.mark.parametrize("parallel", [3, 5])
def test_an_embedding_model_loads_with_any_number_of_slots(martlet, tiny_models, parallel):
    config = {"discovery": "off", "engine": {"threads": 1, "parallel": parallel}}
    server = martlet(before=lambda made: engine.give_model(made, name="vectors", weights=tiny_models / "tiny-embed.gguf"), config=config,
                     engines=engine.engines())
    body = json.dumps({"model": "vectors", "input": ["a", "b", "c", "d"]}).encode()
    reply = server.ask("POST", "/v1/embeddings", body, timeout=60)
    assert reply.status == 200 and len(reply.json["data"]) == 4


def test_two_models_whose_context_nobody_chose_find_room_beside_each_other(server):
    server = server(context="auto", memory="250MiB")
    for _ in range(2):
        for model in (engine.MODEL, "other"):
            assert ask(server, model=model).status == 200
    assert set(residents(server)) == {engine.MODEL, "other"}
    assert {one["context"] >= 8192 for one in residents(server).values()} == {True}
    assert server.log().count("engine ready") == 2


def test_a_draft_model_of_the_configuration_is_used_by_others_and_missed_by_none(server):
    with_draft = server(draft_model="other")
    for model, draft in ((engine.MODEL, "other"), ("other", None)):
        assert ask(with_draft, model=model).status == 200
        assert residents(with_draft)[model]["settings"]["draft_model"]["value"] == draft
    without = server(draft_model="gone")
    assert ask(without).status == 200
    assert residents(without)[engine.MODEL]["settings"]["draft_model"]["value"] is None
    log = without.log()
    assert "loaded without the draft model of the configuration" in log and "gone" in log


def test_a_load_of_what_is_loaded_makes_another_instance_which_has_its_own_name(server):
    server = server()
    assert post(server, LOAD, model=engine.MODEL).json["instance_id"] == engine.MODEL
    second = post(server, LOAD, model=engine.MODEL, context_length=3072, identifier=None, parallel=1)
    assert second.json["instance_id"] == f"{engine.MODEL}:2"
    named = post(server, LOAD, model=f"martlet/{engine.MODEL}", identifier="mine", cache_type_k="q8_0", threads=2)
    assert named.json["instance_id"] == "mine"
    all_of_them = loaded(server)
    assert {name: (config["context_length"], config["parallel"]) for name, config in all_of_them.items()} == {
        engine.MODEL: (2048, 2), f"{engine.MODEL}:2": (3072, 1), "mine": (2048, 2)}
    assert residents(server)["mine"]["settings"]["cache_type_k"] == {"value": "q8_0", "origin": "request"}
    taken = post(server, LOAD, model=engine.MODEL, identifier="mine")
    assert (taken.status, words(taken)["code"]) == (400, "engine_name_taken")
    for name in [f"{engine.MODEL}:2", "mine", "local/mine"]:
        reply = ask(server, name)
        assert reply.status == 200, reply.body
        assert reply.headers["x-martlet-model"] == f"local/{name.removeprefix('local/')}"
    assert server.models() == ["other", "tiny-chat", "mine", f"{engine.MODEL}:2"], "clients look for the name they were told"
    entries = {entry["id"]: entry for entry in server.ask("GET", "/api/v0/models").json["data"]}
    assert {name: (entry["state"], entry.get("loaded_context_length")) for name, entry in entries.items()} == {
        "other": ("not-loaded", None), engine.MODEL: ("loaded", 2048), f"{engine.MODEL}:2": ("loaded", 3072), "mine": ("loaded", 2048)}
    assert server.ask("GET", "/api/v0/models/mine").json == entries["mine"]
    more = post(server, LOAD, model="mine")
    assert (more.status, words(more)["code"], words(more)["param"]) == (400, "engine_name_taken", "model")
    assert "an instance of tiny-chat, which is loaded" in words(more)["message"]
    assert post(server, "/api/v0/models/load", model="mine").json["instance_id"] == "mine"
    smallest = post(server, LOAD, model=engine.MODEL, identifier="a", context_length=1024)
    assert smallest.status == 200
    (entry,) = [one for one in server.ask("GET", "/v1/models").json["data"] if one["id"] == engine.MODEL]
    legacy = server.ask("GET", f"/api/v0/models/{engine.MODEL}").json
    assert entry["context_length"] == legacy["loaded_context_length"] == 2048, "what each of those has that answer to it"
    assert loaded(server)[engine.MODEL]["context_length"] == 2048
    assert post(server, UNLOAD, instance_id="a").status == 200
    assert post(server, UNLOAD, instance_id="mine").status == 200
    assert ask(server, "mine").status == 404
    assert loaded(server).keys() == {engine.MODEL, f"{engine.MODEL}:2"}


def test_requests_for_a_model_get_no_instance_with_a_smaller_window_than_its_first(server):
    server = server()
    assert post(server, LOAD, model=engine.MODEL).status == 200
    assert post(server, LOAD, model=engine.MODEL, context_length=512, parallel=1).json["instance_id"] == f"{engine.MODEL}:2"
    listed = {entry["id"]: entry["context_length"] for entry in server.ask("GET", "/v1/models").json["data"]}
    assert (listed[engine.MODEL], listed[f"{engine.MODEL}:2"]) == (2048, 512)
    long = [{"role": "user", "content": "hello there " * 300}]
    with server.connect(timeout=60) as client:
        body = chat.body(model=engine.MODEL, max_tokens=100_000, stream=True, ignore_eos=True)
        client.send(request("POST", "/v1/chat/completions", body, port=server.port))
        assert client.open_reply().read1(1)
        assert residents(server)[engine.MODEL]["users"] == 1
        assert ask(server, messages=long).status == 200
        client.reset()
    assert ask(server, f"{engine.MODEL}:2", messages=long).status == 400


def test_requests_for_a_model_get_no_instance_with_a_name_of_its_own(server):
    server = server()
    assert post(server, LOAD, model=engine.MODEL, identifier="small", context_length=512).status == 200
    long = [{"role": "user", "content": "hello there " * 300}]
    assert ask(server, messages=long).status == 200
    assert residents(server).keys() == {"small", engine.MODEL}
    assert ask(server, "small", messages=long).status == 400
    assert post(server, LOAD, model=engine.MODEL, parallel=1).json["instance_id"] == f"{engine.MODEL}:2"
    gone = post(server, "/api/v0/models/unload", model=engine.MODEL)
    assert sorted(gone.json["instance_ids"]) == ["small", engine.MODEL, f"{engine.MODEL}:2"]
    assert residents(server) == {}
    assert post(server, LOAD, model=engine.MODEL, identifier="small", context_length=512).status == 200
    assert post(server, "/api/v0/models/unload", model="small").json["instance_ids"] == ["small"]


def test_a_models_names_go_before_an_instances_also_when_the_model_comes_later(server):
    server = server()
    assert post(server, LOAD, model=engine.MODEL, identifier="newm", context_length=1024).status == 200
    assert ask(server, "newm").headers["x-martlet-model"] == "local/newm"
    engine.give_model(server, name="newm")
    for name in ("newm", "martlet/newm"):
        assert ask(server, name).status == 200
        assert {one["model"] for one in residents(server).values() if one["id"] != "tiny-chat:newm"} == {"newm"}
    assert residents(server)["tiny-chat:newm"]["model"] == engine.MODEL
    assert "tiny-chat:newm" in server.models() and server.ask("GET", "/v1/models/newm").json["context_length"] == 2048
    reply = ask(server, "tiny-chat:newm")
    assert (reply.status, reply.headers["x-martlet-model"]) == (200, "local/tiny-chat:newm")
    assert post(server, UNLOAD, instance_id="tiny-chat:newm").json == {"instance_id": "tiny-chat:newm", "status": "unloaded"}
    assert {one["model"] for one in residents(server).values()} == {"newm"}


def test_only_models_that_are_allowed_are_loaded_under_whatever_name(martlet):
    def give(made):
        engine.give_model(made)
        engine.give_model(made, name="other")

    server = martlet(before=give, config={"discovery": "off", "models": {"allowed": ["tiny-chat"]}}, engines=engine.engines())
    refused = post(server, LOAD, model="other", identifier="tiny-chat:2")
    assert (refused.status, words(refused)["param"]) == (403, "model")
    draft = post(server, LOAD, model=engine.MODEL, draft_model="other")
    assert (draft.status, words(draft)["param"]) == (403, "draft_model")
    assert post(server, LOAD, model=engine.MODEL, identifier="mine").status == 200
    assert ask(server, "mine").status == 200 and ask(server, "other").status == 403
    assert [entry["key"] for entry in server.ask("GET", "/api/v1/models").json["models"]] == [engine.MODEL]
    assert [entry["id"] for entry in server.ask("GET", "/api/v0/models").json["data"]] == [engine.MODEL, "mine"]
    assert server.ask("GET", f"/api/v0/models/{engine.MODEL}").status == 200
    hidden, unknown = (server.ask("GET", f"/api/v0/models/{name}") for name in ("other", "othe"))
    assert hidden.status == 403 and "models.allowed" in hidden.json["error"]
    assert unknown.status == 404 and "other" not in unknown.json["error"]


def test_settings_of_a_model_that_is_not_there_are_told_at_the_start(martlet):
    settings = {"tiny-cat": {"context": 4096}, "MARTLET/tiny-chat": {"context": 4096}}
    server = martlet(before=engine.give_model, config={"discovery": "off", "engine": {"settings": settings}})
    told = [line.strip() for line in server.output if "engine.settings" in line]
    assert told == ["engine.settings.tiny-cat has no effect: no model of that name is installed"]


def test_settings_that_can_never_work_are_the_servers_fault_and_told_at_the_start(server):
    server = server(settings={engine.MODEL: {"context": 200_000}}, flash_attention="off", cache_type_v="q8_0")
    for key in (f"engine.settings.{engine.MODEL}.context", "engine.cache_type_v"):
        assert any(line.strip().startswith(f"{key} cannot be used: ") for line in server.output), server.output
    refused = ask(server)
    assert refused.status == 500 and f"engine.settings.{engine.MODEL}.context" in refused.json["error"]["message"]
    refused = post(server, LOAD, model="other")
    assert (refused.status, words(refused)["code"]) == (500, "model_load_failed")
    assert "engine.cache_type_v cannot be used" in words(refused)["message"]
    assert post(server, LOAD, model=engine.MODEL, context_length=1024, flash_attention=True).status == 200


def test_a_draft_model_in_a_request_stays_behind_and_is_named(server):
    server = server()
    for target in ("/v1/chat/completions", "/api/v0/chat/completions"):
        reply = post(server, target, **json.loads(chat.body(model=engine.MODEL, draft_model="other", max_tokens=2)))
        assert (reply.status, reply.headers.get("x-translation-dropped")) == (200, "draft_model")


def test_the_progress_of_a_load_is_told_as_it_goes_on(server):
    server = server()
    reply = post(server, LOAD, model=engine.MODEL, stream=True, echo_load_config=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(event) for event in reply.events()]
    names = [event["type"] for event in events]
    assert reply.body.count(b"event: ") == len(events)
    assert names[0] == "model_load.start" and names[-1] == "model_load.end"
    assert set(names[1:-1]) == {"model_load.progress"}
    told = [event["progress"] for event in events[1:-1]]
    assert told == sorted(told) and told[0] == 0 and told[-1] == 1 and 0.2 < told[-2] < 1, "the engine itself says so"
    assert {event["model_instance_id"] for event in events} == {engine.MODEL}
    assert all(round(number, 3) == number for number in [*told, events[-1]["load_time_seconds"]])
    end = events[-1]
    assert end["load_time_seconds"] == end["result"]["load_time_seconds"] > 0
    assert end["result"]["load_config"]["context_length"] == 2048
    refused = post(server, LOAD, model=engine.MODEL, stream=True, context_length=10**6)
    (event,) = refused.events()
    assert json.loads(event)["error"]["code"] == "engine_bad_setting"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_during_its_load_stops_it(local, stream):
    server = local(load_seconds=60)
    with server.connect() as client:
        body = json.dumps({"model": engine.MODEL, "stream": stream}).encode()
        thread = threading.Thread(target=lambda: client.send(
            b"POST /api/v1/models/load HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body) + body))
        thread.start()
        thread.join()
        until(lambda: engine.loading(server), "the engine was started")
        assert residents(server)[engine.MODEL]["state"] == "loading"
    until(lambda: server.processes() == [], "the load was stopped", 20)
    until(lambda: residents(server) == {}, "and that is known")


def begin(client, target, **body):
    body = json.dumps(body).encode()
    client.send(f"POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\n\r\n".encode() + body)


def test_what_is_loading_is_joined_and_stays_as_long_as_those_who_wait_for_it_say(local):
    server = local(load_seconds=3)
    with server.connect(timeout=60) as request, server.connect(timeout=60) as legacy:
        with server.connect(timeout=60) as order:
            begin(order, LOAD, model=engine.MODEL)
            until(lambda: residents(server).get(engine.MODEL, {}).get("explicit"), "the load has begun")
            begin(request, "/v1/chat/completions", **json.loads(chat.body(model=engine.MODEL, max_tokens=2, ttl=1)))
            until(lambda: residents(server)[engine.MODEL]["queued"] == 2, "the request waits for it")
        assert request.reply().status == 200
        until(lambda: residents(server) == {}, "the request's ttl holds: who ordered the load has left", 20)
        begin(legacy, "/api/v0/models/load", model=engine.MODEL)
        until(lambda: engine.MODEL in residents(server), "the load has begun")
        other = post(server, "/api/v0/models/load", model=engine.MODEL)
        assert other.json["instance_id"] == legacy.reply().json["instance_id"] == engine.MODEL
    assert residents(server).keys() == {engine.MODEL}


def test_who_uses_an_instance_that_is_unloaded_at_once_is_told_and_does_not_load_it_again(local):
    server = local(config={"discovery": "off"})
    assert post(server, LOAD, model=engine.MODEL).status == 200
    pid, _ = engine.command(server)
    os.kill(pid, signal.SIGSTOP)
    with server.connect(timeout=60) as client:
        begin(client, "/v1/chat/completions", **json.loads(chat.body(model=engine.MODEL)))
        until(lambda: residents(server)[engine.MODEL]["users"] == 1, "the request is with the engine")
        assert post(server, UNLOAD, instance_id=engine.MODEL, force=True).json["status"] == "unloaded"
        reply = client.reply()
    assert reply.json["error"]["code"] == "engine_failed"
    assert "tiny-chat was unloaded before its reply was complete" in reply.json["error"]["message"]
    assert residents(server) == {}


def test_what_was_loaded_for_a_request_goes_when_it_has_been_idle(server):
    server = server(ttl="1h", settings={"other": {"ttl": "1s", "context": 3072}})
    assert ask(server, ttl=1).status == 200
    assert residents(server)[engine.MODEL]["settings"]["ttl"] == {"value": 1, "origin": "request"}
    until(lambda: loaded(server) == {}, "it was unloaded", 20)
    assert ask(server, "other").status == 200
    entry = residents(server)["other"]
    assert entry["settings"]["ttl"] == {"value": 1, "origin": "engine.settings"} and entry["ttl_ms"] == 1000
    assert entry["context"] == 3072 and entry["settings"]["context_length"]["origin"] == "engine.settings"
    until(lambda: residents(server) == {}, "it has gone, and its name is free", 20)
    assert post(server, LOAD, model="other").status == 200
    assert residents(server)["other"]["settings"]["ttl"] == {"value": None, "origin": "built-in"}, "who asked for it keeps it"
    assert post(server, UNLOAD, instance_id="other").status == 200
    assert ask(server).status == 200
    assert ask(server, ttl=1).status == 200, "which is not the request that loads it"
    assert residents(server)[engine.MODEL]["ttl_ms"] == 3_600_000
    assert ask(server, ttl=0).status == 400
    error = ask(server, "other", context_length=10**6).json["error"]
    assert error["param"] == "context_length" and "trained for" in error["message"]


def test_a_pinned_model_outlives_its_idle_time(server):
    server = server(ttl="1s")
    assert ask(server).status == 200
    pinned = post(server, "/admin/v1/residents/pin", instance_id=engine.MODEL)
    assert (pinned.status, pinned.json) == (200, {"instance_id": engine.MODEL, "pinned": True})
    assert ask(server, "other").status == 200
    until(lambda: loaded(server).keys() == {engine.MODEL}, "the other one went", 20)
    assert residents(server)[engine.MODEL]["idle_ms"] > 1000
    assert post(server, "/admin/v1/residents/pin", instance_id=engine.MODEL, pinned=False).status == 200
    until(lambda: loaded(server) == {}, "it went too", 20)
    assert post(server, "/admin/v1/residents/pin", instance_id=engine.MODEL).status == 404


def test_an_idle_model_makes_room_for_another_and_a_busy_one_is_waited_for(server):
    server = server(memory=ROOM_FOR_ONE)
    assert ask(server).status == 200
    assert ask(server, "other").status == 200
    assert residents(server).keys() == {"other"}
    with server.connect(timeout=60) as client:
        body = chat.body(model="other", max_tokens=400, stream=True, ignore_eos=True)
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n" % len(body) + body)
        reply = client.open_reply()
        assert reply.read1(1)
        states = {entry["state"] for entry in residents(server).values()}
        assert states <= {"processingPrompt", "generating"}
        swap = threading.Thread(target=ask, args=(server,))
        swap.start()
        text = reply.read().decode()
        assert text.rstrip().endswith("data: [DONE]") and '"finish_reason":"length"' in text, "nothing cuts it off"
        swap.join(60)
    until(lambda: loaded(server).keys() == {engine.MODEL}, "it has made room", 20)


def test_lists_tell_the_window_that_a_model_would_have(server):
    server = server(memory="200MiB", context="auto")

    def window(model, entry="context_length"):
        listed = {one["id"]: one for one in server.ask("GET", "/v1/models").json["data"]}[model]
        alone = server.ask("GET", f"/v1/models/{model}").json
        assert listed["max_model_len"] == listed["max_input_tokens"] == alone["context_length"] == listed["context_length"]
        return listed[entry]

    alone = window(engine.MODEL)
    assert alone == window("other") and 2048 <= alone < window(engine.MODEL, "max_context_length")
    assert server.processes() == [], "nothing is loaded for a list"
    assert ask(server, engine.MODEL).status == 200
    assert residents(server)[engine.MODEL]["context"] == window(engine.MODEL) == alone
    beside = window("other")
    assert ask(server, "other").status == 200
    assert residents(server)["other"]["context"] == window("other") == beside


def test_what_was_loaded_on_purpose_stays_and_what_does_not_fit_says_so(server):
    server = server(memory=ROOM_FOR_ONE)
    assert post(server, LOAD, model=engine.MODEL).status == 200
    reply = ask(server, "other")
    error = reply.json["error"]
    assert (reply.status, error["code"]) == (503, "model_too_large")
    assert "other does not fit: it needs" in error["message"] and "(engine.memory)" in error["message"]
    assert "Unload tiny-chat" in error["message"], "what can be done about it"
    native = post(server, LOAD, model="other")
    assert (native.status, words(native)["code"]) == (503, "model_too_large")
    assert residents(server).keys() == {engine.MODEL}
    memory = server.ask("GET", "/admin/v1/residents").json["memory"]
    assert 0 < memory["used"] <= memory["budget"] == 140 << 20
    assert post(server, UNLOAD, instance_id=engine.MODEL).status == 200
    assert ask(server, "other").status == 200


def test_the_routes_of_the_older_api_take_a_models_name(server):
    server = server()
    first = post(server, "/api/v0/models/load", model=engine.MODEL)
    assert (first.status, first.json["instance_id"], first.json["status"]) == (200, engine.MODEL, "loaded")
    again = post(server, "/api/v0/models/load", model=engine.MODEL, anything="else")
    assert again.json == first.json and len(loaded(server)) == 1, "it is loaded already"
    gone = post(server, "/api/v0/models/unload", model=f"martlet/{engine.MODEL}")
    assert (gone.status, gone.json["instance_ids"]) == (200, [engine.MODEL])
    assert loaded(server) == {}
    assert post(server, "/api/v0/models/unload", model=engine.MODEL).status == 404
    assert post(server, "/api/v0/models/load", model="gone").status == 404


def test_an_alias_is_loaded_listed_and_unloaded_as_its_model(martlet):
    def give(made):
        engine.give_model(made)
        engine.give_model(made, name="other")

    models = {"aliases": {"gpt-x": ["local/tiny-chat"], "claude-*": ["local/other"]}, "allowed": ["gpt-x", "other"]}
    server = martlet(before=give, config={"discovery": "off", "models": models}, engines=engine.engines())
    old = {entry["id"]: entry for entry in server.ask("GET", "/api/v0/models").json["data"]}
    assert old["gpt-x"] == old["other"] | {"id": "gpt-x"} and old["gpt-x"]["state"] == "not-loaded"
    assert old.keys() == {"gpt-x", "other"}, "the model's own name is not allowed"
    for load, unload, name, key in [
        ("/api/v0/models/load", "/api/v0/models/unload", "model", "instance_ids"), (LOAD, UNLOAD, "instance_id", "instance_id"),
    ]:
        there = post(server, load, model="gpt-x")
        assert (there.status, there.json["instance_id"]) == (200, engine.MODEL), there.body
        told = server.ask("GET", "/api/v0/models/gpt-x").json
        assert (told["id"], told["state"]) == ("gpt-x", "loaded")
        gone = post(server, unload, **{name: "gpt-x"})
        assert gone.status == 200 and gone.json[key] in (engine.MODEL, [engine.MODEL]), gone.body
        assert residents(server) == {}
    assert post(server, "/api/v0/models/load", model="claude-opus").json["instance_id"] == "other"
    assert post(server, UNLOAD, instance_id="claude-opus").json["instance_id"] == "other"
    assert post(server, LOAD, model=engine.MODEL).status == 403, "its own name is not allowed"
    assert post(server, LOAD, model="local-model").status == 404


def test_owners_routes_are_guarded_as_all_others(martlet):
    import hashlib

    token = "sk-residents-test"
    digest = "sha256:" + hashlib.sha256(token.encode()).hexdigest()
    server = martlet(config={"discovery": "off", "auth": {"tokens": [digest]}})
    for method, target in [("GET", "/admin/v1/residents"), ("POST", "/admin/v1/residents/pin"), ("POST", LOAD)]:
        body = b"{}" if method == "POST" else None
        assert server.ask(method, target, body).status == 401
        assert server.ask(method, target, body, host="evil.example").status == 403
        assert server.ask(method, target, body, authorization=f"Bearer {token}").status in (200, 400)
