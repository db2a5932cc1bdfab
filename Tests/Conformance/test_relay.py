"""The relay in detail: which bytes go out, how connections are used, and that nothing piles up."""

import threading

import pytest

from support import chat
from support.waiting import until
from support.wire import request

# Legal, and written as nobody would: everything a relay could be tempted to tidy up.
ODD_EVENTS = (
    b": a comment\n\n"
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1.7e9,"model":"m1","choices":[{"index":0,'
    b'"delta":{"role":"assistant","content":"\\u00e9\\ud83d\\ude00 "},"finish_reason":null}],"x_unknown":{"b":1.50,"a":[1e3]}}\n\n'
    b'event: message\nid: 7\ndata:{"id":"chatcmpl-1" ,  "object":"chat.completion.chunk","created":1767225600,"model": "m1",'
    b'"choices":[{"index":0,"delta":{"content":"\xc3\xa9\xf0\x9f\x98\x80"},"finish_reason":null}]}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1767225600,"model":"m1","choices":[{"index":0,'
    b'"delta":{},"finish_reason":"stop"}]}\r\n\r\n'
    b"data: [DONE]\n\n"
)
ODD_REPLY = (
    b'{ "id":"chatcmpl-1", "object":"chat.completion","created":1.7672256e9,"model":"m1" ,"choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"\\u00e9\\/"},"finish_reason":"stop","x":1.50}],"usage":{"prompt_tokens":1,'
    b'"completion_tokens":1,"total_tokens":2},"timings":{"z":0.10,"a":1E2}}\n'
)
ODD_REQUEST = (
    b'{ "messages":[{"role":"user","content":"' + chat.PROMPT.encode() + b'\\u00e9 \\/"}],"x_unknown":{"b":1.50,"a":[1e3]},'
    b'\t"model" : "m1", "temperature":0.70}'
)


@pytest.mark.parametrize("framing", ["chunked", "length", "eof"])
@pytest.mark.parametrize("cut", [None, 1, 7, 64])
def test_exact_stream_is_byte_equal(martlet, upstream, framing, cut):
    source = upstream(lambda exchange: exchange.stream(ODD_EVENTS, framing, cut))
    reply = martlet(source, mode="exact").chat(ODD_REQUEST.replace(b"{ ", b'{ "stream":true, '))
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.body == ODD_EVENTS


@pytest.mark.parametrize("stream", [False, True])
def test_exact_request_is_byte_equal(martlet, upstream, stream):
    source = upstream(lambda exchange: exchange.stream(ODD_EVENTS) if stream else exchange.json(ODD_REPLY))
    sent = ODD_REQUEST.replace(b"{ ", b'{ "stream" :true, ') if stream else ODD_REQUEST
    reply = martlet(source, mode="exact").chat(sent)
    assert source.request.body == sent
    assert int(source.request.header("content-length")) == len(sent)
    assert reply.body == (ODD_EVENTS if stream else ODD_REPLY)


def test_exact_touches_the_models_name_and_nothing_else(martlet, upstream):
    source = upstream([lambda exchange: exchange.json(ODD_REPLY), lambda exchange: exchange.stream(ODD_EVENTS)])
    server = martlet(source, config={
        "upstreams": {"mine": {"kind": "openai-compatible", "url": source.url, "mode": "exact"}}})
    named = ODD_REQUEST.replace(b'"m1"', b'"mine/m1"')
    assert server.chat(named).body == ODD_REPLY.replace(b'"m1"', b'"mine/m1"')
    assert server.chat(named.replace(b"{ ", b'{"stream":true,')).body == ODD_EVENTS.replace(b'"m1"', b'"mine/m1"')
    assert source.requests[0].body == ODD_REQUEST
    assert source.requests[1].body == ODD_REQUEST.replace(b"{ ", b'{"stream":true,')


def test_exact_error_is_passed_on_as_it_is(martlet, upstream):
    body = b'{"error":{"message":"no \\u00e9 here","type":"odd_error","code":42, "x":1.50}}'
    source = upstream(lambda exchange: exchange.json(body, 422, "Unprocessable"))
    reply = martlet(source, mode="exact").chat()
    assert (reply.status, reply.body) == (422, body)


def test_escaped_model_key_is_the_model(martlet, upstream):
    source = upstream()
    server = martlet(source, config={"upstreams": {"mine": {"kind": "openai-compatible", "url": source.url, "mode": "exact"}}})
    assert server.chat(b'{"mod\\u0065l":"mine/m1","messages":[]}').status == 200
    assert source.request.json == {"model": "m1", "messages": []}


def test_reply_headers_name_the_exchange(martlet, upstream, mode):
    source = upstream(lambda exchange: exchange.json(
        chat.completion(), x_ratelimit_remaining_requests="59", keep_alive="timeout=5"))
    reply = martlet(source, mode=mode).chat()
    assert reply.headers["x-request-id"]
    assert reply.headers["x-martlet-model"].endswith("/m1")
    assert reply.headers["x-ratelimit-remaining-requests"] == "59"
    assert "keep-alive" not in reply.headers, "a hop-by-hop header does not travel"


def test_hop_headers_of_the_client_do_not_travel(martlet, upstream):
    source = upstream()
    martlet(source).chat(None, connection="keep-alive, x-private", x_private="1", te="trailers", proxy_authorization="Basic eA==",
                         authorization=f"Bearer {chat.CLIENT_KEY}", x_api_key=chat.CLIENT_KEY, cookie="a=b")
    sent = dict(source.request.headers)
    for name in ("x-private", "te", "proxy-authorization", "authorization", "x-api-key", "cookie"):
        assert name not in sent, name
    assert sent["host"] == f"127.0.0.1:{source.port}"


def test_stream_head_is_that_of_an_event_stream(martlet, upstream, mode):
    source = upstream(lambda exchange: exchange.stream(chat.text_stream("a")))
    reply = martlet(source, mode=mode).chat(chat.body(stream=True), accept_encoding="gzip")
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert "no-cache" in reply.headers["cache-control"]
    assert reply.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in reply.headers
    assert reply.events()[-1] == "[DONE]"


def test_an_upstream_connection_is_used_again(martlet, upstream, mode):
    def script(exchange):
        if exchange.request.json.get("stream"):
            exchange.stream(chat.text_stream("a"))
        else:
            exchange.json(chat.completion())

    source = upstream(script)
    with martlet(source, mode=mode).connect() as client:
        for turn in range(20):
            assert client.chat(chat.body(stream=turn % 2 == 1)).status == 200
    assert len({received.connection for received in source.requests}) == 1


def test_a_kept_connection_that_the_upstream_closed_is_replaced(martlet, upstream, mode):
    source = upstream([
        lambda exchange: (exchange.json(chat.completion()), exchange.close()),
        lambda exchange: exchange.json(chat.completion("again")),
    ])
    with martlet(source, mode=mode).connect() as client:
        assert client.chat().status == 200
        assert client.chat().json["choices"][0]["message"]["content"] == "again"
    assert len(source.requests) == 2


def test_a_kept_connection_that_dies_on_the_next_request_is_tried_once_more(martlet, upstream, mode):
    source = upstream([
        lambda exchange: exchange.json(chat.completion()),
        lambda exchange: exchange.reset(),  # the race: it was closed while the request was under way
        lambda exchange: exchange.json(chat.completion("again")),
    ])
    with martlet(source, mode=mode).connect() as client:
        assert client.chat().status == 200
        assert client.chat().json["choices"][0]["message"]["content"] == "again"
    assert [received.body for received in source.requests] == [chat.body()] * 3


def test_surplus_bytes_of_one_reply_never_become_the_next(martlet, upstream, mode):
    def script(exchange):
        body = chat.dumps(chat.completion("right"))
        surplus = chat.dumps(chat.completion("smuggled"))
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        exchange.send(head % len(body) + body + head % len(surplus) + surplus)

    source = upstream(script)
    with martlet(source, mode=mode).connect() as client:
        for _ in range(3):
            assert client.chat().json["choices"][0]["message"]["content"] == "right"


def test_a_slow_client_holds_the_upstream_back(martlet, upstream):
    size, total = 16 << 10, 64 << 20
    one = chat.event(chat.chunk({"content": "x" * size}))

    def script(exchange):
        if not exchange.request.json.get("stream"):
            return exchange.json(chat.completion())
        exchange.stream_head()
        while exchange.sent < total:
            exchange.chunked(one)
        exchange.chunked(chat.event(chat.chunk({}, "stop")) + chat.DONE)
        exchange.end_chunks()

    source = upstream(script, send_buffer=64 << 10)
    server = martlet(source, mode="exact")
    server.chat()  # warms up everything that is made once
    before = server.resident()
    with server.connect(receive_buffer=64 << 10, timeout=120) as client:
        client.send(request("POST", "/v1/chat/completions", chat.body(stream=True), port=server.port))
        exchange = until(lambda: len(source.exchanges) == 2 and source.exchanges[1], "the request was upstream")
        sent = _stalled(exchange)
        assert sent < total / 2, f"the upstream was read although nobody took the bytes: {sent >> 20} MB"
        response = client.open_reply()
        length = 0
        while data := response.read1(1 << 20):
            length += len(data)
    assert length >= total * 0.99
    grown = server.resident("VmHWM") - before
    assert grown < 24 << 20, f"memory grew by {grown >> 20} MB while {total >> 20} MB went by"


def test_a_slow_upstream_holds_a_long_request_in_bounds(martlet, upstream):
    body = chat.body(padding="x" * (20 << 20))
    source = upstream()
    server = martlet(source, mode="exact")
    server.chat()
    before = server.resident()
    assert server.chat(body).status == 200
    assert source.requests[-1].body == body
    grown = server.resident("VmHWM") - before
    assert grown < 4 * len(body), f"memory grew by {grown >> 20} MB for a request of {len(body) >> 20} MB"


def test_many_streams_at_once_are_kept_apart(martlet, upstream, mode):
    def script(exchange):
        name = exchange.request.json["messages"][0]["content"]
        exchange.stream(chat.text_stream(*[f"{name}-{turn} " for turn in range(20)]), cut=97)

    server = martlet(upstream(script), mode=mode)
    answers = {}

    def ask(name):
        reply = server.chat(chat.body(stream=True, messages=[{"role": "user", "content": name}]))
        answers[name] = reply.body

    threads = [threading.Thread(target=ask, args=(f"client{number}",)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number in range(24):
        body = answers[f"client{number}"].decode()
        assert all(f"client{number}-{turn} " in body for turn in range(20))
        assert not any(f"client{other}-" in body for other in range(24) if other != number)


def _stalled(exchange):
    """Waits until the upstream's writes make no progress; how much they had taken."""
    seen = {"sent": -1, "times": 0}

    def still():
        seen["times"] = seen["times"] + 1 if exchange.sent == seen["sent"] else 0
        seen["sent"] = exchange.sent
        return exchange.sent > 0 and seen["times"] >= 50  # half a second of looks, 10 ms apart

    until(still, "the upstream was held back", within=30)
    return exchange.sent
