"""Models of a real LM Studio on LM Studio's own routes: listed, loaded, unloaded and got there; its errors set right."""

import dataclasses
import json
import socket
import subprocess
import time

import pytest

from fake_lmstudio import FakeLMStudio, Model, Quirks
from support import chat, engine
from support.server import binary
from test_load_commands import environment, run

WRITER, SMALL, EMBED = "acme/writer-8b", "acme/small-1b", "text-embedding-mini"
LOAD, UNLOAD, DOWNLOAD = "/api/v1/models/load", "/api/v1/models/unload", "/api/v1/models/download"


@pytest.fixture
def before(martlet):
    """`before(quirk=…)`: a server before a fake with a loaded model, one that is not, and one for embeddings; and the fake."""
    made = []

    def make(models=None, **quirks):
        fake = FakeLMStudio(dataclasses.replace(Quirks(), **quirks), models or [
            Model(WRITER), Model(SMALL, loaded=False), Model(EMBED, loaded=False, embedding=True)])
        made.append(fake)
        server = martlet(None, "--upstream", fake.url, "--kind", "lmstudio", before=engine.give_model, engines=engine.engines())
        server.wait_for_model(WRITER)
        return server, fake

    yield make
    for fake in made:
        fake.close()


def post(server, target, **body):
    return server.ask("POST", target, json.dumps(body).encode())


def native(server):
    return {entry["key"]: entry for entry in server.ask("GET", "/api/v1/models").json["models"]}


def legacy(server):
    return {entry["id"]: entry for entry in server.ask("GET", "/api/v0/models").json["data"]}


def words(reply):
    assert {"type", "message"} <= set(reply.json["error"]) <= {"type", "message", "code", "param"}
    assert None not in reply.json["error"].values()
    return reply.json["error"]


def test_its_models_are_listed_beside_those_of_this_machine(before):
    server, fake = before()
    models = native(server)
    assert set(models) == {engine.MODEL, WRITER, SMALL, EMBED}
    for key, model in fake.catalogue.items():
        assert models[key] == model.native, "its own entry, untouched"
    old = legacy(server)
    assert set(old) == set(models) and old[SMALL] == fake.catalogue[SMALL].legacy
    assert {entry["state"] for entry in old.values()} <= {"loaded", "not-loaded", "loading"}
    for name in (WRITER, "acme%2Fwriter-8b", f"studio/{WRITER}"):
        assert server.ask("GET", f"/api/v0/models/{name}").json == fake.catalogue[WRITER].legacy, name


def test_what_it_has_loaded_is_seen_by_commands(before, tmp_path):
    server, fake = before([Model(WRITER), Model(engine.MODEL), Model(SMALL, loaded=False)])
    fake.catalogue[WRITER].load(2048)
    ids = {WRITER, f"{WRITER}:2", engine.MODEL}
    entries = {one["id"]: one for one in json.loads(run(server.url, "ps", "--json").stdout)}
    assert set(entries) == ids
    entry = entries[f"{WRITER}:2"]
    assert (entry["model"], entry["upstream"], entry["state"], entry["context"]) == (WRITER, "studio", "loaded", 2048)
    assert entry["settings"]["context_length"] == {"value": 2048, "origin": "studio"}
    loaded = run(server.url, "load", SMALL, "--context", "3072")
    assert loaded.returncode == 0 and "context 3072 (studio), parallel 4 (studio)" in loaded.stdout, loaded
    for words, flags in ((["--ttl", "60"], "--ttl"), (["--identifier", "me", "--pin"], "--pin and no --identifier")):
        refused = run(server.url, "load", SMALL, *words)
        assert refused.returncode == 1 and refused.stderr == (
            f"martlet: {SMALL} is loaded by LM Studio at {fake.url.removeprefix('http://')}, where a load takes no {flags}: "
            "leave that out\n"), refused
    lms = tmp_path / "lms"
    lms.symlink_to(binary())
    place = ["--host", "127.0.0.1", "--port", str(server.port)]
    rows = subprocess.run([lms, "ps", *place], env=environment(server.url), text=True, capture_output=True, check=True).stdout
    assert {row.split()[0] for row in rows.splitlines()[1:]} == ids | {SMALL} and rows.count(" 5.0 GB ") == 4
    asked = subprocess.run([lms, "ps", "--json", *place], env=environment(server.url), text=True, capture_output=True, check=True)
    assert {one["identifier"]: one["sizeBytes"] for one in json.loads(asked.stdout)} == dict.fromkeys(ids | {SMALL}, 5_030_000_000)
    # What this machine has loaded under a name goes before it.
    assert post(server, LOAD, model=f"local/{engine.MODEL}").status == 200
    assert {one["id"] for one in json.loads(run(server.url, "ps", "--json").stdout)} == ids | {SMALL, f"studio/{engine.MODEL}"}
    gone = run(server.url, "unload", "--all")
    assert gone.returncode == 0 and len(gone.stdout.splitlines()) == 5, gone
    assert run(server.url, "ps").stdout == "" and not any(model.instances for model in fake.catalogue.values())



