"""What a client must not send: each gets a clear error in its dialect, and the server answers the next request."""

import gzip
import json
import time
import zlib

import pytest

from support import chat
from support.wire import request

TARGET = "/v1/chat/completions"


def refused(reply, status, *words):
    """Checks the refusal: an OpenAI error whose sentence has the words."""
    assert reply.status == status, (reply.status, reply.body[:300])
    assert reply.headers["content-type"].startswith("application/json")
    error = reply.json["error"]
    assert isinstance(error["message"], str) and error["message"]
    assert {"type", "param", "code"} <= error.keys()
    for word in words:
        assert word.lower() in error["message"].lower(), error["message"]
    return error


@pytest.fixture
def served(martlet, upstream):
    """A server that must answer a good request after whatever the test did to it."""
    source = upstream()
    server = martlet(source)
    yield server
    bad = len(source.requests)
    assert bad == 0, "a bad request went upstream"
    assert server.chat().json["choices"][0]["message"]["content"] == f"Hello, {chat.ANSWER}!"


BODIES = {
    "empty": (b"", "json"),
    "malformed": (b'{"model":"m1","messages":[}', "json"),
    "notClosed": (b'{"model":"m1","messages":[', "json"),
    "trailing": (chat.body() + b"{}", "json"),
    "trailingComma": (b'{"model":"m1","messages":[],}', "json"),
    "singleQuotes": (b"{'model':'m1'}", "json"),
    "badNumber": (b'{"model":"m1","messages":[],"seed":01}', "json"),
    "rootIsArray": (b'["m1"]', "object"),
    "rootIsString": (b'"m1"', "object"),
    "modelIsNumber": (b'{"model":5,"messages":[]}', "model"),
    "modelIsObject": (b'{"model":{"id":"m1"},"messages":[]}', "model"),
    "streamIsString": (b'{"model":"m1","messages":[],"stream":"yes"}', "stream"),
    "badUTF8": (b'{"model":"m1","messages":[{"role":"user","content":"\xff\xfe"}]}', "utf-8"),
    "overlongUTF8": (b'{"model":"m1","messages":[{"role":"user","content":"\xc0\xaf"}]}', "utf-8"),
    "surrogateInUTF8": (b'{"model":"m1","messages":[{"role":"user","content":"\xed\xa0\x80"}]}', "utf-8"),
    "nul": (b'{"model":"m1","messages":[{"role":"user","content":"a\x00b"}]}', "control"),
    "nulOutside": (b'{"model":"m1",\x00"messages":[]}', "json"),
    "loneHighSurrogate": (b'{"model":"m1","messages":[{"role":"user","content":"\\ud800"}]}', "surrogate"),
    "loneLowSurrogate": (b'{"model":"m1","messages":[{"role":"user","content":"\\udc00x"}]}', "surrogate"),
    "deepArrays": (b'{"model":"m1","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "inside each other"),
    "deepObjects": (b'{"model":"m1","messages":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "inside each other"),
    "deepAndOpen": (b"[" * 1_000_000, "inside each other"),
    "twoModels": (b'{"model":"m1","messages":[],"model":"m2"}', "model"),
    "twoEqualModels": (b'{"model":"m1","messages":[],"model":"m1"}', "model"),
    "escapedSecondModel": (b'{"model":"m1","messages":[],"mod\\u0065l":"m2"}', "model"),
    "twoStreams": (b'{"model":"m1","messages":[],"stream":true,"stream":false}', "stream"),
    "messageIsNumber": (b'{"model":"m1","messages":[1]}', "messages[0]"),
    "noRole": (b'{"model":"m1","messages":[{"content":"x"}]}', "messages[0].role"),
    "contentIsNumber": (b'{"model":"m1","messages":[{"role":"user","content":1}]}', "messages[0].content"),
    "toolsAreText": (b'{"model":"m1","messages":[{"role":"user","content":"x"}],"tools":"x"}', "tools"),
    "toolHasNoName": (b'{"model":"m1","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{}}]}', "tools[0].function.name"),
    "manyMembers": (b'{"model":"m1",' + b",".join(b'"k%d":1' % number for number in range(100_000)) + b"}", "member"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bad_body_is_400(served, name):
    body, word = BODIES[name]
    refused(served.chat(body), 400, word)


def test_bad_body_leaves_the_connection_usable(martlet, upstream):
    with martlet(upstream()).connect() as client:
        refused(client.chat(BODIES["malformed"][0]), 400)
        assert client.chat().status == 200


def test_unknown_model_is_404(served):
    error = refused(served.chat(chat.body(model="m9")), 404, "m9", "m1")
    assert error["code"] == "model_not_found"


def test_odd_model_names_are_refused_without_harm(served):
    for name in ("../../etc/passwd", "m1\r\nx-injected: 1", "\u0000", "a" * 100_000, "%2e%2e", "m1\u202e"):
        reply = served.chat(chat.dumps({"model": name, "messages": []}))
        refused(reply, 404 if name in ("../../etc/passwd", "%2e%2e", "m1\u202e") else 400, "model")


def test_long_body_is_413(served):
    with served.connect() as client:
        client.send_aside(request("POST", TARGET, b'{"model":"m1","pad":"' + b"x" * (40 << 20) + b'"}', port=served.port))
        error = refused(client.reply(), 413, "32")
    assert error["code"] == "request_too_large"
    assert served.resident("VmHWM") < 256 << 20


def test_long_chunked_body_is_413(served):
    with served.connect() as client:
        head = request("POST", TARGET, None, port=served.port, transfer_encoding="chunked", content_type="application/json")
        client.send_aside(head + (b"100000\r\n" + b"x" * (1 << 20) + b"\r\n") * 40 + b"0\r\n\r\n")
        refused(client.reply(), 413)


def test_a_body_within_the_limit_is_taken(martlet, upstream):
    source = upstream()
    body = chat.body(pad="x" * (31 << 20))
    assert martlet(source).chat(body).status == 200
    assert source.request.body == body


def test_compressed_bodies_are_read(martlet, upstream):
    source = upstream()
    server = martlet(source, mode="exact")
    assert server.chat(gzip.compress(chat.body()), content_encoding="gzip").status == 200
    assert server.chat(zlib.compress(chat.body()), content_encoding="deflate").status == 200
    assert [received.body for received in source.requests] == [chat.body()] * 2
    assert all(received.header("content-encoding") is None for received in source.requests)


def test_a_compressed_body_is_limited_by_what_it_becomes(served):
    bomb = gzip.compress(b" " * (1 << 30), 9)
    assert len(bomb) < 2 << 20
    refused(served.chat(bomb, content_encoding="gzip"), 413)
    assert served.resident("VmHWM") < 256 << 20


def test_a_broken_compressed_body_is_400(served):
    refused(served.chat(gzip.compress(chat.body())[:-12], content_encoding="gzip"), 400)
    refused(served.chat(b"not gzip at all", content_encoding="gzip"), 400)


@pytest.mark.parametrize("encoding", ["zstd", "br", "compress", "gzip, gzip, gzip, gzip"])
def test_an_unknown_encoding_is_415(served, encoding):
    refused(served.chat(chat.body(), content_encoding=encoding), 415, encoding.split(",")[0])


HEADS = {
    "lengthAndChunked": (b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "twoLengths": (b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!", 400),
    "lengthIsNoNumber": (b"content-length: 5x\r\n\r\nhello", 400),
    "lengthIsNegative": (b"content-length: -1\r\n\r\n", 400),
    "lengthOverflows": (b"content-length: 99999999999999999999999\r\n\r\n", 400),
    "chunkSizeIsNoNumber": (b"transfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
    "unknownTransferEncoding": (b"transfer-encoding: chunked, identity\r\n\r\n", 400),
    "spaceBeforeColon": (b"content-length : 5\r\n\r\nhello", 400),
    "nulInHeader": (b"x-a: b\x00c\r\ncontent-length: 0\r\n\r\n", 400),
    "longHeader": (b"x-a: " + b"b" * (1 << 20) + b"\r\n\r\n", 431),
    "manyHeaders": (b"".join(b"x-%d: y\r\n" % number for number in range(20_000)) + b"\r\n", 431),
}


@pytest.mark.parametrize("target", [TARGET, "/v1/messages"])
@pytest.mark.parametrize("name", HEADS)
def test_bad_framing_is_refused_and_the_connection_closed(served, name, target):
    rest, status = HEADS[name]
    with served.connect() as client:
        client.send_aside(b"POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % (target.encode(), served.port) + rest)
        refused_in_dialect(client.reply(), status, target)
        assert client.is_closed(), "what follows cannot be told apart from the bad request"


def refused_in_dialect(reply, status, target):
    """A head that cannot be read tells its path all the same."""
    assert reply.status == status
    is_anthropic = target == "/v1/messages"
    assert ("type" in reply.json) == is_anthropic
    assert ("code" in reply.json["error"]) != is_anthropic
    assert ("request-id" in reply.headers) == is_anthropic


def test_a_bad_head_behind_another_request_is_refused_in_its_own_dialect(served):
    """Each request of a connection is looked at anew, also one whose head comes in two reads."""
    with served.connect() as client:
        client.send(request("POST", TARGET, b"{", port=served.port))
        assert client.reply().status == 400
        client.send(b"POST /v1/mes")
        time.sleep(0.05)
        client.send(b"sages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -1\r\n\r\n")
        refused_in_dialect(client.reply(), 400, "/v1/messages")


def test_not_http_at_all_is_refused(served):
    with served.connect() as client:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert client.reply().status == 400
        assert client.is_closed()


def test_a_long_target_is_refused(served):
    reply = served.ask("GET", "/" + "a" * (1 << 20))
    assert reply.status in (400, 414, 431)


def test_requests_sent_ahead_are_answered_in_order(martlet, upstream):
    source = upstream(lambda exchange: exchange.json(chat.completion(exchange.request.json["messages"][0]["content"])))
    server = martlet(source)
    with server.connect() as client:
        bodies = [chat.body(messages=[{"role": "user", "content": f"turn {turn}"}]) for turn in range(3)]
        client.send(b"".join(request("POST", TARGET, body, port=server.port) for body in bodies))
        replies = [client.reply().json["choices"][0]["message"]["content"] for _ in bodies]
    assert replies == ["turn 0", "turn 1", "turn 2"]


def test_expect_100_continue_is_honoured(martlet, upstream):
    server = martlet(upstream())
    with server.connect() as client:
        body = chat.body()
        client.send(request("POST", TARGET, body, port=server.port, expect="100-continue")[:-len(body)])
        assert client._file.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert client._file.readline() == b"\r\n"
        client.send(body)
        assert client.reply().status == 200


def test_errors_carry_no_prompt_and_no_key(served):
    reply = served.chat(chat.body(model="m9"), authorization=f"Bearer {chat.CLIENT_KEY}")
    for canary in chat.CANARIES:
        assert canary.encode() not in reply.body
    reply = served.chat(b'{"model":"m1","messages":["' + chat.PROMPT.encode() + b'\xff"]}')
    assert chat.PROMPT not in json.dumps(reply.json)
