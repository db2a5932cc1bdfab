"""A load that waits for memory is seen by everybody who asks: its own command, `chat`, `ps` and `unload`; what is pinned, and removed."""

import contextlib
import json
import os
import signal
import subprocess
import threading

import pytest

from support import chat, engine
from support.server import binary
from support.terminal import Terminal
from support.waiting import until
from test_load_commands import environment, run
from test_residency import LOAD, ROOM_FOR_ONE, UNLOAD, ask, post, residents, server

__all__ = ["server"]  # a fixture
WHY = "other waits for memory, which is held by tiny-chat ("


@pytest.fixture
def busy(server):
    """A server with room for one model, whose model writes a long answer until `busy.end()`."""
    made = server(memory=ROOM_FOR_ONE)
    client = made.connect(timeout=60)
    body = chat.body(model=engine.MODEL, max_tokens=100_000, stream=True, ignore_eos=True)
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n" % len(body) + body)
    reply = client.open_reply()
    assert reply.read1(1)
    # It writes on once it may.
    pid, _ = engine.command(made)
    os.kill(pid, signal.SIGSTOP)

    def end():
        os.kill(pid, signal.SIGCONT)
        client.close()

    made.end = end
    yield made
    with contextlib.suppress(ProcessLookupError):
        end()


def test_a_load_that_waits_is_seen_and_can_be_taken_back(busy):
    with contextlib.closing(Terminal("load", "other", environment=environment(busy.url), columns=200)) as shown:
        shown.see("\r" + WHY)
        assert residents(busy)["other"]["state"] == "waiting" and residents(busy)["other"]["explicit"]
        table = run(busy.url, "ps")
        assert next(line for line in table.stdout.splitlines() if line.startswith("other ")).split()[2:5] == [
            "WAITING", "FOR", "MEMORY"]
        assert table.stderr.startswith(WHY) and " 1 request)" in table.stderr
        gone = run(busy.url, "unload", "other")
        assert (gone.returncode, gone.stdout) == (0, "other is unloaded\n"), gone.stderr
        shown.see("martlet: other was unloaded while it waited for memory.")
        assert shown.end() == 1
    assert "other" not in residents(busy)
    # The older API takes it back by the model's name, and who asks for it waits no longer.
    failed = []
    waiting = threading.Thread(target=lambda: failed.append(ask(busy, "other")))
    waiting.start()
    until(lambda: residents(busy).get("other", {}).get("queued") == 1, "it waits")
    back = post(busy, "/api/v0/models/unload", model="martlet/other")
    assert (back.status, back.json["instance_ids"]) == (200, ["other"])
    waiting.join(20)
    assert failed[0].json["error"]["code"] == "engine_failed" and "while it waited for memory" in failed[0].json["error"]["message"]
    assert post(busy, UNLOAD, instance_id="other").status == 404


def test_a_load_in_a_pipe_says_once_why_it_waits_and_goes_on(busy):
    with subprocess.Popen(["martlet", "load", "other"], executable=binary(), env=environment(busy.url), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as load:
        line = load.stderr.readline()
        assert line.startswith(WHY)
        busy.end()
        said, told = load.communicate(timeout=60)
    assert load.returncode == 0 and said.startswith("loaded as other in "), told
    assert WHY not in told and "loading other: " in told
    assert "loading other: 100%\n" in told, "a bar ends at its end"


def test_a_question_says_that_its_model_waits(busy):
    for words in (["chat", "-m", "other", "--max-tokens", "4", "hello"],
                  ["chat", "-m", "other", "--temperature", "1.5", "--max-tokens", "4", "hello"]):
        with subprocess.Popen(["martlet", *words], executable=binary(), env=environment(busy.url), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as talk:
            assert talk.stderr.readline().startswith(WHY)
            talk.terminate()
            talk.wait(20)
    with subprocess.Popen(["martlet", *words], executable=binary(), env=environment(busy.url), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as talk:
        assert talk.stderr.readline().startswith(WHY)
        busy.end()
        said, told = talk.communicate(timeout=60)
    assert talk.returncode == 0 and said.strip(), told


def test_the_streamed_load_tells_it_to_programs(busy):
    body = json.dumps({"model": "other", "stream": True}).encode()
    with busy.connect(timeout=60) as client:
        client.send(b"POST /api/v1/models/load HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        reply = client.open_reply()
        assert reply.readline() == b"event: model_load.queued\n"
        event = json.loads(reply.readline().removeprefix(b"data: "))
        assert event["model"] == "other" and event["message"].startswith(WHY)


def test_what_is_pinned_at_its_load_stays_until_it_is_unpinned(server):
    server = server(ttl="1s", settings={"other": {"pin": True}})
    loaded = run(server.url, "load", engine.MODEL, "--pin", "--ttl", "1", "--prompt-cache", "1MiB", "--no-kv-offload")
    assert loaded.returncode == 0, loaded.stderr
    settings = residents(server)[engine.MODEL]["settings"]
    assert settings["pinned"] == {"value": True, "origin": "request"}
    assert settings["prompt_cache"] == {"value": 1 << 20, "origin": "request"}
    assert settings["offload_kv_cache_to_gpu"] == {"value": False, "origin": "request"}
    assert ask(server, "other").status == 200
    assert residents(server)["other"]["settings"]["pinned"] == {"value": True, "origin": "engine.settings"}
    until(lambda: all(one["idle_ms"] > 1500 for one in residents(server).values()), "both were idle for longer")
    assert [line.split()[-1] for line in run(server.url, "ps").stdout.splitlines()[1:]] == ["pinned", "pinned"]
    for name in (engine.MODEL, "other"):
        done = run(server.url, "unpin", name)
        assert (done.returncode, done.stdout) == (0, f"{name} is no longer pinned\n"), done.stderr
    until(lambda: residents(server) == {}, "they went", 20)
    assert post(server, LOAD, model="other").status == 200
    assert run(server.url, "pin", "other").stdout == "other is pinned\n"
    missing = run(server.url, "pin", "nobody")
    assert (missing.returncode, missing.stdout) == (1, "") and 'no instance "nobody"' in missing.stderr
    assert run(server.url, "load", "other", "--prompt-cache", "much").returncode == 2


def test_a_model_that_is_removed_while_it_is_loaded_is_told_to_be(server):
    server = server()
    assert post(server, LOAD, model="other", identifier="mine").status == 200
    home = {"MARTLET_HOME": str(server.home)}
    with contextlib.closing(Terminal("rm", "other", environment=environment(server.url, **home), columns=200)) as shown:
        shown.see("other is loaded, as mine: remove other, 1.9 MB in 1 file? [y/N] ").type("n\n")
        assert shown.end() == 1
    done = run(server.url, "rm", "other", "--yes", **home)
    assert done.stdout == ("other removed, 1.9 MB are free once it is unloaded: it goes on answering as mine until: "
                           "martlet unload mine\n"), done.stderr
    assert run(server.url, "rm", engine.MODEL, "--yes", **home).stdout == f"{engine.MODEL} removed, 1.9 MB are free\n"
    assert ask(server, "mine").status == 200
