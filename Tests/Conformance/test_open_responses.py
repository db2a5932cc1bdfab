"""The cases of Open Responses' compliance list, whole, streamed and over WebSockets, before upstreams of every dialect and the
real engine.

The list is of 2026-04-24: text, streaming, phases of the assistant's messages, a system prompt, a tool, a tool in a stream, an
image, several turns, WebSockets, compaction. Requests are ours, the names the list's. Each asserts the whole object, the whole
grammar of the stream, and the body that the upstream got.
"""

import base64
import json
import zlib

import pytest

from support import chat, engine, talk
from support.answer import Answer, Call, Text, Thinking
from support.grammar_responses import USAGE, check_response, read_responses
from support.matrix import KINDS, script, spoken

ROUTE = "/v1/responses"


def square():
    """A red square of 8 by 8 as a PNG, in a data URL's base64."""
    def piece(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (8).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    rows = zlib.compress((b"\0" + b"\xff\0\0" * 8) * 8)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", head) + piece(b"IDAT", rows) + piece(b"IEND", b"")).decode()


def says(role, content, **more):
    return {"type": "message", "role": role, "content": content} | more


PICTURE = square()
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string", "description": "The town"}}, "required": ["city"]}
FORECAST = {"type": "function", "name": "forecast", "description": "Tomorrow's weather in a town.", "parameters": PARAMETERS}
CALL = Call("call_f1", "forecast", '{"city": "Bergen"}')
HELLO = Answer([Text("Hello there, friend!")])
# name -> (input, more of the request, what the model says)
CASES = {
    "basic-response": ([says("user", "Greet me in three words.")], {}, HELLO),
    "assistant-phase": ([
        says("assistant", "I look at what was kept.", phase="commentary"),
        says("assistant", "It was seven.", phase="final_answer"),
        says("user", "Only the number, please.")], {}, Answer([Text("Seven.")])),
    "streaming-response": ([says("user", "Count to five.")], {}, Answer([Text("1, 2, 3, 4, 5 – that’s it.")])),
    "system-prompt": ([says("system", "You speak like a sailor."), says("user", "Say hello.")], {}, Answer([Text("Ahoy!")])),
    "tool-calling": ([says("user", "Will it rain in Bergen?")], {"tools": [FORECAST]}, Answer([CALL], "calls")),
    "tool-calling-behind-text": (
        [says("user", "Will it rain in Bergen?")], {"tools": [FORECAST]}, Answer([Text("I look it up."), CALL], "calls")),
    "image-input": ([says("user", [{"type": "input_text", "text": "What is it?"}, {
        "type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}])], {}, Answer([Text("A red square.")])),
    "multi-turn": ([
        says("user", "I am called Ada."), says("assistant", "Hello, Ada."), says("user", "What am I called?")],
        {}, Answer([Text("Ada.")])),
    "reasoning-summary": (
        [says("user", "Why?")], {"reasoning": {"effort": "low", "summary": "auto"}}, Answer([Thinking("hm, hm"), Text("So.")])),
}
# What goes up: messages for a Chat upstream; system text and messages for Anthropic's.
CHAT = {
    "assistant-phase": [{"role": "assistant", "content": "I look at what was kept.It was seven."},
                        {"role": "user", "content": "Only the number, please."}],
    "system-prompt": [{"role": "system", "content": "You speak like a sailor."}, {"role": "user", "content": "Say hello."}],
    "image-input": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, {
        "type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}]}],
}
BLOCKS = {
    "assistant-phase": [("assistant", [{"type": "text", "text": text} for text in ("I look at what was kept.", "It was seven.")]),
                        ("user", [{"type": "text", "text": "Only the number, please."}])],
    "system-prompt": [("user", [{"type": "text", "text": "Say hello."}])],
    "image-input": [("user", [{"type": "text", "text": "What is it?"}, {
        "type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}])],
}


def chat_body(name, kind):
    given, more, _ = CASES[name]
    messages = CHAT.get(name) or [{"role": each["role"], "content": each["content"]} for each in given]
    body = {"model": chat.MODEL, "messages": messages}
    if "tools" in more:
        body["tools"] = [{"type": "function", "function": {key: FORECAST[key] for key in ("name", "description", "parameters")}}]
        if kind == "llamacpp":
            body["parallel_tool_calls"] = True
    return body


def messages_body(name):
    given, more, _ = CASES[name]
    turns = BLOCKS.get(name) or [(each["role"], [{"type": "text", "text": each["content"]}]) for each in given]
    body = {"model": chat.MODEL, "max_tokens": 4096, "messages": [{"role": role, "content": content} for role, content in turns]}
    if "reasoning" in more:
        body |= {"max_tokens": 4096 + 2048, "thinking": {"type": "enabled", "budget_tokens": 2048}}
    if name == "system-prompt":
        body["system"] = [{"type": "text", "text": "You speak like a sailor."}]
    if "tools" in more:
        body["tools"] = [{"name": "forecast", "description": FORECAST["description"], "input_schema": PARAMETERS}]
    return body


def ask(server, body):
    """The finished response, and what it said while it came."""
    reply = server.ask("POST", ROUTE, chat.dumps(body))
    assert reply.status == 200, reply.body
    if body.get("stream"):
        assert reply.headers["content-type"].startswith("text/event-stream")
        return read_responses(reply.body), reply.body
    assert reply.headers["content-type"] == "application/json"
    return check_response(reply.json), b""


def same_output(response, answer):
    """Whether the items are what the model said, in its order."""
    def form(item):
        match item["type"]:
            case "message":
                [part] = item["content"]
                return Text, part["text"]
            case "reasoning":
                [part] = item["summary"] or item["content"]
                return Thinking, part["text"]
            case "function_call":
                return Call, (item["call_id"], item["name"], json.loads(item["arguments"]))

    said = [(Call, (part.id, part.name, json.loads(part.arguments))) if isinstance(part, Call) else (type(part), str(part))
            for part in answer.parts]
    return [form(item) for item in response["output"]] == said


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_case(matrix, name, kind, stream):
    given, more, answer = CASES[name]
    source = matrix.play(kind, script(answer, spoken(kind, "responses")))
    asked = {"model": f"{kind}/{chat.MODEL}", "input": given} | more
    response, events = ask(matrix.server, asked | ({"stream": True} if stream else {}))

    assert (response["status"], response["model"]) == ("completed", asked["model"])
    assert response["completed_at"] >= response["created_at"]
    assert same_output(response, answer), response["output"]
    assert response["usage"] == {
        "input_tokens": 9, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 13}
    for member in ("tools", "reasoning"):
        for said, echoed in zip(more.get(member, []), response[member]):
            assert said == echoed or said.items() <= echoed.items(), "the request is repeated"
    if stream and "tools" in more:
        for kept in (b'"type":"function_call"', b"function_call_arguments.delta", b"function_call_arguments.done"):
            assert kept in events

    sent = source.request.json
    if kind == "openai":
        assert source.request.target == ROUTE
        assert {key: sent.get(key) for key in asked} == asked | {"model": chat.MODEL}
        return
    expected = messages_body(name) if kind == "anthropic" else chat_body(name, kind)
    assert {key: sent.get(key) for key in expected} == expected
    assert bool(sent.get("stream")) == (stream or kind == "llamacpp"), "llama.cpp is always asked for a stream"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", ["openai-compatible", "llamacpp", "anthropic"])
def test_a_tool_round_trip(matrix, kind, stream):
    """The call is answered with a second request: by the whole input, then by `previous_response_id`."""
    given, more, answer = CASES["tool-calling-behind-text"]
    source = matrix.play(kind, lambda exchange: script(
        HELLO if b"sunshine" in exchange.request.body else answer, spoken(kind, "responses"))(exchange))
    asked = {"model": f"{kind}/{chat.MODEL}", "stream": stream} | more
    first, _ = ask(matrix.server, asked | {"input": given})
    told = {"type": "function_call_output", "call_id": first["output"][-1]["call_id"], "output": "sunshine"}
    second, _ = ask(matrix.server, asked | {"input": [*given, *first["output"], told]})
    third, _ = ask(matrix.server, asked | {"input": [told], "previous_response_id": first["id"]})
    assert same_output(second, HELLO) and same_output(third, HELLO)
    assert third["previous_response_id"] == first["id"]
    by_hand, by_id = (request.json["messages"] for request in source.requests[1:])
    assert by_hand == by_id and len(by_hand) == 3
    if kind == "anthropic":
        assert [block["type"] for block in by_hand[1]["content"]] == ["text", "tool_use"]
        assert by_hand[2]["content"][0]["tool_use_id"] == CALL.id
    else:
        assert by_hand[1]["tool_calls"][0]["id"] == by_hand[2]["tool_call_id"] == CALL.id


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", ["openai-compatible", "anthropic"])
def test_an_end_by_the_token_limit(matrix, kind, stream):
    matrix.play(kind, script(Answer([Text("It was a dark and")], "length"), spoken(kind, "responses")))
    response, _ = ask(matrix.server, {
        "model": f"{kind}/{chat.MODEL}", "input": "Tell me.", "max_output_tokens": 16, "stream": stream})
    assert response["status"] == "incomplete" and response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete" and response["max_output_tokens"] == 16


def test_a_relay_repairs_what_an_upstream_leaves_out(martlet, upstream):
    """Events without numbers, names and parts, objects without most of their members: as small servers write them."""
    def script(exchange):
        assert exchange.request.json["input"] == "hi"
        item = {"id": "msg_1", "type": "message", "role": "assistant"}
        begun = {"id": "resp_1", "object": "response", "status": "in_progress", "model": "m1", "output": []}
        done = item | {"status": "completed", "content": [{"type": "output_text", "text": "Hello"}]}
        exchange.stream(b"".join(chat.event(event) for event in (
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": item | {"status": "in_progress", "content": []}},
            {"type": "response.content_part.added", "item_id": "msg_1", "output_index": 0, "content_index": 0,
             "part": {"type": "output_text", "text": ""}},
            {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "Hello"},
            {"type": "response.output_text.done", "item_id": "msg_1", "output_index": 0, "content_index": 0, "text": "Hello"},
            {"type": "response.content_part.done", "item_id": "msg_1", "output_index": 0, "content_index": 0,
             "part": {"type": "output_text", "text": "Hello"}},
            {"type": "response.output_item.done", "output_index": 0, "item": done},
            {"type": "response.completed", "response": begun | {"status": "completed", "output": [done]}})))

    server = martlet(upstream(script), kind="openai", mode="repair")
    response, _ = ask(server, {"model": "m1", "input": "hi", "stream": True})
    assert same_output(response, Answer([Text("Hello")]))


@pytest.mark.parametrize("kind", ["openai-compatible", "llamacpp", "anthropic"])
def test_compact_response(matrix, kind):
    """Its output is the next request's input."""
    given, _, answer = CASES["multi-turn"]
    matrix.play(kind, script(answer, spoken(kind, "responses")))
    asked = {"model": f"{kind}/{chat.MODEL}"}
    reply = matrix.server.ask("POST", f"{ROUTE}/compact", chat.dumps(asked | {"input": given, "prompt_cache_key": "birds"}))
    made = reply.json
    assert reply.status == 200 and set(made) == {"id", "object", "created_at", "output", "usage"}, reply.body
    assert made["object"] == "response.compaction" and USAGE(made["usage"]) and isinstance(made["created_at"], int)
    assert [item["type"] for item in made["output"]] == ["message", "message", "compaction"]
    response, _ = ask(matrix.server, asked | {"input": [*made["output"], says("user", "What am I called?")]})
    assert response["status"] == "completed" and same_output(response, answer)


def test_compact_missing_model(matrix):
    reply = matrix.server.ask("POST", f"{ROUTE}/compact", chat.dumps({"input": [says("user", "Compact this.")]}))
    assert (reply.status, reply.json["error"]["param"]) == (400, "model")


# Over a WebSocket, by the list's names. What each asks of a connection, on an upstream that answers with what it was told.

def echo(kind):
    """Answers with all texts of the conversation, so that each reply tells what the model was given."""
    def answer(exchange):
        body = exchange.request.json
        told = body.get("input", body.get("messages"))
        given = [told] if isinstance(told, str) else [said(each["content"]) for each in told if "content" in each]
        if exchange.request.target == f"{ROUTE}/compact":
            return exchange.json({"id": "resp_1", "object": "response.compaction", "created_at": 1767225600, "output": [
                *told, {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAAAB"}], "usage": None})
        script(Answer([Text(" / ".join(given))]), spoken(kind, "responses"))(exchange)

    def said(content):
        return content if isinstance(content, str) else "+".join(part["text"] for part in content)

    return answer


def heard(response):
    [item] = response["output"]
    return item["content"][0]["text"]


@pytest.fixture(params=KINDS)
def connected(request, matrix):
    """A WebSocket, and how to ask on it before an upstream of a kind."""
    kind = request.param
    matrix.play(kind, echo(kind))
    opened = []

    class Connected:
        socket = None

        def open(self):
            opened.append(talk.open_socket(matrix.server))
            self.socket = opened[-1]

        def ask(self, text, **more):
            return talk.ask(self.socket, **self.request(text, more))

        def refused(self, text, **more):
            return talk.refused(self.socket, **self.request(text, more))[1]["code"]

        @staticmethod
        def request(text, more):
            return {"model": f"{kind}/{chat.MODEL}", "store": False, "input": text} | more

    connected = Connected()
    connected.open()
    yield connected
    for socket in opened:
        socket.close()


def test_websocket_response(connected):
    response = connected.ask([says("user", "Count to three.")])
    assert (response["status"], heard(response)) == ("completed", "Count to three.")


def test_websocket_sequential_responses(connected):
    first, second = connected.ask("Say: first"), connected.ask("Say: second")
    assert (heard(first), heard(second)) == ("Say: first", "Say: second") and first["id"] != second["id"]


def test_websocket_continuation(connected):
    first = connected.ask("The word is cobalt.")
    second = connected.ask("Which word?", previous_response_id=first["id"])
    assert heard(second) == "The word is cobalt. / The word is cobalt. / Which word?"
    assert second["previous_response_id"] == first["id"]


def test_websocket_generate_false(connected):
    warm = connected.ask("The word is amber.", generate=False)
    assert (warm["status"], warm["output"]) == ("completed", [])
    assert "amber" in heard(connected.ask("Which word?", previous_response_id=warm["id"]))


def test_websocket_reconnect_store_false_recovery(connected):
    first = connected.ask("The word is copper.")
    connected.open()
    assert connected.refused("Which word?", previous_response_id=first["id"]) == "previous_response_not_found"
    assert heard(connected.ask([says("user", "Say: recovered")])) == "Say: recovered"


def test_websocket_previous_response_not_found(connected):
    assert connected.refused("Go on.", previous_response_id="resp_there_is_none") == "previous_response_not_found"


def test_websocket_failed_continuation_evicts_cache(connected):
    first = connected.ask("The word is ember.")
    orphan = [{"type": "function_call_output", "call_id": "call_there_is_none", "output": "nothing"}]
    assert connected.refused(orphan, previous_response_id=first["id"]) == "invalid_request_error"
    assert connected.refused("Which word?", previous_response_id=first["id"]) == "previous_response_not_found"


def test_websocket_compact_new_chain(matrix, connected):
    """What the route gives begins a conversation of its own."""
    asked = connected.request([says("user", "The word is slate."), says("user", "Compress this.")], {})
    made = matrix.server.ask("POST", f"{ROUTE}/compact", chat.dumps({name: asked[name] for name in ("model", "input")})).json
    assert made["output"][-1]["type"] == "compaction"
    told = heard(connected.ask([*made["output"], says("user", "Which word?")], tools=[]))
    assert told.startswith("The word is slate.") and told.endswith("Which word?")


# The engine: a tiny model that talks nonsense, which is enough to judge the form.

def ask_engine(server, **asked):
    body = chat.dumps({"model": engine.MODEL, "max_output_tokens": 40} | asked)
    with server.connect(timeout=120) as connection:
        reply = connection.ask("POST", ROUTE, body)
    assert reply.status == 200, reply.body
    return read_responses(reply.body) if asked.get("stream") else check_response(reply.json)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", [
    "basic-response", "assistant-phase", "streaming-response", "system-prompt", "image-input", "multi-turn"])
def test_case_on_the_engine(tiny, name, stream):
    given, more, _ = CASES[name]
    response = ask_engine(tiny, input=given, stream=stream, **more)
    assert response["status"] in ("completed", "incomplete")
    assert response["output"][0]["content"][0]["text"]
    assert response["usage"]["input_tokens"] > 3 and response["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_tool_on_the_engine(tiny, stream):
    given, more, _ = CASES["tool-calling"]
    more = {**more, "parallel_tool_calls": False}
    response = ask_engine(tiny, input=given, stream=stream, tool_choice="required", max_output_tokens=300, **more)
    assert response["status"] == "completed"
    [call] = [item for item in response["output"] if item["type"] == "function_call"]
    assert call["name"] == "forecast" and isinstance(json.loads(call["arguments"])["city"], str)
    told = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunshine"}
    after = ask_engine(tiny, input=[told], stream=stream, previous_response_id=response["id"], **more)
    assert after["previous_response_id"] == response["id"] and after["output"]


def test_websockets_on_the_engine(tiny):
    with talk.open_socket(tiny) as socket:
        def turn(text, **more):
            return talk.ask(socket, model=engine.MODEL, input=text, store=False, max_output_tokens=20, **more)

        warm = turn("Hello there.", generate=False)
        first = turn("And again.", previous_response_id=warm["id"])
        second = turn("And again.", previous_response_id=first["id"])
    assert all(response["output"][0]["content"][0]["text"] for response in (first, second))
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"] > 3
