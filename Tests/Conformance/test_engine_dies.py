"""The managed engine dies, at work or while it loads: the client is told why, and the next request works again."""

import json
import os
import re
import signal

import pytest

from support import chat, engine
from support.waiting import until
from support.wire import request


def prompt(tokens):
    return [{"role": "user", "content": "the blue cat talked with the fox. " * (tokens // 8)}]


def asked_in(dialect, server, **more):
    """A request for the tiny model in either dialect, as bytes; max_tokens is enough for whoever wants to interrupt it."""
    target = {"chat": "/v1/chat/completions", "anthropic": "/v1/messages"}[dialect]
    return request("POST", target, chat.body(model=engine.MODEL, **({"max_tokens": 100_000} | more)), port=server.port)


def told_in(dialect, error, server):
    """The sentence of an error in its dialect, which holds no path of this machine and no word of the prompt."""
    if dialect == "anthropic":
        assert error["type"] == "error" and error["error"]["type"] == "api_error"
    message = error["error"]["message"]
    assert not re.search(r"(^|[\s'\"(=])/\w", message), message
    assert str(server.folder) not in message and chat.PROMPT not in message
    return message


@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_an_engine_that_dies_in_mid_stream_is_told_and_started_again(local, dialect):
    server = local()
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1)).status == 200
    pid, _ = engine.command(server)
    if dialect == "anthropic":  # it cannot be told to go on for ever: halted, it is waited for with signs of life
        os.kill(pid, signal.SIGSTOP)
    with server.connect(timeout=60) as client:
        client.send(asked_in(dialect, server, stream=True, messages=prompt(200), ignore_eos=True))
        response = client.open_reply()
        assert response.status == 200 and response.read1(1)
        os.kill(pid, signal.SIGKILL)
        events = response.read().decode().rstrip().split("\n\n")
    assert events[-1].startswith("event: error\n" if dialect == "anthropic" else "data: ")
    message = told_in(dialect, json.loads(events[-1].partition("data: ")[2]), server)
    assert f"the engine of {engine.MODEL} ended by itself (signal 9)" in message
    assert "Its last words: " in message
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=3)).status == 200
    assert engine.command(server)[0] != pid


@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_an_engine_that_dies_before_its_first_word_is_a_status(local, dialect):
    server = local()
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1)).status == 200
    with server.connect(timeout=60) as client:
        client.send(asked_in(dialect, server, messages=prompt(60_000), max_tokens=5))
        until(lambda: engine.busy_slots(server) == 1, "the engine works on the prompt")
        pid, _ = engine.command(server)
        os.kill(pid, signal.SIGKILL)
        reply = client.reply()
    assert reply.status == 502
    assert "ended by itself (signal 9)" in told_in(dialect, reply.json, server)
    assert server.processes() == [], "what killed the engine is not sent to a new one"
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=3)).status == 200


@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_dies_in_its_load_is_told_and_tried_again(local, launcher, tmp_path, dialect, stream):
    server = local(load_seconds=60)
    with server.connect(timeout=60) as client:
        client.send(asked_in(dialect, server, stream=stream))
        pid = until(lambda: engine.loading(server), "the engine was started")
        os.kill(pid, signal.SIGKILL)
        reply = client.reply()
    assert reply.status == 500
    assert f"the engine could not load {engine.MODEL} (signal 9)" in told_in(dialect, reply.json, server)
    engine.write_wrapper(tmp_path, launcher)  # the next load takes no longer than it must
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=3)).status == 200


@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_an_engine_that_dies_of_every_request_is_not_loaded_for_each(local, launcher, tmp_path, dialect):
    server = local()
    engine.write_mortal(tmp_path, launcher)

    def ask():
        with server.connect(timeout=60) as client:
            client.send(asked_in(dialect, server, max_tokens=3))
            return client.reply()

    replies = [ask() for _ in range(8)]
    assert all("ended by itself (signal 9)" in told_in(dialect, reply.json, server) for reply in replies)
    refused = [reply for reply in replies if "retry-after" in reply.headers]
    assert engine.launches(tmp_path) == len(replies) - len(refused) < 5
    assert not any("retry-after" in reply.headers for reply in replies[:2]), "it may have been bad luck"
    message = told_in(dialect, replies[2].json, server)
    assert "has failed 2 times in a row and is tried again in 1 s" in message and "out of memory" in message
    assert replies[2].headers["retry-after"] == "1"
    engine.write_wrapper(tmp_path, launcher)
    until(lambda: ask().status == 200, "it is tried again, and works", within=30)
    os.kill(engine.command(server)[0], signal.SIGKILL)
    replies = [ask() for _ in range(2)]  # the first may meet it while it ends
    assert replies[1].status == 200, "one that has proved itself is started again at once"
    assert "retry-after" not in replies[0].headers
