"""A client that is killed frees what it held of the real engine within a second: in prefill, in mid-stream, while the model loads.

The witness is the engine itself: one look at its `/slots`, on its private socket, behind the gateway's back. Never more than one:
each look, like each token of any stream, wakes all who wait in the engine for its next result, and one that looks for its client
after a second without any then does not get to look.
"""

import threading
import time

import pytest

from support import chat, engine
from support.waiting import until
from support.wire import request

# After the client has gone. Seconds.
WITHIN = 1.0


def ask(server, target="/v1/chat/completions", **more):
    """A request for the tiny model, as bytes."""
    body = {"model": engine.MODEL, "messages": chat.MESSAGES, "max_tokens": 5} | more
    return request("POST", target, chat.dumps(body), port=server.port)


def prompt(tokens, mark):
    """As many tokens; no other mark's prompt begins alike, so nothing of it is in the engine's cache."""
    return [{"role": "user", "content": f"{mark} " + "the blue cat talked with the fox. " * (tokens // 8)}]


def busy_after(server, seconds):
    """How many slots are at work, by one look so many seconds from now."""
    time.sleep(seconds)
    busy = engine.busy_slots(server)
    assert busy is not None, "the engine answers"
    return busy


# Requests of which the gateway has the engine report its progress: it then looks for its client after each batch.
WATCHED = pytest.mark.parametrize(("target", "stream"), [
    ("/v1/chat/completions", True), ("/v1/messages", True), ("/v1/messages", False)], ids=["chat", "messages", "messagesWhole"])


def test_cancelled_in_the_background(local):
    server = local()
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1)).status == 200
    body = {"model": engine.MODEL, "input": prompt(60_000, "b"), "background": True}
    made = server.ask("POST", "/v1/responses", chat.dumps(body)).json
    until(lambda: engine.busy_slots(server) == 1, "the engine works on the prompt")
    left = time.monotonic()
    cancelled = server.ask("POST", f"/v1/responses/{made['id']}/cancel")
    assert cancelled.status == 200 and cancelled.json["status"] == "cancelled"
    assert busy_after(server, left + WITHIN - time.monotonic()) == 0


@WATCHED
def test_in_prefill(local, target, stream):
    server = local()
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1)).status == 200
    for turn, wait in enumerate((0.0, 0.5)):
        client = server.connect()
        client.send(ask(server, target, messages=prompt(60_000, turn), stream=stream))
        until(lambda: engine.busy_slots(server) == 1, "the engine works on the prompt")
        time.sleep(wait)
        left = time.monotonic()
        client.reset()
        assert busy_after(server, left + WITHIN - time.monotonic()) == 0, f"killed {wait} s after the last look"
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1)).status == 200, "the engine itself lives on"


@WATCHED
def test_in_prefill_while_another_stream_goes_on(local, target, stream):
    """Its tokens wake the one that has left as often as looks at the slots would."""
    server = local()
    staying = server.connect()
    staying.send(ask(server, stream=True, max_tokens=100_000, ignore_eos=True))
    response = staying.open_reply()
    assert b"data:" in response.read1(65536)
    reading = threading.Thread(target=lambda: response.read1(1 << 26), daemon=True)
    reading.start()
    leaving = server.connect()
    leaving.send(ask(server, target, messages=prompt(60_000, "x"), stream=stream))
    until(lambda: engine.busy_slots(server) == 2, "the engine works on the prompt")
    leaving.reset()
    assert busy_after(server, WITHIN) == 1
    staying.close()


def test_in_prefill_of_a_whole_chat_reply(local):
    """The engine tells nothing until it has all: it looks for its client after a second in which it had nothing for anybody."""
    server = local()
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1)).status == 200
    client = server.connect()
    client.send(ask(server, messages=prompt(60_000, "x")))
    until(lambda: engine.busy_slots(server) == 1, "the engine works on the prompt")
    client.reset()
    assert busy_after(server, 1 + WITHIN) == 0


def test_in_mid_stream(local):
    server = local()
    for _ in range(3):
        client = server.connect()
        client.send(ask(server, stream=True, max_tokens=100_000, ignore_eos=True))
        response = client.open_reply()
        assert b"data:" in response.read1(65536)
        assert engine.busy_slots(server) == 1
        client.reset()
        assert busy_after(server, 0.25) == 0
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1)).status == 200, "the engine itself lives on"


def test_while_it_generates_a_whole_reply(local):
    """Nothing has been sent to the client yet, and nothing will be for long."""
    server = local()
    client = server.connect()
    client.send(ask(server, max_tokens=100_000, ignore_eos=True))
    until(lambda: engine.busy_slots(server) == 1, "the engine is at work", within=30)
    client.reset()
    assert busy_after(server, 1 + WITHIN) == 0


def test_in_the_queue_behind_others(local):
    """All slots are taken: whoever waits for one and leaves takes none later."""
    server = local()
    staying = [server.connect() for _ in range(4)]
    for client in staying:
        client.send(ask(server, stream=True, max_tokens=100_000, ignore_eos=True))
        assert b"data:" in client.open_reply().read1(65536)
    waiting = server.connect()
    waiting.send(ask(server, stream=True, max_tokens=100_000, ignore_eos=True))
    time.sleep(0.3)
    waiting.reset()
    for client in staying:
        client.reset()
    assert busy_after(server, WITHIN) == 0


def test_while_the_model_loads(local):
    """Nothing is loaded for nobody."""
    server = local(load_seconds=60)
    client = server.connect()
    client.send(ask(server))
    until(server.processes, "the engine was started")
    client.reset()
    until(lambda: not server.processes(), "the load was stopped", within=WITHIN)
    assert server.sockets() == []


@pytest.mark.parametrize("wait", [0.2, 0.5, 0.8, 1.2])
def test_at_any_time_of_a_load(local, wait):
    """The engine is gone, or loaded and idle: whichever came first."""
    server = local(load_seconds=0.3)
    client = server.connect()
    client.send(ask(server, stream=True, max_tokens=100_000, ignore_eos=True))
    until(server.processes, "the engine was started")
    time.sleep(wait)
    client.reset()
    time.sleep(WITHIN)
    if server.processes():
        assert engine.busy_slots(server) == 0
    else:
        assert server.sockets() == []
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1)).status == 200, "the next client is served"


def test_a_second_client_keeps_the_load_going(local):
    server = local(load_seconds=2)
    leaving, staying = server.connect(), server.connect(timeout=60)
    leaving.send(ask(server))
    until(server.processes, "the engine was started")
    staying.send(ask(server))
    leaving.reset()
    assert staying.reply().status == 200
    staying.close()
