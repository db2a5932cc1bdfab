"""Upstreams that fail, in every way that we know: the client gets an error that says what to do, never a success."""

import json
import socket
import time

import openai
import pytest

from support import chat
from support.server import Martlet


def told(reply, status, code=None, *words):
    """Checks an error in the client's dialect."""
    assert reply.status == status, reply.body
    error = reply.json["error"]
    assert error["message"] and error["type"] and "param" in error and "code" in error
    if code:
        assert error["code"] == code
    for word in words:
        assert word.lower() in error["message"].lower(), error["message"]
    return error


def in_stream_error(reply):
    """The error that ends a stream; there is no [DONE] after it."""
    events = reply.events()
    assert "[DONE]" not in events
    return json.loads(events[-1])["error"]


def configured(source, **upstream):
    return {"upstreams": {"mine": {"kind": "openai-compatible", "url": source.url, "retries": 0} | upstream}}


def test_unreachable_is_502(martlet, upstream):
    source = upstream()
    server = martlet(source)
    source.stop_listening()
    told(server.chat(), 502, "upstream_unavailable", "cannot connect", str(source.port))


def test_unreachable_from_the_start_is_502(martlet, upstream):
    source = upstream()
    source.stop_listening()
    server = martlet(source, wait=False, config=configured(source))
    told(server.chat(chat.body(model="mine/m1")), 502, "upstream_unavailable", "cannot connect")
    assert server.ask("GET", "/health").status == 200


def test_a_model_nobody_lists_beside_an_unreachable_upstream(martlet, upstream):
    """The one that cannot be asked may have it; what the others have is said nevertheless."""
    alive, dead = upstream(), upstream()
    dead.stop_listening()
    config = configured(alive)
    config["upstreams"]["gone"] = {"kind": "openai-compatible", "url": dead.url, "retries": 0}
    server = martlet(alive, config=config)
    told(server.chat(chat.body(model="m11")), 502, "upstream_unavailable", '"m11"', "closest: m1", "cannot connect", str(dead.port))
    told(server.ask("GET", "/v1/models/m11"), 404, "model_not_found", '"m11"', "closest: m1", "list of gone")
    assert server.ask("GET", "/v1/models/m1").status == 200
    assert server.chat(chat.body(model="m1")).status == 200


def test_connect_timeout_is_504(martlet):
    with socket.socket() as full:  # its queue is full: a further connection waits for ever
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        server = martlet(config={"upstreams": {"mine": {
            "kind": "openai-compatible", "url": f"http://127.0.0.1:{full.getsockname()[1]}", "retries": 0,
            "timeouts": {"connect": "1s"}}}})
        began = time.monotonic()
        told(server.chat(chat.body(model="mine/m1")), 504, "upstream_timeout", "connect")
        assert time.monotonic() - began < 5
        for one in waiting:
            one.close()


@pytest.mark.parametrize("stream", [False, True])
def test_slow_first_byte_is_504(martlet, upstream, stream):
    source = upstream(lambda exchange: exchange.wait_gone())
    server = martlet(source, config=configured(source, timeouts={"first_byte": "1s"}))
    began = time.monotonic()
    told(server.chat(chat.body(stream=stream)), 504, "upstream_timeout", "first")
    assert 0.9 < time.monotonic() - began < 5
    assert source.exchanges[0].gone(within=1), "the upstream's connection is closed when its time is over"


def test_silence_in_a_stream_ends_it_with_an_error(martlet, upstream):
    def script(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})))
        exchange.wait_gone()

    source = upstream(script)
    reply = martlet(source, config=configured(source, timeouts={"idle": "1s"})).chat(chat.body(stream=True))
    assert reply.status == 200
    assert "idle" in in_stream_error(reply)["message"]


def test_total_time_bounds_a_reply(martlet, upstream):
    def script(exchange):
        exchange.stream_head()
        while True:  # never silent for long, and never done
            exchange.chunked(chat.event(chat.chunk({"content": "more"})))
            time.sleep(0.1)

    source = upstream(script)
    began = time.monotonic()
    reply = martlet(source, config=configured(source, timeouts={"total": "1500ms"})).chat(chat.body(stream=True))
    assert "total" in in_stream_error(reply)["message"]
    assert time.monotonic() - began < 6


def cut_clean(exchange):
    """The framing ends as it should; the stream has no finish and no [DONE]."""
    exchange.stream(chat.text_stream("one", "two", finish=None, done=False))


def cut_chunks(exchange):
    exchange.stream_head()
    exchange.chunked(chat.text_stream("one", "two", finish=None, done=False))
    exchange.close()


def cut_event(exchange):
    exchange.stream_head()
    exchange.chunked(chat.text_stream("one", "two", finish=None, done=False) + b'data: {"id":"chatcmpl')
    exchange.close()


def cut_eof(exchange):
    exchange.stream(chat.text_stream("one", "two", finish=None, done=False), "eof")


