"""The official OpenAI client's `responses` through Martlet, on a scripted Chat upstream."""

import base64
import contextlib
import hashlib
import json
import signal
import sqlite3
import threading

import openai
import pytest
from pydantic import BaseModel

from support import chat
from test_context import COUNT, completions, window_of

TOKEN, SECOND = "canary-token-5b8e", "canary-token-77aa"
TOOL = {"type": "function", "name": "weather", "description": "The weather at a place.",
        "parameters": chat.WEATHER["function"]["parameters"], "strict": False}


def digest(token):
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def parrot(exchange):
    """Answers `n: <the user's last text>`, where n counts the messages; streamed or whole as it is asked."""
    messages = exchange.request.json["messages"]
    last = messages[-1]["content"]
    text = last if isinstance(last, str) else "".join(part.get("text", "") for part in last)
    answer = f"{len(messages)}: {text}"
    if exchange.request.json.get("stream"):
        exchange.stream(chat.text_stream(answer[:3], answer[3:], usage=(7, 3)))
    else:
        exchange.json(chat.completion(answer, usage=(7, 3)))


def texts(request):
    """(role, text) of the messages that went up."""
    found = []
    for message in request.json["messages"]:
        content = message["content"]
        found.append((message["role"], content if isinstance(content, str) else content[0]["text"]))
    return found


def test_a_text(martlet, upstream, sdk):
    source = upstream(parrot)
    reply = sdk(martlet(source)).responses.create(
        model="m1", input=chat.PROMPT, instructions="Be brief.", temperature=0.5, max_output_tokens=77,
        metadata={"a": "b"})
    assert reply.output_text == f"2: {chat.PROMPT}"
    assert (reply.status, reply.model, reply.store, reply.metadata) == ("completed", "m1", True, {"a": "b"})
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.total_tokens) == (7, 3, 10)
    assert reply.id.startswith("resp_") and reply.completed_at >= reply.created_at
    assert source.request.target == "/v1/chat/completions"
    assert texts(source.request) == [("system", "Be brief."), ("user", chat.PROMPT)]
    assert source.request.json["temperature"] == 0.5 and source.request.json["max_tokens"] == 77


def test_items(martlet, upstream, sdk):
    source = upstream(parrot)
    reply = sdk(martlet(source)).responses.create(model="m1", store=False, input=[
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "three"}]}])
    assert reply.output_text == "3: three" and reply.store is False
    assert texts(source.request) == [("user", "one"), ("assistant", "two"), ("user", "three")]


def test_a_stream(martlet, upstream, sdk):
    client = sdk(martlet(upstream(parrot)))
    with client.responses.stream(model="m1", input="hello") as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "1: hello"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert final.output_text == "1: hello"
    assert client.responses.retrieve(final.id).output_text == "1: hello", "it was stored before its end was told"


@pytest.mark.parametrize("streams", [False, True])
def test_a_tool_round_trip(martlet, upstream, sdk, streams):
    def script(exchange):
        if any(message["role"] == "tool" for message in exchange.request.json["messages"]):
            return parrot(exchange)
        if streams:
            exchange.stream(chat.calls_stream(("call_7", "weather", ['{"place":', '"Oslo"}'])))
        else:
            call = chat.call("call_7", "weather", '{"place":"Oslo"}')
            exchange.json(chat.completion(None, [call], finish="tool_calls"))

    def create(**options):
        if not streams:
            return client.responses.create(**options)
        with client.responses.stream(**options) as stream:
            return stream.get_final_response()

    source = upstream(script)
    client = sdk(martlet(source))
    first = create(model="m1", input="weather?", tools=[TOOL])
    call = first.output[0]
    assert (call.type, call.name, call.call_id, call.arguments) == ("function_call", "weather", "call_7", '{"place":"Oslo"}')
    second = create(model="m1", previous_response_id=first.id, tools=[TOOL], input=[
        {"type": "function_call_output", "call_id": "call_7", "output": "rain"}])
    assert second.output_text == "3: rain" and second.previous_response_id == first.id
    up = source.requests[-1].json["messages"]
    assert [message["role"] for message in up] == ["user", "assistant", "tool"]
    assert up[1]["tool_calls"][0]["id"] == up[2]["tool_call_id"] == "call_7"


