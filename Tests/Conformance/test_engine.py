"""The managed engine, for real: llama.cpp with the tiny model, from the first request to the last process."""

import json
import os
import pathlib
import signal
import stat
import subprocess
import threading
import time

import pytest

from support import chat, engine
from support.server import Martlet, binary
from support.waiting import until
from support.wire import request


def ask(server, **more):
    """A request for the tiny model, as bytes."""
    return request("POST", "/v1/chat/completions", chat.body(model=engine.MODEL, **more), port=server.port)


# Each asks for something else than the engine's own value.
EXTRAS = {
    "top_k": 40, "min_p": 0.01, "typical_p": 0.9, "top_n_sigma": 2, "min_keep": 1, "xtc_probability": 0.1,
    "xtc_threshold": 0.2, "dynatemp_range": 0.1, "dynatemp_exponent": 1.5, "repeat_penalty": 1.05, "repeat_last_n": 32,
    "dry_multiplier": 0.5, "dry_base": 1.8, "dry_allowed_length": 3, "dry_penalty_last_n": 128,
    "dry_sequence_breakers": ["\\n"], "mirostat": 0, "mirostat_tau": 4, "mirostat_eta": 0.2, "n_probs": 2, "n_predict": 3,
    "post_sampling_probs": True, "ignore_eos": True, "cache_prompt": False, "timings_per_token": True,
    "adaptive_target": 0.5, "adaptive_decay": 0.8, "t_max_predict_ms": 60_000,
}


def test_requests_steer_what_is_written_and_not_the_engine(martlet):
    server = martlet(before=engine.give_model, engines=engine.engines())

    def say(target="/v1/chat/completions", **more):
        body = {"model": engine.MODEL} | ({"prompt": "a"} if target == "/v1/completions" else {"messages": chat.MESSAGES}) | more
        return server.ask("POST", target, json.dumps(body).encode())

    huge = say(dry_penalty_last_n=300_000_000, dry_multiplier=1)
    assert huge.status == 400 and huge.json["error"]["param"] == "dry_penalty_last_n"
    assert server.processes() == [], "nothing is loaded for it"
    for target in ("/v1/chat/completions", "/v1/completions", "/api/v0/chat/completions"):
        steered = say(target, **EXTRAS)
        assert steered.status == 200 and "x-translation-dropped" not in steered.headers, steered.body
        moved = say(target, max_tokens=3, id_slot=1, n_cmpl=2, return_tokens=True, __verbose=True, samplers=["top_k"],
                    response_fields=["content"], n_discard=-5, lora=[{"id": 0, "scale": 1}], speculative=None)
        assert moved.status == 200, moved.body
        assert moved.headers["x-translation-dropped"] == (
            "id_slot, n_cmpl, return_tokens, __verbose, samplers, response_fields, n_discard, lora")
        assert len(moved.json["choices"]) == 1 and not {"tokens", "__verbose", "content"} & set(moved.json)


def test_a_server_without_privileges_reaches_its_engine_and_an_upstream(martlet, upstream):
    server = martlet(upstream(), before=engine.give_model, engines=engine.engines())
    if os.geteuid() == 0:
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status, "tests of root show what other users meet"
    for model in (engine.MODEL, chat.MODEL):
        reply = server.chat(chat.body(model=model, stream=False))
        assert reply.status == 200, reply.body


def test_tokens_stream_from_the_installed_engine(martlet, sdk):
    server = martlet(before=engine.give_model, engines=engine.engines())
    assert server.models() == [engine.MODEL]
    assert server.processes() == [], "nothing is started before it is asked for"
    stream = sdk(server, timeout=180).chat.completions.create(
        model=engine.MODEL, messages=chat.MESSAGES, stream=True, max_tokens=40, stream_options={"include_usage": True})
    chunks = list(stream)
    deltas = [one.choices[0].delta.content for one in chunks if one.choices and one.choices[0].delta.content]
    assert len(deltas) > 3, "tokens come one by one"
    assert chunks[-2].choices[0].finish_reason in ("stop", "length")
    assert chunks[-1].usage.completion_tokens >= len(deltas)
    assert chunks[-1].usage.prompt_tokens > 5
    [path] = server.sockets()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, "the engine's socket is private"


