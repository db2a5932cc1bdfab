"""Responses over a WebSocket: by OpenAI's own client, by the `websockets` package and by Codex's own program."""

import asyncio
import json
import os
import signal
import threading
import time

import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support import chat, codex, agents
from support.answer import Answer, Call, Text
from support.asked import Result
from support.matrix import script
from support.talk import ask, hear, open_socket, refused, response, say
from support.waiting import until
from test_responses import SECOND, TOKEN, digest, parrot, texts


def closed(socket, within=10):
    """The code with which a server closes."""
    with pytest.raises(ConnectionClosed):
        while True:
            socket.recv(timeout=within)
    return socket.close_code


def test_the_sdk_goes_on_without_a_store(martlet, upstream, sdk):
    """Every turn sends what is new; what came before is held by the connection alone."""
    source = upstream(parrot)
    server = martlet(source)
    with sdk(server).responses.connect() as connection:
        def turn(text, **more):
            connection.response.create(model="m1", input=text, store=False, **more)
            for event in connection:
                if event.type in ("response.completed", "error"):
                    return event.response

        first = turn("one", instructions="Be brief.")
        second = turn("two", previous_response_id=first.id)
        third = turn("three", previous_response_id=second.id)
    assert [each.output[0].content[0].text for each in (first, second, third)] == ["2: one", "3: two", "5: three"]
    assert (second.previous_response_id, second.store, len({first.id, second.id, third.id})) == (first.id, False, 3)
    assert texts(source.requests[-1]) == [
        ("user", "one"), ("assistant", "2: one"), ("user", "two"), ("assistant", "3: two"), ("user", "three")]
    assert source.requests[-1].json["stream"] is True
    assert not (server.home / "martlet.db").exists(), "nothing of it is on the disk"


def test_the_asynchronous_sdk(martlet, upstream):
    server = martlet(upstream(parrot))

    async def talk():
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=chat.CLIENT_KEY) as client:
            async with client.responses.connect() as connection:
                await connection.response.create(model="m1", input="one")
                return [event async for event in connection if event.type == "response.completed" and await connection.close() is None]

    [event] = asyncio.run(talk())
    assert event.response.output[0].content[0].text == "1: one"


@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/v1/responses?api-version=x"])
def test_events_are_those_of_a_stream(martlet, upstream, path):
    server = martlet(upstream(parrot))
    posted = server.ask("POST", "/v1/responses", chat.dumps({"model": "m1", "input": "hi", "stream": True}))
    with open_socket(server, path) as socket:
        say(socket, model="m1", input="hi", stream=False)
        events = hear(socket)
    assert response(events)["output"][0]["content"][0]["text"] == "1: hi"
    assert [event["type"] for event in events] == [json.loads(each)["type"] for each in posted.events()[:-1]]


def test_a_warm_up(martlet, upstream):
    """The model is not asked; what follows begins with what was said."""
    source = upstream(parrot)
    with open_socket(martlet(source)) as socket:
        warm = ask(socket, input="one", store=False, generate=False)
        assert (warm["status"], warm["output"], warm["usage"]["output_tokens"]) == ("completed", [], 0) and not source.requests
        said = ask(socket, input="two", store=False, previous_response_id=warm["id"])
        stored = ask(socket, input="three", generate=False)
        assert said["output"][0]["content"][0]["text"] == "1: one\n\ntwo" and len(source.requests) == 1
        assert refused(socket, model="m9", input="", generate=False)[0] == 404, "it is looked at like any other"
    with open_socket(martlet(source)) as other:
        assert refused(other, input="four", previous_response_id=stored["id"])[1]["code"] == "previous_response_not_found"


def test_stored_replies_are_found_from_anywhere(martlet, upstream, sdk):
    server = martlet(upstream(parrot))
    with open_socket(server) as socket:
        first = ask(socket, input="one")
        warm = ask(socket, input="more", generate=False, previous_response_id=first["id"])
    with open_socket(server) as socket:
        second = ask(socket, input="two", previous_response_id=warm["id"], store=False)
        assert second["output"][0]["content"][0]["text"] == "3: more\n\ntwo"
        third = ask(socket, input="three", previous_response_id=second["id"])
    kept = sdk(server).responses.create(model="m1", input="four", previous_response_id=third["id"])
    assert kept.output_text == "7: four"
    assert [item.content[0].text for item in sdk(server).responses.input_items.list(third["id"])] == ["three"]


def test_another_connection_knows_nothing(martlet, upstream):
    server = martlet(upstream(parrot))
    with open_socket(server) as one, open_socket(server) as other:
        first = ask(one, input="one", store=False)
        status, error = refused(other, input="two", store=False, previous_response_id=first["id"])
        assert (status, error["code"], error["param"]) == (400, "previous_response_not_found", "previous_response_id")
        assert ask(one, input="two", store=False, previous_response_id=first["id"])["status"] == "completed"


