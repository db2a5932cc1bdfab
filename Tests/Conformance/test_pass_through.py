"""A client before an upstream of its own dialect, in `exact` mode: every byte but the model's name is the client's, or the upstream's."""

import threading

import pytest

from support import chat
from support.wire import request

PROMPT = chat.PROMPT.encode()
# Spellings that a translation would tidy up: spaces, order, numbers, escapes, unknown members, doubled empty ones.
ODD = (b'"x_unknown" :{ "b":1.0e0,"a":[ 1E+2 ,-0.0,12345678901234567890123 ] ,"\\u0061":null},\t"x_\\u00e9":"\\ud83d\\ude00\\/\\u2028",'
       b'\r\n "temperature":0.70')
ASKED = {
    "chat": (b'{ "messages" : [{"role":"user","content":"' + PROMPT + b'\\u00e9 \\/","x_part":1e0}],' + ODD
             + b' , "model" : "NAME" ,"tools":[], "max_tokens":1.0e2 }\n'),
    "messages": (b'{\n "max_tokens":100, ' + ODD + b',"model":\t"NAME","messages":[ {"content":[{"text":"' + PROMPT
                 + b'\\u00e9","type":"text","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"new_block","v":1.50}],'
                 b'"role":"user"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"Eq+/=="},'
                 b'{"type":"tool_use","id":"toolu_1","name":"a","input":{"n":1.0e0}}]},{"role":"user","content":'
                 b'[{"type":"tool_result","tool_use_id":"toolu_1"}]}],"thinking":{"type":"some_day"} }'),
}
WHOLE = {
    "chat": (b'{ "id":"chatcmpl-1", "object":"chat.completion","created":1.7672256e9,"model" : "m1" ,"choices":[{"index":0,'
             b'"message":{"role":"assistant","content":"\\u00e9\\/","model":"m1"},"finish_reason":"stop","x":1.50}],"usage":{'
             b'"prompt_tokens":1,"completion_tokens":1,"total_tokens":2},"timings":{"z":0.10,"a":1E2}}\n'),
    "messages": (b'{"content":[ {"type":"new_block","text":"\\u00e9\\/","model":"m1"},{"type":"text","text":"so","citations":null}],'
                 b'"model": "m1","id":"msg_1","type":"message","role":"assistant","stop_reason":"new_reason","stop_sequence":null,'
                 b'"usage":{"input_tokens":1.0e1,"output_tokens":2,"service_tier":"standard","x":1E2} ,"container":null}\n'),
}
STREAM = {
    "chat": (b": a comment\n\n"
             b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1.7e9,"model": "m1" ,"choices":[{"index":0,'
             b'"delta":{"role":"assistant","content":"\\u00e9\\ud83d\\ude00 "},"finish_reason":null}],"x_unknown":{"b":1.50}}\n\n'
             b'event: message\nid: 7\ndata:{"model":"m1","id":"chatcmpl-1" ,  "object":"chat.completion.chunk","created":1,'
             b'"choices":[{"index":0,"delta":{"content":"\xc3\xa9","model":"m1"},"finish_reason":null}]}\n\n'
             b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m1","choices":[{"index":0,'
             b'"delta":{},"finish_reason":"stop"}]}\r\n\r\ndata: [DONE]\n\n'),
    "messages": (b'event: message_start\ndata: {"type":"message_start", "message":{"id":"msg_1","type":"message","role":"assistant",'
                 b'"model" : "m1","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1.0e1,'
                 b'"output_tokens":1,"cache_creation":{"ephemeral_5m_input_tokens":0}},"container":null}}\n\n'
                 b'event: ping\ndata: {"type": "ping"}\n\n: a comment\n\n'
                 b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"new_block",'
                 b'"text":"","model":"m1"}}\n\n'
                 b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"new_delta",'
                 b'"text":"\\u00e9\\/\xc3\xa9"}       }\n\n'
                 b'event: new_event\ndata:{"type":"new_event","model":"m1","x":1E2}\r\n\r\n'
                 b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0  }\n\n'
                 b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
                 b'"usage":{"output_tokens":15,"x":1.50}}\n\n'
                 b'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
}
TARGET = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
EXACT = {"chat": "openai", "messages": "anthropic"}
DIALECT = pytest.mark.parametrize("dialect", EXACT)


def named(data, model):
    """The bytes with another name for the model where the dialect has it, and nowhere else."""
    before, after = b'"model":"m1"}', b"\x00"  # the places inside blocks and deltas, which are not the model's name
    inner = b'"type":"new_event","model":"m1"'
    hidden = data.replace(before, after).replace(inner, b"\x01")
    for spelled in (b'"model":"m1"', b'"model": "m1"', b'"model" : "m1"'):
        hidden = hidden.replace(spelled, spelled.replace(b"m1", model))
    return hidden.replace(b"\x01", inner).replace(after, before)


@DIALECT
@pytest.mark.parametrize("framing", ["chunked", "length", "eof"])
def test_whole(matrix, dialect, framing):
    """F4: Bytes there and back are the same but for the model's name."""
    def script(exchange):
        if framing == "length":
            exchange.json(WHOLE[dialect])
        elif framing == "chunked":
            exchange.head(content_type="application/json", transfer_encoding="chunked")
            for start in range(0, len(WHOLE[dialect]), 50):
                exchange.chunked(WHOLE[dialect][start:start + 50])
            exchange.end_chunks()
        else:
            exchange.head(content_type="application/json", connection="close")
            exchange.send(WHOLE[dialect])
            exchange.close()

    source = matrix.play(EXACT[dialect], script)
    model = f"{EXACT[dialect]}/m1".encode()
    reply = matrix.server.ask("POST", TARGET[dialect], ASKED[dialect].replace(b"NAME", model))
    assert source.request.body == ASKED[dialect].replace(b"NAME", b"m1")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.body == named(WHOLE[dialect], model)


@DIALECT
@pytest.mark.parametrize("cut", [None, 1, 7, 64])
def test_stream(matrix, dialect, cut):
    """F4: So are a stream's, however it is cut."""
    source = matrix.play(EXACT[dialect], lambda exchange: exchange.stream(STREAM[dialect], cut=cut))
    model = f"{EXACT[dialect]}/m1".encode()
    asked = ASKED[dialect].replace(b"{", b'{"stream" :true, ', 1)
    reply = matrix.server.ask("POST", TARGET[dialect], asked.replace(b"NAME", model))
    assert source.request.body == asked.replace(b"NAME", b"m1")
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/event-stream")
    assert reply.body == named(STREAM[dialect], model)


@DIALECT
def test_errors_go_through_as_they_are(matrix, dialect):
    body = b'{ "type":"error","error":{"message":"no \\u00e9 here","type":"odd_error","code":42, "x":1.50}}\n'
    matrix.play(EXACT[dialect], lambda exchange: exchange.json(body, 422, "Unprocessable"))
    reply = matrix.server.ask("POST", TARGET[dialect], ASKED[dialect].replace(b"NAME", EXACT[dialect].encode() + b"/m1"))
    assert (reply.status, reply.body) == (422, body)


def test_an_errors_event_in_mid_stream_is_the_last_one(matrix):
    data = STREAM["messages"].partition(b"event: content_block_stop")[0] + (
        b'event: error\ndata: {"type":"error", "error":{"type":"overloaded_error","message":"Overloaded \\u00e9","x":1E2}}\n\n')
    begun, failure = data.partition(b"event: error")[0], data.rpartition(b"event: error")[2]
    read = threading.Event()

    def script(exchange):
        exchange.stream_head()
        exchange.chunked(begun)
        assert read.wait(15)
        exchange.chunked(b"event: error" + failure)
        exchange.end_chunks()

    matrix.play("anthropic", script)
    asked = ASKED["messages"].replace(b"NAME", b"anthropic/m1").replace(b"{", b'{"stream":true,', 1)
    with matrix.server.connect() as client:
        client.send(request("POST", "/v1/messages", asked, port=matrix.server.port))
        response = client.open_reply()
        events = response.read1(1 << 16)
        read.set()
        events += response.read()
    assert events == named(begun, b"anthropic/m1") + b"event: error" + failure


def test_anthropics_headers_and_query_travel(matrix):
    """B22, B23: the query is routed past, and betas nobody knows yet go on as they came."""
    source = matrix.play("anthropic", lambda exchange: exchange.json(
        WHOLE["messages"], anthropic_ratelimit_requests_remaining=59, anthropic_organization_id="org", set_cookie="a=b"))
    with matrix.server.connect() as client:
        body = ASKED["messages"].replace(b"NAME", b"anthropic/m1")
        head, _, _ = request("POST", "/v1/messages?beta=true&x=%20", body, port=matrix.server.port, authorization="Bearer dummy",
                             x_api_key=chat.CLIENT_KEY, anthropic_version="2026-10-21", x_stainless_lang="python",
                             anthropic_dangerous_direct_browser_access="true", cookie="a=b").partition(b"\r\n\r\n")
        betas = b"\r\nanthropic-beta: some-day-2030-01-01,b\r\nAnthropic-Beta: c"
        client.send(head + betas + b"\r\n\r\n" + body)
        reply = client.reply()
    sent = source.request
    assert sent.target == "/v1/messages?beta=true&x=%20"
    assert sent.header("anthropic-beta") == "some-day-2030-01-01,b, c"
    assert sent.header("anthropic-version") == "2026-10-21"
    assert sent.header("anthropic-dangerous-direct-browser-access") == "true"
    assert sent.header("x-stainless-lang") == "python"
    assert sent.header("x-api-key") == chat.UPSTREAM_KEY
    assert sent.header("authorization") is None and sent.header("cookie") is None
    assert reply.headers["anthropic-ratelimit-requests-remaining"] == "59"
    assert "set-cookie" not in reply.headers
    assert reply.headers["request-id"] == sent.header("x-request-id")


def test_a_version_is_named_where_the_client_names_none(matrix):
    source = matrix.play("anthropic", lambda exchange: exchange.json(WHOLE["messages"]))
    for target in ("/v1/messages?beta=true", "/anthropic/v1/messages"):
        body = ASKED["messages"].replace(b"NAME", b"anthropic/m1")
        assert matrix.server.ask("POST", target, body).status == 200
    assert [received.header("anthropic-version") for received in source.requests] == ["2023-06-01"] * 2
    assert [received.target for received in source.requests] == ["/v1/messages?beta=true", "/v1/messages"]


def test_anthropics_headers_do_not_reach_a_relay_of_chat(matrix):
    source = matrix.play("openai-compatible", lambda exchange: exchange.json(chat.completion()))
    body = chat.dumps({"model": "openai-compatible/m1", "messages": chat.MESSAGES})
    reply = matrix.server.ask("POST", "/v1/chat/completions", body, anthropic_beta="a-2030", anthropic_version="2023-06-01")
    assert reply.status == 200
    assert source.request.header("anthropic-beta") is None and source.request.header("anthropic-version") is None


def test_betas_do_not_reach_a_chat_upstream(matrix):
    source = matrix.play("openai-compatible", lambda exchange: exchange.json(chat.completion()))
    body = chat.dumps({"model": "openai-compatible/m1", "max_tokens": 9, "messages": chat.MESSAGES})
    reply = matrix.server.ask("POST", "/v1/messages?beta=true", body, anthropic_beta="a-2030", anthropic_version="2023-06-01")
    assert reply.status == 200
    assert source.request.target == "/v1/chat/completions"
    assert not [name for name, _ in source.request.headers if name.startswith("anthropic-")]
    assert source.request.header("authorization") == f"Bearer {chat.UPSTREAM_KEY}"


def test_thinking_of_this_gateway_never_reaches_anthropic(matrix):
    """B19: Its signature means nothing there. What Anthropic signed stays as it was, and so does every byte of the other turns."""
    head = b'{"model":"anthropic/m1","max_tokens":1.0e1,"messages":['
    first = b'{"role":"user","content":"\\u00e9" }'
    genuine = b'{"type":"thinking", "thinking":"hm","signature":"EqQB/=="}'
    ours = b'{"type":"thinking","thinking":"ho","signature":"gw1.0123456789abcdef"}'
    said = b'{"type":"text","text":"so","x":1.50}'
    last = b'{"role":"user","content":[{"type":"text","text":"and\\/?"}]}'
    assistant = b'{"role":"assistant","content":[%s]}'
    source = matrix.play("anthropic", lambda exchange: exchange.json(WHOLE["messages"]))
    body = head + b",".join([first, assistant % b",".join([genuine, ours, said]), assistant % ours, last]) + b"]}"
    assert matrix.server.ask("POST", "/v1/messages", body).status == 200
    assert source.request.body == head.replace(b"anthropic/m1", b"m1") + b",".join(
        [first, assistant % b",".join([genuine, said]), last]) + b"]}"