def test_the_engine_says_what_it_computes_on(local):
    server = local()
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1)).status == 200
    assert "cpu" in (server.log() + "".join(server.output)).lower()


def test_whole_replies_and_tool_calls(local, sdk):
    client = sdk(local(), timeout=120)
    reply = client.chat.completions.create(model=engine.MODEL, messages=chat.MESSAGES, max_tokens=40)
    assert reply.choices[0].message.content
    assert reply.usage.completion_tokens > 0
    asked = [{"role": "user", "content": "What is the weather in Paris?"}]
    for stream in (False, True):
        got = client.chat.completions.create(
            model=engine.MODEL, messages=asked, tools=[chat.WEATHER], tool_choice="required", max_tokens=300, stream=stream)
        if stream:
            parts = [part for one in got if one.choices for part in one.choices[0].delta.tool_calls or []]
            name, arguments = parts[0].function.name, "".join(part.function.arguments or "" for part in parts)
        else:
            name, arguments = got.choices[0].message.tool_calls[0].function.name, got.choices[0].message.tool_calls[0].function.arguments
        assert name == "weather"
        assert isinstance(json.loads(arguments)["place"], str)


def test_an_image_is_refused_by_name(local):
    """The engine would call it its own failure, and libraries ask again after that."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    reply = local().chat(chat.body(model=engine.MODEL, messages=[{"role": "user", "content": [image]}]))
    assert reply.status == 400
    assert "cannot see images" in reply.json["error"]["message"]


def test_speech_is_refused_by_name(local):
    speech = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    reply = local().chat(chat.body(model=engine.MODEL, messages=[{"role": "user", "content": [speech]}]))
    assert reply.status == 400 and reply.json["error"]["param"] == "messages[0].content[0].input_audio"
    assert "cannot hear" in reply.json["error"]["message"]


def post(server, target, **body):
    with server.connect(timeout=60) as connection:
        return connection.ask("POST", target, json.dumps(body).encode())


def test_a_warm_up_loads_the_model_and_says_nothing(local):
    server = local()
    reply = post(server, "/v1/responses", model=engine.MODEL, input="", max_output_tokens=1, ttl=600)
    assert reply.status == 200 and (reply.json["status"], reply.json["output"]) == ("completed", [])
    [resident] = server.ask("GET", "/admin/v1/residents").json["residents"]
    assert (resident["model"], resident["state"], resident["users"], resident["ttl_ms"]) == (engine.MODEL, "idle", 0, 600_000)
    assert post(server, "/v1/responses", model="nope", input="").status == 404


def test_how_a_model_is_to_be_loaded_is_not_left_out_of_a_request(local):
    server = local()
    hello = [{"role": "user", "content": "Hello!"}]
    for target, body in {"/v1/messages": {"messages": hello, "max_tokens": 1}, "/v1/responses": {"input": "Hello!", "max_output_tokens": 1}}.items():
        reply = post(server, target, model=engine.MODEL, ttl=600, keep_alive="1m", **body)
        assert reply.status == 200 and reply.headers["x-translation-dropped"] == "keep_alive", target


def test_requests_that_come_together_share_one_engine(local):
    server = local(load_seconds=1)
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(server.chat(chat.body(model=engine.MODEL, max_tokens=3))))
               for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [reply.status for reply in replies] == [200] * 6
    assert len(server.sockets()) == 1
    pid, _ = engine.command(server)
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=3)).status == 200
    assert engine.command(server)[0] == pid


def test_a_model_that_cannot_be_loaded_is_told(local, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(engine.WEIGHTS.read_bytes()[:5000])
    server = local(weights=broken)
    began = time.monotonic()
    reply = server.chat(chat.body(model=engine.MODEL))
    assert reply.status >= 500
    assert engine.MODEL in reply.json["error"]["message"]
    assert str(server.home) not in reply.json["error"]["message"], "no path of this machine"
    assert time.monotonic() - began < 20
    assert server.ask("GET", "/health").status == 200


def test_a_model_that_cannot_be_loaded_is_the_same_error_everywhere_and_while_nothing_is_tried(local, tmp_path):
    weights, at = bytearray(engine.WEIGHTS.read_bytes()), engine.WEIGHTS.read_bytes().index(b"blk.0.attn_q.weight")
    weights[at:at + 3] = b"xxx"  # the header is whole, and the engine misses a tensor
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(weights)
    server = local(weights=broken)
    said = [{"role": "user", "content": "hi"}]
    routes = [
        ("/v1/chat/completions", {"messages": said}), ("/api/v1/models/load", {}), ("/v1/messages", {"messages": said, "max_tokens": 3}),
        ("/v1/responses", {"input": "hi"}), ("/api/v1/chat", {"input": "hi"}), ("/v1/completions", {"prompt": "hi"}),
        ("/api/v0/chat/completions", {"messages": said}), ("/api/v0/models/load", {})]
    waited = 0
    for target, body in routes:
        reply = server.ask("POST", target, json.dumps({"model": engine.MODEL} | body).encode())
        assert reply.status == 500, (target, reply.body)
        error = reply.json["error"]
        message = error if isinstance(error, str) else error["message"]
        assert "could not load tiny-chat" in message and "blk.0.attn_q.weight" in message, (target, message)
        assert "exiting due to model loading error" in message.partition("Its last words: ")[2], (target, message)
        if not isinstance(error, str) and target != "/v1/messages":
            assert error["code"] == "model_load_failed", (target, error)
        if "in a row and is tried again in" in message:
            waited += 1
            assert int(reply.headers["retry-after"]) >= 1, target
    assert waited >= len(routes) / 2, "most come while nothing is tried"
    events = server.ask("POST", "/api/v1/models/load", json.dumps({"model": engine.MODEL, "stream": True}).encode()).events()
    assert json.loads(events[-1])["error"]["code"] == "model_load_failed"


def test_without_an_engine_the_error_says_how_to_get_one(martlet):
    server = martlet(before=engine.give_model, environment={"PATH": "/nonexistent"})
    reply = server.chat(chat.body(model=engine.MODEL))
    assert reply.status >= 400
    assert "martlet engine install" in reply.json["error"]["message"] + server.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_of_the_server_is_the_end_of_everything(local, number):
    server = local()
    client = server.connect()
    client.send(ask(server, stream=True, max_tokens=100_000, ignore_eos=True))
    assert b"data:" in client.open_reply().read1(65536)
    assert server.processes() and server.sockets()
    server.signal(number)
    assert server.wait() == 0
    assert server.leftovers() == []
    client.close()


def test_the_end_of_the_server_stops_a_load(local):
    server = local(load_seconds=60)
    client = server.connect()
    client.send(ask(server))
    until(server.processes, "the engine was started")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.leftovers() == []
    client.close()


def test_a_killed_server_leaves_no_engine(local):
    server = local()
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=3)).status == 200
    assert server.processes()
    server.signal(signal.SIGKILL)
    server.wait()
    until(lambda: not server.processes(), "the engine noticed that its server is gone", within=10)
    left = server.sockets()
    server.start()  # the same home and runtime folder
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=3)).status == 200
    assert not set(left) & set(server.sockets()), "what the dead one left is removed"


def test_engine_ls_names_what_is_installed(tmp_path):
    home = engine.engines().parent
    listed = subprocess.run([binary(), "engine", "ls", "--json"], check=True, capture_output=True,
                            env=os.environ | {"MARTLET_HOME": str(home)}).stdout
    assert {"version", "backend", "origin", "executable"} <= json.loads(listed)[0].keys()
    nothing = subprocess.run([binary(), "engine", "ls", "--json"], check=True, capture_output=True,
                             env={"PATH": "/nonexistent", "MARTLET_HOME": str(tmp_path), "HOME": str(tmp_path)}).stdout
    assert json.loads(nothing) == []