def test_only_the_latest_reply_is_held(martlet, upstream):
    with open_socket(martlet(upstream(parrot))) as socket:
        first = ask(socket, input="one", store=False)
        second = ask(socket, input="two", store=False, previous_response_id=first["id"])
        assert refused(socket, input="x", store=False, previous_response_id=first["id"])[1]["code"] == "previous_response_not_found"
        assert ask(socket, input="y", previous_response_id=second["id"])["output"][0]["content"][0]["text"] == "5: y"


def test_a_call_is_answered(martlet, upstream):
    model = agents.Model("openai-compatible", lambda asked: (
        Answer([Text("Dry.")]) if asked.of(Result) else Answer([Call("call_1", "f", "{}")], "calls")))
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
    with open_socket(martlet(upstream(model))) as socket:
        first = ask(socket, input="Will it rain?", instructions="Be dry.", store=False, tools=tools)
        told = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "no"}
        second = ask(socket, input=[told], instructions="Be dry.", store=False, tools=tools, previous_response_id=first["id"])
    assert second["output"][0]["content"][0]["text"] == "Dry."
    assert model.asked[-1].result("call_1") == "no"


# Lanes and order

def test_requests_are_answered_in_their_order(martlet, upstream):
    source = upstream(parrot)
    with open_socket(martlet(source)) as socket:
        for name in ("one", "two", "three"):
            say(socket, model="m1", input=name, store=False)
        said = [response(hear(socket))["output"][0]["content"][0]["text"] for _ in range(3)]
    assert said == ["1: one", "1: two", "1: three"]
    assert [texts(request) for request in source.requests] == [[("user", name)] for name in ("one", "two", "three")]


def test_no_more_wait_than_may(martlet, upstream):
    go = threading.Event()

    def script(exchange):
        assert go.wait(20)
        parrot(exchange)

    with open_socket(martlet(upstream(script))) as socket:
        for place in range(18):
            say(socket, model="m1", input=str(place), store=False)
        [event] = hear(socket)
        assert (event["status"], event["error"]["code"]) == (429, "rate_limit_exceeded")
        go.set()
        assert [response(hear(socket))["status"] for _ in range(17)] == ["completed"] * 17


def test_lanes(martlet, upstream):
    """Each lane goes on from its own latest reply, and a lane that branches off leaves the other's where it is."""
    def lane(name, **request):
        say(socket, model="m1", store=False, stream_id=name, **request)
        events = hear(socket)
        assert {event.pop("stream_id") for event in events} == {name}
        return events[-1] if events[-1]["type"] == "error" else response(events)

    with open_socket(martlet(upstream(parrot))) as socket:
        first, other = lane("main", input="one"), lane("side-2.x", input="uno")
        orphan = {"type": "function_call_output", "call_id": "call_none", "output": ""}
        assert lane("critic", input=[orphan], previous_response_id=first["id"])["status"] == 400
        branch = lane("critic", input="why", previous_response_id=first["id"])
        assert branch["output"][0]["content"][0]["text"] == "3: why"
        assert lane("main", input="two", previous_response_id=first["id"])["status"] == "completed"
        assert lane("side-2.x", input="dos", previous_response_id=other["id"])["output"][0]["content"][0]["text"] == "3: dos"
        for bad in ("", "a b", "x" * 257, 7):
            status, error = refused(socket, input="x", stream_id=bad)
            assert (status, error["code"], error["param"]) == (400, "invalid_stream_id", "stream_id")
        for place in range(29):
            lane(f"lane-{place}", input="x", generate=False)
        assert lane("lane-29", input="x")["error"]["code"] == "websocket_stream_limit_reached"
        assert lane("main", input="x")["status"] == "completed"


# What goes wrong

def test_an_error_that_nothing_follows_is_said(martlet, upstream):
    """An upstream whose stream ends with an error of its own, as it is."""
    def script(exchange):
        exchange.stream(b'event: error\ndata: {"type":"error","code":"server_error","message":"it burns","param":null}\n\n')

    with open_socket(martlet(upstream(script), kind="openai", mode="exact")) as socket:
        say(socket, model="m1", input="x")
        assert "it burns" in json.dumps(hear(socket)[-1])
        assert refused(socket, model="nobody", input="x")[0] == 404, "and nothing else"


def test_what_is_no_request_is_said_and_does_no_harm(martlet, upstream):
    def wrong(text):
        socket.send(text)
        [event] = hear(socket)
        return event["status"], event["error"]["param"]

    with open_socket(martlet(upstream(parrot))) as socket:
        assert wrong("{") == (400, None) and wrong("[1]") == (400, None) and wrong("") == (400, None)
        assert wrong('{"model":"m1","input":"x"}') == (400, "type")
        assert wrong('{"type":"response.steer","input":"x"}') == (400, "type")
        assert wrong('{"type":"response.create","type":"response.create","model":"m1"}') == (400, "type")
        assert wrong('{"type":"response.create","model":"m1","input":"x","background":true}') == (400, "background")
        assert wrong('{"type":"response.create","model":"m1","input":"x","generate":1}') == (400, "generate")
        assert wrong('{"type":"response.create","model":"m1","input":7}') == (400, "input")
        assert wrong('{"type":"response.create","model":"nobody","input":"x"}') == (404, "model")
        assert ask(socket, input="one")["status"] == "completed"