def test_structured_output_is_parsed(martlet, upstream, sdk):
    class Place(BaseModel):
        name: str
        people: int

    source = upstream(lambda exchange: exchange.json(chat.completion('{"name":"Oslo","people":700000}')))
    reply = sdk(martlet(source)).responses.parse(model="m1", input="where?", text_format=Place)
    assert reply.output_parsed == Place(name="Oslo", people=700000)
    assert source.request.json["response_format"]["type"] == "json_schema"
    assert source.request.json["response_format"]["json_schema"]["name"] == "Place"


def test_a_conversation_survives_a_kill(martlet, upstream, sdk):
    source = upstream(parrot)
    server = martlet(source)
    client = sdk(server)
    first = client.responses.create(model="m1", input="one", instructions="Not inherited.")
    with client.responses.stream(model="m1", input="two", previous_response_id=first.id) as stream:
        second = stream.get_final_response()
    server.signal(signal.SIGKILL)
    server.wait()
    server.start().wait_for_model("m1")
    client = sdk(server)
    third = client.responses.create(model="m1", input="three", previous_response_id=second.id)
    assert third.output_text == "5: three"
    assert texts(source.requests[-1]) == [
        ("user", "one"), ("assistant", "2: one"), ("user", "two"), ("assistant", "3: two"), ("user", "three")]
    assert client.responses.retrieve(first.id).output_text == "2: one"
    items = client.responses.input_items.list(third.id).data
    assert [item.content[0].text for item in items] == ["three"] and items[0].id.startswith("msg_")
    client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(second.id)
    fourth = client.responses.create(model="m1", input="four", previous_response_id=third.id)
    assert fourth.output_text == "7: four", "what continues a deleted response has its items"


def test_what_was_not_stored_is_not_there(martlet, upstream, sdk):
    client = sdk(martlet(upstream(parrot)))
    kept_not = client.responses.create(model="m1", input="one", store=False)
    for continued in (kept_not.id, "resp_nothing"):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="m1", input="two", previous_response_id=continued)
        assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(continued)
        with pytest.raises(openai.NotFoundError):
            client.responses.delete(continued)
        with pytest.raises(openai.NotFoundError):
            client.responses.cancel(continued)


def test_a_reply_that_is_not_stored_refers_to_what_is(martlet, upstream, sdk):
    source = upstream(parrot)
    client = sdk(martlet(source))
    first = client.responses.create(model="m1", input="one")
    items = [{"role": "user", "content": "zero"}, {"type": "item_reference", "id": first.output[0].id},
             {"role": "user", "content": "two"}]
    reply = client.responses.create(model="m1", input=items, store=False)
    assert reply.output_text == "3: two"
    assert texts(source.requests[-1]) == [("user", "zero"), ("assistant", "1: one"), ("user", "two")]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(reply.id)
    counted = [client.responses.input_tokens.count(model="m1", input=list).input_tokens
               for list in (items[:1] + items[2:], items)]
    assert counted[0] < counted[1]
    for ask in (client.responses.create, client.responses.input_tokens.count):
        with pytest.raises(openai.NotFoundError):
            ask(model="m1", input=[{"type": "item_reference", "id": "msg_nobody"}])


def test_another_key_cannot_read_it(martlet, upstream, sdk):
    source = upstream(parrot)
    server = martlet(source, wait=False, config={
        "auth": {"tokens": [digest(TOKEN), digest(SECOND)]},
        "upstreams": {"mine": {"kind": "openai-compatible", "url": source.url}}})
    mine, theirs = (openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) for key in (TOKEN, SECOND))
    with mine, theirs:
        reply = mine.responses.create(model="m1", input="secret")
        for ask in (lambda: theirs.responses.retrieve(reply.id), lambda: theirs.responses.delete(reply.id),
                    lambda: theirs.responses.input_items.list(reply.id)):
            with pytest.raises(openai.NotFoundError):
                ask()
        with pytest.raises(openai.BadRequestError):
            theirs.responses.create(model="m1", input="and?", previous_response_id=reply.id)
        assert mine.responses.retrieve(reply.id).output_text == "1: secret"
    assert server.ask("GET", f"/v1/responses/{reply.id}").status == 401
    assert len(source.requests) == 1


@pytest.mark.parametrize("streams", [False, True])
def test_a_damaged_database_is_said_and_opens_nothing(martlet, upstream, streams):
    source = upstream(parrot)
    server = martlet(source, before=lambda server: (server.home / "martlet.db").write_bytes(b"no database " * 1000))
    body = {"model": "m1", "input": "one", "stream": streams}
    for refused in (server.ask("POST", "/v1/responses", chat.dumps(body)),
                    server.ask("POST", "/v1/responses", chat.dumps(body | {"store": False, "previous_response_id": "resp_1"})),
                    server.ask("GET", "/v1/responses/resp_1"), server.ask("DELETE", "/v1/responses/resp_1")):
        assert refused.status == 503, refused.body
        assert "martlet.db is damaged" in refused.json["error"]["message"]
    assert not source.requests
    assert server.ask("POST", "/v1/responses", chat.dumps(body | {"store": False})).status == 200
    assert server.chat().status == 200


