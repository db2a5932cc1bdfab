"""How instances end: engines that crash and come back, unloads while the model is wanted."""

import json
import os
import signal
import threading
import time

import pytest

from support import chat, engine
from support.waiting import until
from test_load_commands import run
from test_residency import LOAD, UNLOAD, ask, loaded, post, residents, server as server


def test_a_crash_of_one_instance_is_told_to_its_clients_and_to_no_others(server):
    server = server()
    assert post(server, LOAD, model=engine.MODEL).status == 200
    assert post(server, LOAD, model=engine.MODEL, identifier="mine").status == 200
    victim = residents(server)["mine"]["process"]
    with server.connect(timeout=60) as client:
        body = chat.body(model="mine", max_tokens=100_000, stream=True, ignore_eos=True)
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n" % len(body) + body)
        reply = client.open_reply()
        assert reply.read1(1)
        os.kill(victim, signal.SIGKILL)
        last = reply.read().decode().rstrip().split("\n\n")[-1]
    error = json.loads(last.partition("data: ")[2])["error"]
    assert error["code"] == "engine_failed" and "signal 9" in error["message"] and "last words" in error["message"]
    assert loaded(server).keys() == {engine.MODEL}
    assert ask(server).status == 200


def test_what_was_loaded_on_purpose_comes_back_after_a_crash_as_it_was(server):
    server = server()
    assert post(server, LOAD, model=engine.MODEL, context_length=4096, parallel=1).status == 200
    assert post(server, LOAD, model="other", identifier="mine", context_length=3072, ttl=900).status == 200
    assert post(server, "/admin/v1/residents/pin", instance_id=engine.MODEL).status == 200

    def kept():
        names = ["context", "parallel", "explicit", "pinned", "ttl_ms", "settings"]
        return {id: [entry[name] for name in names] for id, entry in residents(server).items()}

    before = kept()
    for entry in residents(server).values():
        os.kill(entry["process"], signal.SIGKILL)
    until(lambda: {entry["state"] for entry in residents(server).values()} == {"crashed"}, "the crashes are noticed")
    assert loaded(server) == {} and kept() == before
    assert server.ask("GET", f"/api/v0/models/{engine.MODEL}").json["state"] == "not-loaded"
    assert ask(server).status == 200 and ask(server, "mine").status == 200
    assert kept() == before
    assert {name: config["context_length"] for name, config in loaded(server).items()} == {engine.MODEL: 4096, "mine": 3072}
    os.kill(residents(server)["mine"]["process"], signal.SIGKILL)
    until(lambda: residents(server)["mine"]["state"] == "crashed", "the crash is noticed")
    gone = post(server, UNLOAD, instance_id="mine")
    assert (gone.status, gone.json["status"]) == (200, "unloaded")
    assert "mine" not in residents(server) and ask(server, "mine").status == 404


@pytest.mark.parametrize("target, body", [
    (UNLOAD, {"instance_id": engine.MODEL, "force": True}), (UNLOAD, {"instance_id": engine.MODEL}),
    ("/api/v0/models/unload", {"model": engine.MODEL}),
])
def test_an_unload_is_answered_when_its_instance_is_gone_though_the_model_is_wanted(server, target, body):
    server = server()
    assert ask(server).status == 200
    stop = threading.Event()

    def want():
        while not stop.is_set():
            ask(server, max_tokens=3)

    clients = [threading.Thread(target=want) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        old, _ = engine.command(server)
        start = time.monotonic()
        reply = post(server, target, **body)
        took = time.monotonic() - start
        assert reply.status == 200 and reply.json.get("status", "unloaded") == "unloaded", reply.body
        assert took < 8, "its patience is 10 s"
        assert old not in {entry["process"] for entry in residents(server).values()}
    finally:
        stop.set()
        for client in clients:
            client.join()


@pytest.mark.parametrize("target, member", [(UNLOAD, "instance_id"), ("/api/v0/models/unload", "model")])
def test_a_load_under_way_is_cancelled_by_an_unload(local, target, member):
    server = local(load_seconds=60, config={"discovery": "off"})
    replies = []
    asking = threading.Thread(target=lambda: replies.append(ask(server)))
    asking.start()
    until(lambda: residents(server).get(engine.MODEL, {}).get("state") == "loading", "the load has begun")
    start = time.monotonic()
    gone = post(server, target, **{member: engine.MODEL})
    assert gone.status == 200 and gone.json.get("status", "unloaded") == "unloaded", gone.body
    assert time.monotonic() - start < 8, "there is nothing to wait for"
    asking.join(10)
    assert (replies[0].status, replies[0].json["error"]["code"]) == (502, "engine_failed")
    assert "was unloaded while it was loading" in replies[0].json["error"]["message"]
    assert residents(server) == {} and engine.loading(server) is None


def test_the_command_unloads_a_busy_model_at_once_when_it_is_told_to(server):
    server = server()
    with server.connect(timeout=60) as client:
        body = chat.body(model=engine.MODEL, max_tokens=100_000, stream=True, ignore_eos=True)
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n" % len(body) + body)
        assert client.open_reply().read1(1)
        start = time.monotonic()
        gone = run(server.url, "unload", "--force", engine.MODEL)
        assert (gone.returncode, gone.stdout) == (0, f"{engine.MODEL} is unloaded\n"), gone
        assert time.monotonic() - start < 8, "it is not waited for"