def cut_reset(exchange):
    exchange.stream_head()
    exchange.chunked(chat.text_stream("one", "two", finish=None, done=False))
    exchange.reset()


def bad_chunk_size(exchange):
    exchange.stream_head()
    exchange.chunked(chat.text_stream("one", "two", finish=None, done=False))
    exchange.send(b"xyz\r\nrubbish\r\n")
    exchange.close()


def bad_chunk_in_one_read(exchange):
    """The head is a read of its own; good and bad chunk come together."""
    data = chat.text_stream("one", "two", finish=None, done=False)
    exchange.stream_head()
    time.sleep(0.05)
    exchange.send(b"%x\r\n" % len(data) + data + b"\r\nxyz\r\nrubbish\r\n")
    exchange.close()


@pytest.mark.parametrize(
    "script", [cut_clean, cut_chunks, cut_event, cut_eof, cut_reset, bad_chunk_size, bad_chunk_in_one_read])
def test_truncated_stream_raises_in_the_client(martlet, upstream, sdk, mode, script):
    client = sdk(martlet(upstream(script), mode=mode))
    seen = []
    with pytest.raises(openai.APIError) as raised:  # a status when nothing had left yet, else an error event
        for one in client.chat.completions.create(model="m1", messages=chat.MESSAGES, stream=True):
            seen.append(one.choices[0].delta.content)
    assert seen in (["", "one", "two"], []), "what came before the end is passed on first"
    assert "upstream" in str(raised.value)


@pytest.mark.parametrize("end", ["close", "reset"])
def test_truncated_reply_is_502(martlet, upstream, mode, end):
    def script(exchange):
        exchange.head(content_type="application/json", content_length=500)
        exchange.send(chat.dumps(chat.completion())[:100])
        getattr(exchange, end)()

    told(martlet(upstream(script), mode=mode).chat(), 502)


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_hangs_up_without_a_word_is_502(martlet, upstream, stream):
    source = upstream(lambda exchange: exchange.close())
    server = martlet(source, config=configured(source))
    told(server.chat(chat.body(stream=stream)), 502)


@pytest.mark.parametrize("rubbish", [
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="notHTTP"),
    pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="noStatus"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\nhello", id="twoLengths"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello", id="negativeLength"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", id="bothLengths"),
    pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * (1 << 20) + b"\r\n\r\n", id="longHead"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n{\"a\":", id="notJSON"),
])
def test_rubbish_from_the_upstream_is_502(martlet, upstream, rubbish):
    def script(exchange):
        exchange.send(rubbish)
        exchange.close()

    source = upstream([script, lambda exchange: exchange.json(chat.completion())])
    server = martlet(source, config=configured(source, mode="repair"))
    told(server.chat(), 502)
    assert server.chat().status == 200


def test_an_event_without_an_end_is_bounded(martlet, upstream):
    def script(exchange):
        exchange.stream_head()
        while True:
            exchange.chunked(b"data: " + b"x" * (1 << 20) if not exchange.sent else b"x" * (1 << 20))

    source = upstream(script)
    server = martlet(source)
    told(server.chat(chat.body(stream=True)), 502)
    assert server.resident("VmHWM") < 256 << 20


def test_interim_replies_are_stepped_over(martlet, upstream, mode):
    def script(exchange):
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
        exchange.json(chat.completion("final"))

    assert martlet(upstream(script), mode=mode).chat().json["choices"][0]["message"]["content"] == "final"


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_passing_failure_is_tried_again(martlet, upstream, mode, status):
    source = upstream([
        lambda exchange: exchange.json({"error": {"message": "later", "type": "x"}}, status, "Later", retry_after=0),
        lambda exchange: exchange.json(chat.completion("second")),
    ])
    reply = martlet(source, mode=mode).chat()
    assert reply.json["choices"][0]["message"]["content"] == "second"
    assert [received.body for received in source.requests] == [chat.body()] * 2


def test_what_does_not_pass_is_told_with_its_status(martlet, upstream):
    source = upstream(lambda exchange: exchange.json(
        {"error": {"message": "slow down", "type": "rate_limit_error"}}, 429, "Later", retry_after=7))
    reply = martlet(source, config=configured(source)).chat()
    told(reply, 429, None, "slow down")
    assert reply.headers["retry-after"] == "7"
    assert len(source.requests) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_long_wait_that_the_upstream_asks_for_is_the_clients(martlet, upstream, mode, stream):
    """Slept through here it would be silence there, and the client's own plan for it would never be asked."""
    source = upstream(lambda exchange: exchange.json({"error": {"message": "slow down"}}, 429, "Later", retry_after=30))
    server = martlet(source, mode=mode)
    began = time.monotonic()
    reply = server.chat(chat.body(stream=stream))
    assert time.monotonic() - began < 3
    assert (reply.status, reply.headers["retry-after"]) == (429, "30")
    assert len(source.requests) == 1