@pytest.mark.parametrize("streams", [False, True])
def test_a_reply_that_cannot_be_stored_is_no_reply(martlet, upstream, streams):
    """Another program has locked the database while the model answers."""
    source = upstream(parrot)
    server = martlet(source)
    body = {"model": "m1", "input": "one", "stream": streams}
    assert server.ask("POST", "/v1/responses", chat.dumps(body)).status == 200
    with contextlib.closing(sqlite3.connect(server.home / "martlet.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        reply = server.ask("POST", "/v1/responses", chat.dumps(body))
        assert len(source.requests) == 2
    if streams:
        assert reply.status == 200
        events = [json.loads(line[6:]) for line in reply.body.decode().splitlines() if line.startswith("data: {")]
        assert "response.completed" not in [event["type"] for event in events]
        assert events[-1]["type"] == "response.failed" and "martlet.db" in events[-1]["response"]["error"]["message"]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert "".join(event["delta"] for event in events if "output_text.delta" in event["type"]) == "1: one"
    else:
        assert reply.status == 503 and "martlet.db" in reply.json["error"]["message"]


def test_nothing_is_stored_where_that_is_off(martlet, upstream, sdk):
    source = upstream(parrot)
    server = martlet(source, config={
        "store": {"responses": "off"}, "upstreams": {"mine": {"kind": "openai-compatible", "url": source.url}}})
    reply = sdk(server).responses.create(model="m1", input="one")
    assert reply.store is False
    with pytest.raises(openai.BadRequestError):
        sdk(server).responses.create(model="m1", input="two", previous_response_id=reply.id)
    assert not (server.home / "martlet.db").exists()


def test_the_database_is_made_when_it_is_needed_and_its_owners_alone(martlet, upstream, sdk):
    server = martlet(upstream(parrot))
    assert not (server.home / "martlet.db").exists()
    sdk(server).responses.create(model="m1", input="one")
    for path in server.home.glob("martlet.db*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_warm_up_is_answered_and_continued(martlet, upstream, sdk):
    source = upstream(parrot)
    client = sdk(martlet(source))
    first = client.responses.create(model="m1", input="", max_output_tokens=16)
    assert first.status == "completed" and first.output == [] and not source.requests
    with client.responses.stream(model="m1", input="") as stream:
        second = stream.get_final_response()
    for warm in (first, second):
        assert client.responses.create(model="m1", input="one", previous_response_id=warm.id).output_text == "1: one"


def test_input_items_have_lists_of_parts(martlet, upstream, sdk):
    client = sdk(martlet(upstream(parrot)))
    part = {"type": "input_text", "text": "three"}
    reply = client.responses.create(model="m1", input=[
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, {"role": "user", "content": [part]}])
    items = [item.to_dict() for item in client.responses.input_items.list(reply.id, order="asc")]
    assert [item["content"] for item in items] == [
        [{"type": "input_text", "text": "one"}], [{"type": "output_text", "text": "two", "annotations": []}], [part]]


def test_input_is_counted(martlet, upstream, sdk):
    client = sdk(martlet(upstream(parrot)))
    first = client.responses.create(model="m1", input="one " * 50)
    short = client.responses.input_tokens.count(model="m1", input="two")
    long = client.responses.input_tokens.count(model="m1", input="two", previous_response_id=first.id)
    assert short.object == "response.input_tokens" and 0 < short.input_tokens < long.input_tokens


def test_what_is_not_there_is_said(martlet, upstream):
    server = martlet(upstream(parrot))
    assert server.ask("GET", "/v1/responses").status == 405
    for member, value in (("conversation", "conv_1"), ("prompt", {"id": "p"})):
        reply = server.ask("POST", "/responses", chat.dumps({"model": "m1", "input": "x", member: value}))
        assert (reply.status, reply.json["error"]["param"]) == (400, member), reply.body
        assert reply.json["error"]["type"] == "invalid_request_error"


def test_an_upstreams_failure_in_the_stream(martlet, upstream, sdk):
    def script(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})))
        assert began.wait(15), "the first delta was held back"
        exchange.chunked(chat.event({"error": {"message": "broken", "type": "server_error"}}))
        exchange.end_chunks()

    began = threading.Event()
    stream = sdk(martlet(upstream(script))).responses.create(model="m1", input="x", stream=True)
    with pytest.raises(openai.APIError, match="broken"):
        for event in stream:
            if event.type == "response.output_text.delta":
                began.set()