def test_what_is_not_loaded_on_demand_is_listed_all_the_same(before):
    server, _ = before(lists_loaded_only=True)
    assert set(server.models()) == {engine.MODEL, WRITER}
    assert set(native(server)) == set(legacy(server)) == {engine.MODEL, WRITER, SMALL, EMBED}
    assert post(server, LOAD, model=SMALL).status == 200
    assert SMALL in server.models(), "a request for it finds it now"


def test_an_older_one_is_listed_as_far_as_it_tells(before):
    server, _ = before(has_native_api=False)
    entry = native(server)[WRITER]
    assert entry["best_known"] and entry["architecture"] == "qwen3" and entry["quantization"]["name"] == "Q4_K_M"
    assert entry["loaded_instances"] == [{"id": WRITER, "config": {"context_length": 8192}}]
    assert entry["capabilities"] == {"vision": False, "trained_for_tool_use": True}
    assert native(server)[EMBED]["type"] == "embedding" and native(server)[SMALL]["loaded_instances"] == []


def test_an_even_older_one_is_listed_by_name(before):
    server, _ = before(has_native_api=False, has_legacy_api=False)
    assert native(server)[WRITER]["best_known"] and native(server)[WRITER]["type"] == "llm"
    entry = legacy(server)[WRITER]
    assert entry["best_known"] and (entry["type"], entry["compatibility_type"], entry["state"]) == ("llm", "gguf", "not-loaded")
    assert entry["object"] == "model" and entry["publisher"] == "acme" and entry["max_context_length"] == 4096


def test_the_last_known_list_stays(before):
    server, fake = before()
    assert WRITER in native(server) and WRITER in legacy(server)
    fake.stop_listening()
    assert WRITER in native(server) and WRITER in legacy(server)


def test_models_are_loaded_and_unloaded_there(before):
    server, fake = before()
    reply = post(server, LOAD, model=f"studio/{SMALL}", context_length=4096, echo_load_config=True)
    assert reply.status == 200 and reply.json == {
        "type": "llm", "instance_id": SMALL, "load_time_seconds": 4.1, "status": "loaded",
        "load_config": {"context_length": 4096}}
    assert fake.requests[-1].json == {"model": SMALL, "context_length": 4096, "echo_load_config": True}
    assert legacy(server)[SMALL]["loaded_context_length"] == 4096
    assert post(server, LOAD, model=SMALL).json["instance_id"] == f"{SMALL}:2", "one more"
    assert post(server, UNLOAD, instance_id=f"{SMALL}:2").json == {"instance_id": f"{SMALL}:2"}
    assert post(server, UNLOAD, instance_id=SMALL, force=True).json == {"instance_id": SMALL}
    assert [request.json for request in fake.requests if request.target == UNLOAD][-1] == {"instance_id": SMALL}
    assert native(server)[SMALL]["loaded_instances"] == []
    assert fake.catalogue[WRITER].loaded


