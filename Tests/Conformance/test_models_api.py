"""Models over HTTP as LM Studio has them: downloads and their status, and the lists of both its APIs."""

import json
import re
import threading

import pytest

from support import engine
from support.hub import FILE, REPOSITORY
from support.waiting import until

TINY = engine.WEIGHTS.read_bytes()
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DOWNLOAD = "/api/v1/models/download"


@pytest.fixture
def server(hub, martlet):
    return martlet(None, "--no-discovery", environment=hub.environment)


def download(server, **body):
    return server.ask("POST", DOWNLOAD, json.dumps(body).encode())


def status(server, job):
    return server.ask("GET", f"{DOWNLOAD}/status/{job}").json


def test_a_client_has_a_model_got_and_asks_how_far_it_is(hub, server):
    hub.pause = threading.Event()
    begun = download(server, model=REPOSITORY)
    assert begun.status == 200
    job = begun.json
    assert list(job) == ["job_id", "status", "total_size_bytes", "started_at"]
    assert re.fullmatch("job_[0-9a-f]{10}", job["job_id"]) and TIME.fullmatch(job["started_at"])
    assert (job["status"], job["total_size_bytes"]) == ("downloading", len(TINY))
    assert download(server, model=f"https://huggingface.co/{REPOSITORY}").json["job_id"] == job["job_id"], "it joins"
    until(lambda: 0 < status(server, job["job_id"])["downloaded_bytes"] < len(TINY), "some of it had come", 20)
    assert "key" not in status(server, job["job_id"])
    assert server.models() == []
    hub.pause.set()
    until(lambda: status(server, job["job_id"])["status"] == "completed", "it was done", 20)
    done = status(server, job["job_id"])
    assert done["downloaded_bytes"] == len(TINY) and TIME.fullmatch(done["completed_at"])
    assert server.models() == ["tiny-chat"], "it is listed at once"
    assert done["key"] == "tiny-chat", "and by that"
    assert download(server, model=REPOSITORY).json == {"status": "already_downloaded", "key": "tiny-chat"}
    # What it was got by is a name for it.
    assert server.ask("GET", f"/api/v0/models/{REPOSITORY}").json["id"] == "tiny-chat"
    for name in (f"{REPOSITORY}:F16", "Tiny-Chat-GGUF", "Tiny-Chat-GGUF:F16", "Tiny-Chat"):
        assert server.ask("GET", f"/api/v0/models/{name}").json["id"] == "tiny-chat", name
    assert server.ask("GET", f"{DOWNLOAD}/status").json == {"jobs": [done]}
    assert hub.bytes_requests() == [None]


def test_a_server_that_ends_keeps_the_part(hub, martlet):
    hub.pause = threading.Event()
    first = martlet(None, "--no-discovery", environment=hub.environment)
    job = download(first, model=REPOSITORY).json["job_id"]
    until(lambda: status(first, job)["downloaded_bytes"] > 500_000, "half had come", 20)
    assert first.stop() == []
    [part] = first.home.rglob("*.part")
    assert part.stat().st_size > 500_000
    hub.pause.set()
    hub.pause = None
    second = martlet(None, "--no-discovery", environment=hub.environment, home=first.home)
    job = download(second, model=REPOSITORY).json["job_id"]
    until(lambda: status(second, job)["status"] == "completed", "it was done", 20)
    assert int(hub.bytes_requests()[-1][6:-1]) > 500_000


def test_a_download_that_fails_says_why(hub, server):
    hub.digests[FILE] = "0" * 64
    job = download(server, model=REPOSITORY).json["job_id"]
    until(lambda: status(server, job)["status"] == "failed", "it had failed", 20)
    error = status(server, job)["error"]
    assert error["type"] == "hub_wrong_digest" and "its digest is wrong" in error["message"]
    assert server.models() == []


def test_a_download_that_cannot_be_loaded_has_failed_and_is_in_no_list(hub, server):
    hub.add("acme/Bad-GGUF", {"bad-Q4_K_M.gguf": b"GGUF" + bytes(range(256)) * 20})
    job = download(server, model="acme/Bad-GGUF").json["job_id"]
    until(lambda: status(server, job)["status"] == "failed", "it had failed", 20)
    error = status(server, job)["error"]
    assert error["type"] == "hub_unusable_model"
    assert error["message"].startswith("acme/Bad-GGUF has come as it is listed, and cannot be loaded: bad-Q4_K_M.gguf is no usable")
    again = download(server, model="acme/Bad-GGUF")
    assert (again.status, again.json["error"]["code"]) == (502, "hub_unusable_model")
    # It lies in the folder, and no list has it; who asks for it by name is told why.
    assert list(server.home.rglob("bad-Q4_K_M.gguf"))
    assert server.models() == [] and server.ask("GET", "/api/v1/models").json == {"models": []}
    reply = server.ask("POST", "/v1/chat/completions", json.dumps({"model": "bad", "messages": [{"role": "user", "content": "x"}]}).encode())
    assert (reply.status, reply.json["error"]["code"]) == (500, "model_load_failed")
    assert reply.json["error"]["message"].startswith('model "bad" cannot be loaded: bad-Q4_K_M.gguf is no usable GGUF file')
    loaded = server.ask("POST", "/api/v1/models/load", b'{"model": "bad"}')
    assert (loaded.status, loaded.json["error"]["code"]) == (500, "model_load_failed")
    assert "bad-Q4_K_M.gguf is no usable GGUF file" in loaded.json["error"]["message"]
    assert server.ask("GET", "/v1/models/bad").status == 404