def test_an_anthropic_upstream(martlet, upstream, sdk):
    def script(exchange):
        turn = len(exchange.request.json["messages"])
        exchange.json({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m1", "stop_reason": "end_turn",
            "stop_sequence": None, "content": [{"type": "text", "text": f"turn {turn}"}],
            "usage": {"input_tokens": 4, "output_tokens": 2}})

    source = upstream(script)
    client = sdk(martlet(source, kind="anthropic"))
    first = client.responses.create(model="m1", input="one", instructions="Be brief.")
    second = client.responses.create(model="m1", input="two", previous_response_id=first.id)
    assert (first.output_text, second.output_text) == ("turn 1", "turn 3")
    assert {request.target for request in source.requests} == {"/v1/messages"}
    assert [message["role"] for message in source.requests[-1].json["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("kind", ["llamacpp", "vllm"])
def test_the_oldest_turns_are_left_out_where_that_is_wanted(martlet, upstream, sdk, kind):
    """By the upstream's own count where it has one."""
    def script(exchange):
        if exchange.request.target == COUNT:
            words = sum(len(message["content"].split()) for message in exchange.request.json["messages"])
            return exchange.json({"input_tokens": words * 2, "object": "response.input_tokens"})
        parrot(exchange)

    source = window_of(upstream(script), 1000)
    if kind == "vllm":
        source.get = lambda exchange: exchange.json({"data": [{"id": "m1", "object": "model", "max_model_len": 1000}]})
    client = sdk(martlet(source, kind=kind))
    turns = [turn for number in range(12) for turn in (
        {"role": "user", "content": f"{number} " + "word " * 60}, {"role": "assistant", "content": "word " * 20})]
    reply = client.responses.with_raw_response.create(
        model="m1", input=turns + [{"role": "user", "content": "last"}], instructions="Be brief.", truncation="auto")
    up = completions(source)[-1].json["messages"]
    assert up[0]["content"] == "Be brief." and up[-1]["content"] == "last" and 4 < len(up) < 20
    assert up[1]["role"] == "user" and up[1]["content"].split()[0] != "0"
    assert reply.headers["x-translation-dropped"] == "input.oldest_turns"
    assert reply.parse().truncation == "auto"
    if kind == "llamacpp":
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="m1", input=turns + [{"role": "user", "content": "last"}])
        assert caught.value.code == "context_length_exceeded"


def test_sealed_reasoning_is_nobody_elses(martlet, upstream, sdk):
    """What a client holds cannot be read or made without the installation's key; another installation drops and names it."""
    def script(exchange):
        exchange.json(chat.completion("yes") | {"choices": [{"index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": "yes", "reasoning_content": "canary-thought"}}]})

    source = upstream(script)
    server, other = martlet(source, kind="llamacpp"), martlet(source, kind="llamacpp")
    assert not (server.home / "seal.key").exists()
    client = sdk(server)
    first = client.responses.create(model="m1", input="x", store=False, include=["reasoning.encrypted_content"])
    sealed = first.output[0].encrypted_content
    assert sealed.startswith("gw1.") and b"canary-thought" not in base64.b64decode(sealed[4:])
    key = server.home / "seal.key"
    assert key.stat().st_size == 32 and key.stat().st_mode & 0o777 == 0o600

    def given_back(server, content):
        item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": content}
        reply = sdk(server).responses.with_raw_response.create(model="m1", store=False, input=[
            {"role": "user", "content": "x"}, item, {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "and?"}])
        return (source.requests[-1].json["messages"][1].get("reasoning_content"),
                reply.headers.get("x-translation-dropped"))

    server.signal(signal.SIGKILL)
    server.wait()
    server.start().wait_for_model("m1")
    assert given_back(server, sealed) == ("canary-thought", None)
    plain = "gw1." + base64.b64encode(b'{"t":"forged"}').decode()
    dropped = (None, "input.reasoning.encrypted_content")
    assert given_back(server, plain) == given_back(server, sealed[:-8] + "AAAAAAA=") == dropped
    assert given_back(server, "gAAAAAB-of-another-provider") == dropped
    assert given_back(other, sealed) == dropped
