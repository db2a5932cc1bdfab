"""Failures of upstreams of every dialect before both client dialects: before the reply, in mid-stream, and a stream that just ends."""

import threading
import time

import anthropic
import openai
import pytest

from support import answer_responses, chat
from support.answer import Answer, Call, Text, named
from support.cases import TOOL, to_chat
from support.cases_responses import sent
from support.heard import ask_messages
from support.matrix import CLIENTS, KINDS, script, spoken
from support.upstream import Exchange
from support.waiting import until
from support.wire import request

PAIRS = pytest.mark.parametrize(("client", "kind"), [(client, kind) for client in CLIENTS for kind in KINDS])
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
ASKED = {"messages": chat.MESSAGES, "max_tokens": 100}


def refusal(dialect, kind, message, **more):
    """An error's body as an upstream of that dialect writes it."""
    if dialect != "messages":
        return {"error": {"message": message, "type": kind, "param": None, "code": None} | more}
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_upstream"}


# Name: (status, type, words) by upstream dialect, Responses as Chat; then (status, type, code) for Chat and (status, type) for Messages clients.
ERRORS = {
    "badRequest": ({"chat": (400, "invalid_request_error", "top_p is odd"), "messages": (400, "invalid_request_error", "top_p is odd")},
                   (400, "invalid_request_error", None), (400, "invalid_request_error"), "top_p is odd"),
    "rateLimit": ({"chat": (429, "rate_limit_error", "slow down"), "messages": (429, "rate_limit_error", "slow down")},
                  (429, "rate_limit_error", "rate_limit_exceeded"), (429, "rate_limit_error"), "slow down"),
    "overloaded": ({"chat": (503, "server_error", "too busy"), "messages": (529, "overloaded_error", "too busy")},
                   (503, "server_error", "upstream_unavailable"), (529, "overloaded_error"), "too busy"),
    "broken": ({"chat": (500, "server_error", "it broke"), "messages": (500, "api_error", "it broke")},
               (500, "server_error", "upstream_error"), (500, "api_error"), "it broke"),
    "itsKey": ({"chat": (401, "invalid_request_error", f"bad key {chat.UPSTREAM_KEY}"),
                "messages": (401, "authentication_error", f"bad key {chat.UPSTREAM_KEY}")},
               (502, "server_error", "upstream_credentials"), (502, "api_error"), "credentials"),
    "overflow": ({"chat": (400, "invalid_request_error",
                           "This model's maximum context length is 8192 tokens. However, your messages resulted in 9120 tokens."),
                  "messages": (400, "invalid_request_error", "prompt is too long: 9120 tokens > 8192 maximum")},
                 (400, "invalid_request_error", "context_length_exceeded"), (400, "invalid_request_error"), "8192"),
}


@STREAM
@PAIRS
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_before_the_reply(matrix, name, client, kind, stream):
    by_dialect, for_chat, for_messages, words = ERRORS[name]
    dialect = spoken(kind, client)
    status, word, message = by_dialect["messages" if dialect == "messages" else "chat"]
    more = {"code": "context_length_exceeded"} if name == "overflow" and dialect != "messages" else {}
    source = matrix.play(kind, lambda exchange: exchange.json(refusal(dialect, word, message, **more), status, "No", retry_after=7))
    raised = openai.APIStatusError if client == "chat" else anthropic.APIStatusError
    with pytest.raises(raised) as got:
        if client == "chat":
            matrix.chat.chat.completions.create(model=f"{kind}/m1", stream=stream, **ASKED)
        else:
            matrix.messages.messages.create(model=f"{kind}/m1", stream=stream, **ASKED)
    relayed = dialect == client and kind in ("openai", "anthropic") and name != "itsKey"
    body = got.value.response.json()
    if client == "chat":
        assert got.value.status_code == for_chat[0]
        error = body["error"]
        assert error["type"] == for_chat[1]
        if not relayed:
            assert error["code"] == for_chat[2]
    else:
        assert got.value.status_code == for_messages[0]
        assert body["type"] == "error"
        error = body["error"]
        assert error["type"] == for_messages[1]
        assert body["request_id"] and got.value.response.headers["request-id"]
    assert words in error["message"]
    assert chat.UPSTREAM_KEY not in got.value.response.text
    if name == "overflow":
        expected = "prompt is too long: 9120 tokens > 8192 maximum" if client == "messages" else "maximum context length is 8192"
        assert expected in error["message"]
    if name == "rateLimit":
        assert got.value.response.headers["retry-after"] == "7"
    assert len(source.requests) == 1


def beginning(dialect):
    """A stream's first events, up to the text `one`."""
    whole = Answer([Text("one")])
    streams = {"chat": whole.chat_stream, "messages": whole.messages_stream, "responses": lambda: answer_responses.stream(whole, {})}
    data = streams[dialect]()
    return data[:data.index(b'"one"')] + b'"one"' + (data[data.index(b'"one"') + 5:].partition(b"\n\n")[0]) + b"\n\n"


def fall(dialect):
    """The event of a failure in mid-stream."""
    if dialect == "chat":
        return chat.event({"error": {"message": "it fell over", "type": "server_error", "param": None, "code": None}})
    if dialect == "responses":
        return named({"type": "response.failed", "sequence_number": 9, "response": answer_responses.response(
            {}, "failed", error={"code": "server_error", "message": "it fell over"})})
    return named({"type": "error", "error": {"type": "api_error", "message": "it fell over"}})