@pytest.mark.parametrize("body, code, kind, param, words", [
    ({}, 400, "invalid_request", "model", '"model" is required'),
    ({"model": ""}, 400, "invalid_request", "model", "must be a string that is not empty"),
    ({"model": 7}, 400, "invalid_request", "model", "must be a string"),
    ({"model": REPOSITORY, "extra": 1}, 400, "invalid_request", "extra", "'extra'"),
    ({"model": "some words"}, 400, "invalid_request", "model", "martlet search some words"),
    ({"model": "https://example.com/a/b"}, 400, "invalid_request", None, "example.com"),
    ({"model": "acme/none"}, 404, "model_not_found", None, "acme/none does not exist"),
    ({"model": REPOSITORY, "quantization": "Q2_K"}, 404, "model_not_found", None, "has no Q2_K; it has F16"),
    ({"model": f"{REPOSITORY}:F16", "quantization": "F16"}, 400, "invalid_request", "quantization", "twice"),
], ids=lambda value: json.dumps(value) if isinstance(value, dict) else None)
def test_what_cannot_be_got_is_an_error_in_the_native_form(server, body, code, kind, param, words):
    reply = download(server, **body)
    error = reply.json["error"]
    assert (reply.status, error["type"], error.get("param")) == (code, kind, param)
    assert words in error["message"]


def test_what_no_route_takes(server):
    for method, target, code in (("GET", DOWNLOAD, 405), ("POST", f"{DOWNLOAD}/status", 405),
                                 ("GET", f"{DOWNLOAD}/status/job_0", 404), ("GET", "/api/v0/models/none", 404),
                                 ("GET", "/api/v1/models/none", 404)):
        reply = server.ask(method, target)
        error = reply.json["error"]
        assert reply.status == code and (error if "/api/v0/" in target else error["message"]), (method, target)
    assert server.ask("GET", f"{DOWNLOAD}/status/job_0").json["error"]["type"] == "job_not_found"
    assert server.ask("POST", DOWNLOAD, b"[]").status == 400


def test_a_wrong_endpoint_is_said_when_it_is_used(martlet):
    server = martlet(None, "--no-discovery", environment={"HF_ENDPOINT": "ftp://a"})
    reply = download(server, model=REPOSITORY)
    assert reply.status == 500 and "HF_ENDPOINT must be an address" in reply.json["error"]["message"]


def test_a_gated_model_is_refused_with_what_to_do(hub, server):
    hub.gated.add(REPOSITORY)
    reply = download(server, model=REPOSITORY)
    assert reply.status == 403 and "is gated: accept its conditions at" in reply.json["error"]["message"]


def test_downloads_want_the_token_that_the_server_has(hub, martlet):
    server = martlet(
        None, "--no-discovery", environment=hub.environment, config={"auth": {"tokens": ["sha256:" + "0" * 64]}})
    for method, target in (("POST", DOWNLOAD), ("GET", f"{DOWNLOAD}/status"), ("GET", "/api/v1/models"), ("GET", "/api/v0/models")):
        assert server.ask(method, target, b"{}" if method == "POST" else None).status == 401
    assert hub.requests == []


# Lists

def put(server, place, data=TINY):
    path = server.home / "models" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_the_lists_of_models_are_those_of_lm_studio(martlet):
    def models(server):
        put(server, "acme/Tiny-GGUF/Tiny-F16.gguf")
        put(server, "acme/Broken-GGUF/b.gguf", b"no model")
    server = martlet(None, "--no-discovery", before=models)
    [native] = server.ask("GET", "/api/v1/models").json["models"]
    assert native == {
        "type": "llm", "publisher": "acme", "key": "tiny", "display_name": native["display_name"], "architecture": "llama",
        "quantization": {"name": "F16", "bits_per_weight": 16}, "size_bytes": len(TINY), "params_string": "0.9M",
        "max_context_length": 131072, "format": "gguf", "capabilities": {"vision": False, "trained_for_tool_use": True},
        "description": None, "loaded_instances": []}
    legacy = server.ask("GET", "/api/v0/models").json
    assert legacy == {"object": "list", "data": [{
        "id": "tiny", "object": "model", "type": "llm", "publisher": "acme", "arch": "llama", "compatibility_type": "gguf",
        "quantization": "F16", "state": "not-loaded", "max_context_length": 131072, "capabilities": ["tool_use"]}]}
    for name in ("tiny", "Tiny@f16", "acme/tiny", "acme%2Ftiny", "local/tiny"):
        assert server.ask("GET", f"/api/v0/models/{name}").json == legacy["data"][0], name
    reply = server.ask("GET", "/api/v0/models/tinny")
    assert reply.status == 404 and "closest: tiny" in reply.json["error"]
    entries = {entry["id"]: entry for entry in server.ask("GET", "/v1/models").json["data"]}
    assert entries["tiny"]["max_context_length"] == 131072 and entries["tiny"]["capabilities"] == ["tool_use"]
    assert entries.keys() == {"tiny"}