@pytest.mark.parametrize("name", [f"{WRITER}:2", f"studio/{WRITER}:2", f"{WRITER}@q4_k_m"])
def test_an_instance_and_a_variant_are_names_for_requests(before, name):
    server, fake = before()
    assert post(server, LOAD, model=WRITER).json["instance_id"] == f"{WRITER}:2"
    for target, body in {
            "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]}, "/v1/responses": {"input": "hi"},
            "/v1/messages": {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
            "/api/v1/chat": {"input": "hi"}}.items():
        reply = post(server, target, model=name, **body)
        assert reply.status == 200, (target, reply.body)
        assert fake.requests[-1].json["model"] == name.removeprefix("studio/")


@pytest.mark.parametrize("has_native_api", [True, False])
def test_who_names_no_model_gets_the_only_one_that_is_loaded(martlet, has_native_api):
    models = [Model(SMALL, loaded=False), Model(WRITER), Model(EMBED, embedding=True)]
    fake = FakeLMStudio(dataclasses.replace(Quirks(), has_native_api=has_native_api), models)
    try:
        server = martlet(None, "--upstream", fake.url, "--kind", "lmstudio")
        server.wait_for_model(WRITER)
        for name in ({"model": "local-model"}, {}):
            reply = post(server, "/v1/chat/completions", messages=[{"role": "user", "content": "hi"}], **name)
            assert reply.status == 200 and reply.headers["x-martlet-model"] == f"studio/{WRITER}"
            assert fake.requests[-1].json["model"] == WRITER
        if has_native_api:
            assert post(server, LOAD, model=WRITER).json["instance_id"] == f"{WRITER}:2"
            assert post(server, "/v1/responses", model="local-model", input="hi").status == 200, "one model, twice"
            assert post(server, LOAD, model=SMALL).status == 200
            several = post(server, "/v1/responses", model="local-model", input="hi")
            assert several.status == 400 and WRITER in several.json["error"]["message"]
    finally:
        fake.close()


def test_a_load_can_be_watched(before):
    server, _ = before()
    events = [json.loads(event) for event in post(server, LOAD, model=SMALL, stream=True).events()]
    assert [event["type"] for event in events] == ["model_load.start", "model_load.end"]
    assert events[-1]["result"]["status"] == "loaded" and events[-1]["load_time_seconds"] == 4.1
    [*_, failed] = [json.loads(event) for event in post(server, LOAD, model=SMALL, stream=True, context_length=200000).events()]
    assert failed["type"] == "error" and failed["error"]["type"] == "internal_error"


@pytest.mark.parametrize("as_200", [True, False], ids=["as200", "asTheyAre"])
def test_its_errors_have_the_status_that_they_mean(before, as_200):
    server, _ = before(management_errors_are_200=as_200)
    for target, body, code, kind, text in (
            (LOAD, {"model": SMALL, "extra": 1}, 400, "invalid_request", "'extra'"),
            (LOAD, {"model": SMALL, "context_length": 200000}, 500, "internal_error", "would not fit"),
            (LOAD, {"model": "acme/none"}, 404, "model_not_found", "acme/none"),
            (UNLOAD, {"instance_id": SMALL}, 404, "model_not_found", SMALL)):
        reply = post(server, target, **body)
        assert reply.status == code, reply.body
        assert words(reply)["type"] == kind and text in words(reply)["message"]
    reply = server.ask("GET", f"{DOWNLOAD}/status/job_ffffffffff")
    assert reply.status == 404 and words(reply)["type"] == "job_not_found"


def test_a_server_that_never_answers_is_not_waited_for_with_a_name_that_nobody_knows(martlet):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        upstreams = {"studio": {"kind": "lmstudio", "url": "http://127.0.0.1:%d" % silent.getsockname()[1]}}
        server = martlet(before=engine.give_model, config={"discovery": "off", "upstreams": upstreams}, engines=engine.engines())
        for target, model in [(LOAD, "nope"), ("/api/v0/models/load", "nope"), (LOAD, "studio/nope"),
                              ("/api/v0/models/unload", "nope")]:
            start = time.monotonic()
            reply = post(server, target, model=model)
            assert time.monotonic() - start < 6, "nobody waits for the reply of a load"
            said = reply.json["error"] if "v0" in target else words(reply)["message"]
            assert reply.status == 504 and "has not listed its models within 0.9 s" in said and f'"{model}"' in said
        assert post(server, LOAD, model=engine.MODEL).status == 200


def test_downloads_of_what_it_has_are_its_own(before):
    server, fake = before()
    assert post(server, DOWNLOAD, model=WRITER).json == {"status": "already_downloaded"}
    job = post(server, DOWNLOAD, model="studio/acme/other-3b").json["job_id"]
    assert fake.requests[-1].json == {"model": "acme/other-3b"}
    assert server.ask("GET", f"{DOWNLOAD}/status/{job}").json == fake.jobs[job]
    fake.jobs["job_0123456789"] = {"job_id": "job_0123456789", "status": "completed"}
    assert server.ask("GET", f"{DOWNLOAD}/status/job_0123456789").json["status"] == "completed", "of before a restart"


def test_the_routes_that_clients_invented_work_there_too(before):
    server, fake = before()
    reply = post(server, "/api/v0/models/load", model=SMALL)
    assert reply.status == 200 and reply.json["instance_id"] == SMALL and fake.catalogue[SMALL].loaded
    assert post(server, "/api/v0/models/load", model=SMALL).json["instance_id"] == SMALL, "it stays as it is"
    assert list(fake.catalogue[SMALL].instances) == [SMALL]
    assert post(server, "/api/v0/models/unload", model=SMALL).json["instance_ids"] == [SMALL]
    assert not fake.catalogue[SMALL].loaded
    assert post(server, "/api/v0/models/load", model=WRITER).json["load_time_seconds"] == 0, "it was there"
    reply = post(server, "/api/v0/models/unload", model=SMALL)
    assert reply.status == 404 and "not loaded" in reply.json["error"]


def test_an_older_one_takes_a_native_chat_on_the_route_it_has(before):
    server, fake = before(has_native_api=False)
    reply = post(server, "/api/v1/chat", model=WRITER, input="hi")
    assert reply.status == 200 and reply.json["output"][-1]["content"] == "Hello, I am a fake."
    assert fake.requests[-1].target == "/v1/chat/completions"


def test_an_older_one_loads_for_a_request(before):
    server, fake = before(has_native_api=False)
    reply = post(server, LOAD, model=SMALL)
    assert reply.status == 501 and words(reply)["type"] == "not_implemented" and "0.4.0" in words(reply)["message"]
    assert post(server, "/api/v0/models/load", model=SMALL).status == 200 and fake.catalogue[SMALL].loaded


def test_other_servers_models_are_listed_and_not_loaded(martlet, upstream):
    server = martlet(upstream())
    assert legacy(server)["m1"]["state"] == "loaded" and native(server)["m1"]["best_known"]
    reply = post(server, LOAD, model="m1")
    assert reply.status == 501 and words(reply)["type"] == "not_implemented"


def test_aliases_are_listed_where_clients_look_for_them(martlet, upstream):
    source = upstream()
    server = martlet(config={
        "upstreams": {"one": {"kind": "openai-compatible", "url": source.url}}, "models": {"aliases": {"mine": "one/m1"}}})
    server.wait_for_model("mine")
    assert {"m1", "mine"} <= set(legacy(server)) and set(native(server)) == {"m1"}


def test_models_that_are_not_allowed_are_neither_listed_nor_loaded(martlet):
    fake = FakeLMStudio(models=[Model(WRITER), Model(SMALL, loaded=False)])
    try:
        server = martlet(config={
            "upstreams": {"studio": {"kind": "lmstudio", "url": fake.url}}, "models": {"allowed": [WRITER]}})
        server.wait_for_model(WRITER)
        assert set(native(server)) == set(legacy(server)) == {WRITER}
        assert post(server, LOAD, model=SMALL).status == 403 and not fake.catalogue[SMALL].loaded
    finally:
        fake.close()


def test_its_key_is_told_to_nobody(martlet):
    fake = FakeLMStudio()
    try:
        server = martlet(config={"upstreams": {"studio": {
            "kind": "lmstudio", "url": fake.url, "api_key": chat.UPSTREAM_KEY}}})
        server.wait_for_model(WRITER)
        fake.manage = lambda exchange, path: exchange.json(
            {"error": {"type": "invalid_request", "code": "invalid_api_key", "message": f"bad {chat.UPSTREAM_KEY}"}}, 401,
            "Unauthorized") or True
        reply = post(server, LOAD, model=WRITER)
        assert reply.status == 502 and "api_key" in words(reply)["message"] and chat.UPSTREAM_KEY not in reply.body.decode()
    finally:
        fake.close()


def test_a_server_without_models_of_its_own_shows_nothing_of_the_engine(martlet):
    fake = FakeLMStudio()
    try:
        server = martlet(None, "--upstream", fake.url, "--kind", "lmstudio")
        server.wait_for_model(WRITER)
        health = server.ask("GET", "/health").json
        assert health["provider"] == "lmstudio" and [line["name"] for line in health["upstreams"]] == ["studio"]
    finally:
        fake.close()