def listen(matrix, client, kind, finish):
    """The text of a stream up to the failure, and what was raised. The upstream says the beginning, and when the client has
    read it, follows `finish`: a failure that comes in the same read is a status.
    """
    read = threading.Event()

    def script(exchange):
        exchange.stream_head()
        exchange.chunked(beginning(spoken(kind, client)))
        assert read.wait(15)
        finish(exchange)

    matrix.play(kind, script)
    said = []
    try:
        if client == "chat":
            for chunk in matrix.chat.chat.completions.create(model=f"{kind}/m1", stream=True, **ASKED):
                said += [chunk.choices[0].delta.content] if chunk.choices and chunk.choices[0].delta.content else []
                if said:
                    read.set()
                assert not (chunk.choices and chunk.choices[0].finish_reason), "a failure is no success"
        else:
            for event in matrix.messages.messages.create(model=f"{kind}/m1", stream=True, **ASKED):
                if event.type == "content_block_delta":
                    said.append(event.delta.text)
                    read.set()
                assert event.type not in ("message_delta", "message_stop"), "a failure is no success"
    except (openai.APIError, anthropic.APIError) as error:
        return "".join(said), error
    return "".join(said), None


@PAIRS
def test_an_error_in_mid_stream(matrix, client, kind):
    def finish(exchange):
        exchange.chunked(fall(spoken(kind, client)))
        exchange.end_chunks()

    said, raised = listen(matrix, client, kind, finish)
    assert said == "one"
    assert raised and "it fell over" in raised.message
    if client == "messages":
        assert raised.body["error"]["type"] == "api_error"
    else:
        assert raised.body["type"] == "server_error"


@pytest.mark.parametrize("finish", [Exchange.end_chunks, Exchange.close, Exchange.reset])
@PAIRS
def test_a_stream_that_just_ends(matrix, client, kind, finish):
    """The SDKs would take it for a whole answer: only the gateway can tell."""
    said, raised = listen(matrix, client, kind, finish)
    assert said == "one"
    assert raised and "closed" in raised.message, raised


@PAIRS
def test_a_stream_that_fails_before_anybody_has_read_of_it_is_a_status(matrix, client, kind):
    dialect = spoken(kind, client)
    matrix.play(kind, lambda exchange: exchange.stream(beginning(dialect) + fall(dialect)))
    target = "/v1/chat/completions" if client == "chat" else "/v1/messages"
    reply = matrix.server.ask("POST", target, chat.dumps(ASKED | {"model": f"{kind}/m1", "stream": True}))
    assert reply.status == 500
    assert reply.json["error"]["message"] == "it fell over"


@STREAM
@PAIRS
def test_no_reply_at_all(matrix, client, kind, stream):
    matrix.play(kind, lambda exchange: exchange.reset())
    raised = openai.InternalServerError if client == "chat" else anthropic.InternalServerError
    with pytest.raises(raised) as got:
        if client == "chat":
            matrix.chat.chat.completions.create(model=f"{kind}/m1", stream=stream, **ASKED)
        else:
            matrix.messages.messages.create(model=f"{kind}/m1", stream=stream, **ASKED)
    assert got.value.status_code == 502


@pytest.mark.parametrize("begun", [False, True], ids=["prefill", "midStream"])
@STREAM
@PAIRS
def test_a_client_that_leaves_is_left_by_the_upstreams_connection_too(matrix, client, kind, stream, begun):
    def script(exchange):
        if begun and exchange.request.json.get("stream"):
            exchange.stream_head()
            exchange.chunked(beginning(spoken(kind, client)))
        elif begun:
            exchange.head(content_type="application/json", content_length=500)
            exchange.send(b'{"id":"')
        exchange.wait_gone()

    source = matrix.play(kind, script)
    target = "/v1/chat/completions" if client == "chat" else "/v1/messages"
    leaving = matrix.server.connect()
    body = chat.dumps(ASKED | {"model": f"{kind}/m1", "stream": stream})
    leaving.send(request("POST", target, body, port=matrix.server.port))
    exchange = until(lambda: source.exchanges and source.exchanges[0], "the request was upstream")
    if begun and stream:
        assert b"one" in leaving.open_reply().read1(65536)
    left = time.monotonic()
    leaving.reset()
    until(lambda: exchange.gone_at, "the upstream's connection was closed")
    assert exchange.gone_at - left < 1


@STREAM
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "anthropic"])
def test_a_call_that_the_limit_cut_is_not_run(matrix, kind, stream):
    """The stop reason says so, and the input is an object all the same."""
    cut = Answer([Call("call_1", "weather", '{"place":"Ber')], "length")
    matrix.play(kind, script(cut, spoken(kind, "messages")))
    heard = ask_messages(matrix.messages, f"{kind}/m1", ASKED | {"tools": [TOOL]}, stream)
    assert heard.end == "max_tokens"
    assert [(part.id, part.name) for part in heard.parts] == [("call_1", "weather")]


@STREAM
@pytest.mark.parametrize("kind", ["openai-compatible", "openai"])
def test_stop_strings_beyond_what_the_upstream_takes_are_matched_here(matrix, kind, stream):
    stops = ["A1", "B2", "C3", "D4", "END"]
    matrix.play(kind, script(Answer([Text("so it EN ENDs here, not there")]), spoken(kind, "messages")))
    heard = ask_messages(matrix.messages, f"{kind}/m1", ASKED | {"stop_sequences": stops}, stream)
    assert heard.parts == ["so it EN "]
    assert (heard.end, heard.stop) == ("stop_sequence", "END")
    expected = sent() if kind == "openai" else to_chat(ASKED)[kind]
    options = {} if kind == "openai" else {"stream_options": {"include_usage": True}}
    assert matrix.upstreams[kind].request.json == expected | {"model": "m1"} | ({"stream": True} | options if stream else {})