@pytest.mark.parametrize("mode", ["exact", "repair"])
def test_an_upstreams_error_has_its_status(martlet, upstream, mode):
    def script(exchange):
        exchange.json({"error": {"message": "no room for you", "type": "server_error", "code": "teapot"}}, 418, "No")

    with open_socket(martlet(upstream(script), kind="openai", mode=mode)) as socket:
        status, error = refused(socket, input="x")
        assert "no room for you" in error["message"] and status in (418, 400)


def test_a_stream_that_breaks_is_said_and_the_next_is_whole(martlet, upstream):
    def broken(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})))
        exchange.close()

    with open_socket(martlet(upstream([parrot, broken, parrot]))) as socket:
        first = ask(socket, input="one", store=False)
        say(socket, model="m1", input="two", store=False, previous_response_id=first["id"])
        kinds = [event["type"] for event in hear(socket)]
        assert kinds[0] == "response.created" and kinds[-1] == "response.failed", "one word ends it, not two as over HTTP"
        assert refused(socket, input="x", store=False, previous_response_id=first["id"])[1]["code"] == "previous_response_not_found"
        assert ask(socket, input="three")["output"][0]["content"][0]["text"] == "1: three"


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_the_upstream_is_closed_when_the_client_leaves(martlet, upstream, leave):
    """A21, E12: also in the middle of a prompt."""
    source = upstream(lambda exchange: exchange.wait_gone())
    socket = open_socket(martlet(source)).__enter__()
    say(socket, model="m1", input="x")
    exchange = until(lambda: source.exchanges and source.exchanges[0], "the request was upstream")
    left = time.monotonic()
    if leave == "close":
        threading.Thread(target=socket.close).start()
    else:
        socket.socket.shutdown(2)
    until(lambda: exchange.gone_at, "the upstream's connection was closed")
    assert exchange.gone_at - left < 1.0
    socket.close()


@pytest.mark.parametrize("begun", [False, True])
def test_the_end_of_the_server_is_told(martlet, upstream, begun):
    def script(exchange):
        exchange.stream_head()
        if begun:
            exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})))
        exchange.wait_gone()

    source = upstream(script)
    server = martlet(source)
    with open_socket(server) as socket, open_socket(server) as idle:
        say(socket, model="m1", input="x")
        if begun:
            while json.loads(socket.recv(timeout=10))["type"] != "response.output_text.delta":
                pass
        else:
            until(lambda: source.exchanges, "the request was upstream")
        os.kill(server.pid, signal.SIGTERM)
        assert closed(idle) == 1001
        events = hear(socket)
        assert "shutting down" in json.dumps(events[-1])
        assert closed(socket) == 1001


# Whose it is, and what of the upgrade travels

def test_tokens(martlet, upstream, sdk):
    source = upstream(parrot)
    server = martlet(config={
        "auth": {"tokens": [digest(TOKEN), digest(SECOND)]},
        "upstreams": {"up": {"kind": "openai-compatible", "url": source.url}}}, wait=False)
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        with pytest.raises(InvalidStatus) as refusal:
            open_socket(server, additional_headers=headers)
        assert refusal.value.response.status_code == 401
    with open_socket(server, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as mine:
        stored = ask(mine, input="one")
    with open_socket(server, additional_headers={"x-api-key": SECOND}) as other:
        assert refused(other, input="two", previous_response_id=stored["id"])[1]["code"] == "previous_response_not_found"
    with open_socket(server, additional_headers={"x-api-key": TOKEN}) as mine:
        assert ask(mine, input="two", previous_response_id=stored["id"])["output"][0]["content"][0]["text"] == "3: two"


def test_headers_of_the_dialect_travel_but_not_what_is_about_the_websocket(martlet, upstream):
    source = upstream(script(Answer([Text("yes")]), "responses"))
    server = martlet(source, kind="openai")
    for said, told in (("responses_websockets=2026-02-06", None), ("other=v1", "other=v1")):
        with open_socket(server, additional_headers={"OpenAI-Beta": said}) as socket:
            ask(socket, input="x")
        assert source.requests[-1].header("openai-beta") == told


# Codex

def test_codex(martlet, upstream, tmp_path):
    """It warms up, then sends what is new of each turn."""
    work = codex.work_in(tmp_path)
    (work / "notes.txt").write_text("canary-in-the-file")
    model = agents.Model("openai-compatible", lambda asked: (
        Answer([Text("It says canary.")]) if asked.of(Result) else
        Answer([Call("call_1", "exec_command", '{"cmd":"cat notes.txt"}')], "calls")))
    server = martlet(upstream(model))
    ran = codex.run(server, tmp_path, "-c", "model_providers.gateway.supports_websockets=true", prompt="Look.")
    assert (ran.answer, ran.commands()) == ("It says canary.", ["canary-in-the-file"])
    assert server.log().count("transport=websocket") == 3, "a warm-up and two turns"
    assert model.asked[-1].result("call_1").endswith("canary-in-the-file")
    first, second = model.asked
    assert second.turns[:len(first.turns)] == first.turns
