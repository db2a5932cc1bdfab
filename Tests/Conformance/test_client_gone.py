"""A client that leaves: the upstream's connection is closed within a second, wherever the exchange stands."""

import threading
import time

import pytest

from support import chat
from support.waiting import until
from support.wire import request

WITHIN = 1.0


def silent(exchange):
    """Prefill: the request is there, not a byte has come back."""
    exchange.wait_gone()


def head_only(exchange):
    exchange.stream_head()
    exchange.wait_gone()


def mid_stream(exchange):
    exchange.stream_head()
    exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})))
    exchange.wait_gone()


def half_event(exchange):
    exchange.stream_head()
    exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})) + b'data: {"id":"chatc')
    exchange.wait_gone()


def half_reply(exchange):
    exchange.head(content_type="application/json", content_length=500)
    exchange.send(chat.dumps(chat.completion())[:100])
    exchange.wait_gone()


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("script", [silent, head_only, mid_stream, half_event, half_reply])
def test_upstream_is_closed_at_once(martlet, upstream, mode, script, leave):
    """A21, E12: also in prefill, so that no copy of a request queues behind one that nobody waits for."""
    source = upstream(script)
    server = martlet(source, mode=mode)
    client = server.connect()
    client.send(request("POST", "/v1/chat/completions", chat.body(stream=script is not half_reply), port=server.port))
    exchange = until(lambda: source.exchanges and source.exchanges[0], "the request was upstream")
    if script in (mid_stream, half_event):
        assert b"first" in client.open_reply().read1(65536)
    left = time.monotonic()
    getattr(client, leave)()
    until(lambda: exchange.gone_at, "the upstream's connection was closed")
    assert exchange.gone_at - left < WITHIN


def test_upstream_is_closed_when_it_sends_without_pause(martlet, upstream, mode):
    one = chat.event(chat.chunk({"content": "x" * 1000}))

    def script(exchange):
        exchange.stream_head()
        while True:
            exchange.chunked(one)

    source = upstream(script)
    server = martlet(source, mode=mode)
    client = server.connect()
    client.send(request("POST", "/v1/chat/completions", chat.body(stream=True), port=server.port))
    assert client.open_reply().read1(65536)
    left = time.monotonic()
    client.reset()
    until(lambda: source.exchanges[0].gone_at, "the upstream's connection was closed")
    assert source.exchanges[0].gone_at - left < WITHIN


def test_the_sdk_closes_a_stream(martlet, upstream, sdk):
    source = upstream(mid_stream)
    stream = sdk(martlet(source)).chat.completions.create(model="m1", messages=chat.MESSAGES, stream=True)
    assert next(iter(stream)).choices[0].delta.content == "first"
    left = time.monotonic()
    stream.close()
    until(lambda: source.exchanges[0].gone_at, "the upstream's connection was closed")
    assert source.exchanges[0].gone_at - left < WITHIN


def test_a_request_that_never_ended_reaches_nobody(martlet, upstream):
    source = upstream()
    server = martlet(source)
    with server.connect() as client:
        client.send(request("POST", "/v1/chat/completions", chat.body(), port=server.port)[:-5])
    assert server.chat().status == 200
    assert len(source.requests) == 1


def test_the_others_go_on(martlet, upstream, mode):
    proceed = threading.Event()

    def script(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})))
        if len(source.requests) == 1:
            return exchange.wait_gone()
        assert proceed.wait(15)
        exchange.chunked(chat.text_stream("second"))
        exchange.end_chunks()

    source = upstream(script)
    server = martlet(source, mode=mode)
    leaving = server.connect()
    leaving.send(request("POST", "/v1/chat/completions", chat.body(stream=True), port=server.port))
    assert b"first" in leaving.open_reply().read1(65536)
    with server.connect() as staying:
        staying.send(request("POST", "/v1/chat/completions", chat.body(stream=True), port=server.port))
        response = staying.open_reply()
        assert b"first" in response.read1(65536)
        leaving.reset()
        until(lambda: source.exchanges[0].gone_at, "the upstream's connection was closed")
        proceed.set()
        assert b"second" in response.read()


def test_a_connection_that_was_cut_is_not_used_again(martlet, upstream):
    source = upstream([mid_stream, lambda exchange: exchange.json(chat.completion())])
    server = martlet(source)
    client = server.connect()
    client.send(request("POST", "/v1/chat/completions", chat.body(stream=True), port=server.port))
    assert b"first" in client.open_reply().read1(65536)
    client.close()
    assert server.chat().status == 200
    assert source.requests[0].connection != source.requests[1].connection
