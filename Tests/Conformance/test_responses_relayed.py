"""Responses before an upstream that speaks Responses itself: the conversation is kept here, whose it is, and not there."""

import openai
import pytest

from support import chat
from support.waiting import until

from test_responses import SECOND, TOKEN, digest, texts
from test_responses import parrot as chat_parrot


def response(text, status="completed", identity="resp_theirs", **more):
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}
    return {"id": identity, "object": "response", "created_at": 1, "status": status, "model": "m1", "store": False,
            "previous_response_id": None, "output": [item] if status == "completed" else [], "error": None,
            "usage": {"input_tokens": 4, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 2,
                      "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 6}} | more


def stream(text):
    """What OpenAI sends: no `[DONE]`."""
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    begun = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    done = response(text)
    events = [
        {"type": "response.created", "response": response("", "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.content_part.added", "part": {"type": "output_text", "text": "", "annotations": []}} | place,
        {"type": "response.output_text.delta", "delta": text, "logprobs": [], "obfuscation": "xyz"} | place,
        {"type": "response.output_text.done", "text": text, "logprobs": []} | place,
        {"type": "response.content_part.done", "part": done["output"][0]["content"][0]} | place,
        {"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]},
        {"type": "response.completed", "response": done}]
    return b"".join(
        b"event: " + event["type"].encode() + b"\n" + chat.event(event | {"sequence_number": number})
        for number, event in enumerate(events))


def parrot(exchange):
    """Answers `n: <the last text>`, where n counts the items of the input."""
    assert exchange.request.target == "/v1/responses"
    body = exchange.request.json
    assert body["store"] is False and "previous_response_id" not in body and body.get("background") is not True
    items = body["input"] if isinstance(body["input"], list) else [{"content": body["input"]}]
    last = items[-1]["content"]
    answer = f"{len(items)}: {last if isinstance(last, str) else last[0]['text']}"
    if body.get("stream"):
        exchange.stream(stream(answer))
    else:
        exchange.json(response(answer))


@pytest.mark.parametrize("mode", ["exact", "repair"])
@pytest.mark.parametrize("streams", [False, True])
def test_a_conversation_is_kept_here(martlet, upstream, sdk, mode, streams):
    source = upstream(parrot)
    server = martlet(source, kind="openai", mode=mode)
    client = sdk(server)

    def create(**options):
        if not streams:
            return client.responses.create(model="m1", **options)
        with client.responses.stream(model="m1", **options) as events:
            return events.get_final_response()

    first = create(input="one")
    second = create(input=[{"role": "user", "content": "two"}], previous_response_id=first.id)
    assert (first.output_text, second.output_text) == ("1: one", "3: two")
    assert first.id != second.id and "resp_theirs" not in (first.id, second.id), "theirs are the same twice"
    assert (first.store, second.store, second.previous_response_id) == (True, True, first.id)
    assert client.responses.retrieve(first.id).output_text == "1: one"
    assert client.responses.input_items.list(second.id).data[0].content[0].text == "two"
    up = source.requests[-1].json["input"]
    assert [item["role"] for item in up] == ["user", "assistant", "user"] and not any("id" in item for item in up)
    client.responses.delete(first.id)
    third = create(input="three", previous_response_id=second.id)
    assert third.output_text == "5: three"
    with pytest.raises(openai.BadRequestError):
        create(input="x", previous_response_id=first.id)


def test_another_key_cannot_continue_what_was_relayed(martlet, upstream):
    source = upstream(parrot)
    server = martlet(source, wait=False, config={
        "auth": {"tokens": [digest(TOKEN), digest(SECOND)]}, "upstreams": {"open": {"kind": "openai", "url": source.url}}})
    mine, theirs = (openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) for key in (TOKEN, SECOND))
    with mine, theirs:
        reply = mine.responses.create(model="m1", input="secret")
        for ask in (lambda: theirs.responses.retrieve(reply.id), lambda: theirs.responses.delete(reply.id),
                    lambda: theirs.responses.cancel(reply.id), lambda: theirs.responses.input_items.list(reply.id)):
            with pytest.raises(openai.NotFoundError):
                ask()
        for identity in (reply.id, "resp_theirs"):
            with pytest.raises(openai.BadRequestError) as caught:
                theirs.responses.create(model="m1", input="and?", previous_response_id=identity)
            assert caught.value.code == "previous_response_not_found"
        with pytest.raises(openai.NotFoundError):
            theirs.responses.create(model="m1", input=[{"type": "item_reference", "id": "msg_1"}])
        with pytest.raises(openai.BadRequestError):
            theirs.responses.create(model="m1", input="x", conversation="conv_1")
        assert mine.responses.retrieve(reply.id).output_text == "1: secret"
    assert len(source.requests) == 1


@pytest.mark.parametrize("streams", [False, True])
def test_what_is_not_kept_is_relayed_as_it_is(martlet, upstream, streams):
    sent = stream("yes") if streams else chat.dumps(response("yes", zz=[1.0]))
    source = upstream(lambda exchange: exchange.stream(sent) if streams else exchange.json(sent))
    server = martlet(source, kind="openai")
    body = b'{"model": "m1",  "store": false, "input":"x", "stream": %s, "zz": 1.50}' % (b"true" if streams else b"false")
    reply = server.ask("POST", "/v1/responses", body)
    assert reply.body == sent and source.request.body == body
    assert not (server.home / "martlet.db").exists()


def test_it_is_made_in_the_background(martlet, upstream, sdk):
    source = upstream(parrot)
    client = sdk(martlet(source, kind="openai"))
    made = client.responses.create(model="m1", input="one", background=True)
    assert made.status == "queued" and made.background is True
    found = until(lambda: (found := client.responses.retrieve(made.id)).status == "completed" and found, "it was made")
    assert found.output_text == "1: one" and found.background is True and found.id == made.id
    events = list(client.responses.retrieve(made.id, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert source.request.json["stream"] is True


def test_it_goes_on_at_an_upstream_of_another_dialect(martlet, upstream, sdk):
    """The one that has begun is gone: the next one gets the whole conversation."""
    first, second = upstream(parrot), upstream(chat_parrot)
    server = martlet(first, config={
        "models": {"aliases": {"any": ["open/m1", "mine/m1"]}}, "upstreams": {
            "open": {"kind": "openai", "url": first.url}, "mine": {"kind": "openai-compatible", "url": second.url}}})
    client = sdk(server)
    one = client.responses.create(model="any", input="one")
    assert one.output_text == "1: one" and not second.requests
    first.stop_listening()
    two = client.responses.create(model="any", input="two", previous_response_id=one.id)
    assert two.output_text == "3: two"
    assert texts(second.request) == [("user", "one"), ("assistant", "1: one"), ("user", "two")]


def test_items_are_referred_to(martlet, upstream, sdk):
    """As SDKs do that keep the ids of items instead of that of the response."""
    source = upstream(parrot)
    client = sdk(martlet(source, kind="openai"))
    first = client.responses.create(model="m1", input="one")
    second = client.responses.create(model="m1", input=[
        {"role": "user", "content": "one"}, {"type": "item_reference", "id": first.output[0].id},
        {"role": "user", "content": "two"}])
    assert second.output_text == "3: two"
    assert source.requests[-1].json["input"][1]["content"][0]["text"] == "1: one"
    third = client.responses.create(model="m1", input=[
        {"id": first.output[0].id}, {"role": "user", "content": "three"}])
    assert third.output_text == "2: three"
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="m1", input=[{"type": "item_reference", "id": "msg_nobody"}])


def test_where_nothing_is_stored_nothing_is_stored_there_either(martlet, upstream, sdk):
    source = upstream(parrot)
    server = martlet(source, config={
        "store": {"responses": "off"}, "upstreams": {"open": {"kind": "openai", "url": source.url}}})
    assert sdk(server).responses.create(model="m1", input="one").store is False