def test_a_redirect_is_told_and_not_followed(martlet, upstream, mode):
    def script(exchange):
        exchange.json({}, 302, "Found", location="http://user:word@else.where/v1?key=word")

    source = upstream(script)
    reply = martlet(source, mode=mode).chat()
    error = told(reply, 502, "upstream_bad_reply", "redirect to else.where/v1 (HTTP 302)")
    assert "word" not in error["message"] and len(source.requests) == 1


def test_a_bad_gateway_stays_one(martlet, upstream):
    source = upstream(lambda exchange: exchange.json({"error": "its own upstream is gone"}, 502, "Bad Gateway"))
    told(martlet(source, config=configured(source)).chat(), 502, "upstream_error", "its own upstream is gone")


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_of_the_upstream_is_not_repeated(martlet, upstream, status):
    source = upstream(lambda exchange: exchange.json({"error": "temperature is odd"}, status, "No"))
    told(martlet(source, mode="repair").chat(), status, None, "temperature is odd")
    assert len(source.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_bad_key_of_ours_is_not_the_clients_fault(martlet, upstream, mode, status):
    source = upstream(lambda exchange: exchange.json({"error": {"message": "bad key"}}, status, "No"))
    told(martlet(source, mode=mode).chat(authorization=f"Bearer {chat.CLIENT_KEY}"), 502)


@pytest.mark.parametrize("body", [
    pytest.param({"error": {"code": 400, "message": "the request exceeds the available context size. try increasing it",
                            "type": "exceed_context_size_error", "n_prompt_tokens": 9120, "n_ctx": 8192}}, id="llamaServer"),
    pytest.param({"error": "request (9120 tokens) exceeds the available context size (8192 tokens)"}, id="bareString"),
])
def test_context_overflow_is_recognised(martlet, upstream, body):
    source = upstream(lambda exchange: exchange.json(body, 400, "Bad Request"))
    told(martlet(source, mode="repair").chat(), 400, "context_length_exceeded", "9120", "8192", "maximum context length")


def test_an_error_under_a_200_is_an_error(martlet, upstream):
    source = upstream(lambda exchange: exchange.json({"error": {"message": "the model fell over", "type": "server_error"}}))
    reply = martlet(source, mode="repair").chat()
    assert reply.status >= 400
    told(reply, reply.status, None, "the model fell over")


@pytest.mark.parametrize("first", [
    pytest.param(b'data: {"error":{"message":"the model fell over","type":"server_error"}}\n\n', id="plain"),
    pytest.param(b'event: error\ndata: {"error":{"message":"the model fell over"},"message":"the model fell over"}\n\n', id="named"),
    pytest.param(b'data: {"error":"the model fell over"}\n\n', id="string"),
])
def test_an_error_as_first_event_becomes_a_status(martlet, upstream, first):
    source = upstream(lambda exchange: exchange.stream(first))
    reply = martlet(source, mode="repair").chat(chat.body(stream=True))
    assert reply.status >= 400
    told(reply, reply.status, None, "the model fell over")


def test_an_error_in_mid_stream_raises_in_the_client(martlet, upstream, sdk, mode):
    source = upstream(lambda exchange: exchange.stream(
        chat.text_stream("one", finish=None, done=False) + b'event: error\ndata: {"error":{"message":"it fell over"}}\n\n'))
    with pytest.raises(openai.APIError, match="it fell over"):
        list(sdk(martlet(source, mode=mode)).chat.completions.create(model="m1", messages=chat.MESSAGES, stream=True))


def test_a_stream_without_done_but_with_a_finish_is_complete(martlet, upstream):
    source = upstream(lambda exchange: exchange.stream(chat.text_stream("one", done=False)))
    reply = martlet(source, mode="repair").chat(chat.body(stream=True))
    assert reply.events()[-1] == "[DONE]"


def test_a_taken_port_is_said_in_one_sentence(martlet, upstream):
    source = upstream()
    second = Martlet("--upstream", source.url, "--kind", "openai-compatible", port=source.port)
    try:
        with pytest.raises(AssertionError, match="ended with 1 before"):
            second.start()
        lines = [line for line in second.log().splitlines() if str(source.port) in line]
        assert len(lines) == 1 and "taken" in lines[0], second.log()
        assert not second.leftovers()
    finally:
        second.remove()


def test_rate_limits_travel_with_a_refusal(martlet, upstream):
    source = upstream(lambda exchange: exchange.json(
        {"error": {"message": "slow down", "type": "rate_limit_error"}}, 429, "Later", retry_after=7,
        x_ratelimit_remaining_requests=0, x_should_retry="false", set_cookie="a=b"))
    reply = martlet(source, config=configured(source)).chat()
    told(reply, 429, None, "slow down")
    assert (reply.headers["retry-after"], reply.headers["x-ratelimit-remaining-requests"]) == ("7", "0")
    assert reply.headers["x-should-retry"] == "false" and "set-cookie" not in reply.headers
