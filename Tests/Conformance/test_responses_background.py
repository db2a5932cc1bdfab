"""Responses that are made in the background, and stored ones that are read as streams, by the official OpenAI client."""

import contextlib
import json
import signal
import threading

import openai
import pytest

from support import chat
from support.waiting import until

from test_responses import SECOND, TOKEN, digest, parrot, texts


class Held:
    """A Chat upstream that says `first`, and `second` and its end only once it is let go."""

    def __init__(self):
        self.began, self.go, self.gone = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first "})))
        self.began.set()
        while not self.go.wait(0.02):
            with contextlib.suppress(AssertionError):
                exchange.wait_gone(0.01)
                return self.gone.set()
        exchange.chunked(chat.text_stream("second", usage=(7, 3)))
        exchange.end_chunks()


@pytest.fixture
def held():
    script = Held()
    yield script
    script.go.set()


def ended(client, response):
    """The response once it is neither queued nor in progress."""
    def poll():
        found = client.responses.retrieve(response.id)
        return found if found.status not in ("queued", "in_progress") else None
    return until(poll, f"{response.id} has ended")


def test_it_is_made_while_nobody_waits(martlet, upstream, sdk, held):
    source = upstream(held)
    server = martlet(source)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=chat.CLIENT_KEY, max_retries=0) as client:
        response = client.responses.create(model="m1", input=chat.PROMPT, background=True, metadata={"a": "b"})
    assert (response.status, response.background, response.output, response.store) == ("queued", True, [], True)
    client = sdk(server)
    assert held.began.wait(10)
    until(lambda: client.responses.retrieve(response.id).status == "in_progress", "it was in progress")
    items = client.responses.input_items.list(response.id).data
    assert [item.content[0].text for item in items] == [chat.PROMPT]
    with pytest.raises(openai.BadRequestError, match="still being made"):
        client.responses.create(model="m1", input="and?", previous_response_id=response.id)
    held.go.set()
    found = ended(client, response)
    assert (found.status, found.output_text, found.id) == ("completed", "first second", response.id)
    assert (found.created_at, found.metadata, found.usage.total_tokens) == (response.created_at, {"a": "b"}, 10)
    assert client.responses.input_items.list(response.id).data == items
    assert client.responses.cancel(response.id).status == "completed", "what has ended stays as it is"
    assert texts(source.request) == [("user", chat.PROMPT)] and source.request.json["stream"] is True
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_it_is_continued_from(martlet, upstream, sdk):
    source = upstream(parrot)
    client = sdk(martlet(source))
    first = ended(client, client.responses.create(model="m1", input="one", background=True))
    second = client.responses.create(model="m1", input="two", previous_response_id=first.id)
    assert second.output_text == "3: two"
    third = ended(client, client.responses.create(
        model="m1", input="three", previous_response_id=second.id, background=True))
    assert third.output_text == "5: three" and third.previous_response_id == second.id


def test_cancelling_frees_the_upstream(martlet, upstream, sdk, held):
    client = sdk(martlet(upstream(held)))
    response = client.responses.create(model="m1", input="x", background=True)
    assert held.began.wait(10)
    cancelled = client.responses.cancel(response.id)
    assert cancelled.status == "cancelled" and cancelled.id == response.id
    assert held.gone.wait(2), "the upstream's connection was closed"
    assert client.responses.retrieve(response.id).status == "cancelled"
    assert client.responses.cancel(response.id).status == "cancelled"
    events = list(client.responses.retrieve(response.id, stream=True))
    assert events[-1].response.status == "cancelled"
    plain = client.responses.create(model="m1", input="", store=True)
    with pytest.raises(openai.BadRequestError, match="in the background"):
        client.responses.cancel(plain.id)


def test_deleting_ends_it(martlet, upstream, sdk, held):
    client = sdk(martlet(upstream(held)))
    response = client.responses.create(model="m1", input="x", background=True)
    assert held.began.wait(10)
    client.responses.delete(response.id)
    assert held.gone.wait(2)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_a_stream_is_resumed_where_it_broke_off(martlet, upstream, sdk, held):
    """A client reads to the first delta, loses its connection, and reads on, while it is made and when it has ended."""
    client = sdk(martlet(upstream(held)))
    seen = []
    with client.responses.create(model="m1", input="x", background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
    identity = seen[0].response.id
    threading.Timer(0.2, held.go.set).start()
    rest = list(client.responses.retrieve(identity, stream=True, starting_after=seen[-1].sequence_number))
    whole = seen + rest
    assert [event.sequence_number for event in whole] == list(range(len(whole)))
    assert "".join(event.delta for event in whole if event.type == "response.output_text.delta") == "first second"
    assert whole[-1].type == "response.completed" and whole[-1].response.id == identity
    again = list(client.responses.retrieve(identity, stream=True))
    assert [event.to_dict() for event in again] == [event.to_dict() for event in whole]
    late = list(client.responses.retrieve(identity, stream=True, starting_after=3))
    assert [event.sequence_number for event in late] == list(range(4, len(whole)))
    with pytest.raises(openai.BadRequestError):
        list(client.responses.retrieve(identity, stream=True, extra_query={"starting_after": "x"}))


def test_a_stored_response_is_read_as_a_stream(martlet, upstream, sdk):
    client = sdk(martlet(upstream(parrot)))
    reply = client.responses.create(model="m1", input="one")
    events = list(client.responses.retrieve(reply.id, stream=True))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "1: one"
    assert events[-1].type == "response.completed" and events[-1].response.output_text == "1: one"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for place in (len(events) - 1, 900):
        assert list(client.responses.retrieve(reply.id, stream=True, starting_after=place)) == [], "it has been read"
    assert list(client.responses.retrieve(reply.id, stream=True, starting_after=len(events) - 2)) == events[-1:]


def test_the_end_of_a_stream_that_broke_off_is_told(martlet, upstream, sdk):
    """It was told in more events than the stored one is, so its client may have read further than that goes."""
    client = sdk(martlet(upstream(parrot)))
    with client.responses.stream(model="m1", input="one") as stream:
        reply = stream.get_final_response()
    late = list(client.responses.retrieve(reply.id, stream=True, starting_after=900))
    assert [(event.type, event.sequence_number) for event in late] == [("response.completed", 901)]


@pytest.mark.parametrize("background", [False, True])
def test_a_stream_that_fails_is_stored(martlet, upstream, sdk, background):
    def script(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})))
        assert began.wait(15)
        exchange.chunked(chat.event({"error": {"message": "broken", "type": "server_error"}}))
        exchange.end_chunks()

    began = threading.Event()
    client = sdk(martlet(upstream(script)))
    identity = None
    with contextlib.suppress(openai.APIError):
        for event in client.responses.create(model="m1", input="x", stream=True, background=background):
            identity = identity or event.response.id
            if event.type == "response.output_text.delta":
                began.set()
    found = ended(client, client.responses.retrieve(identity))
    assert (found.status, found.error.code) == ("failed", "server_error") and "broken" in found.error.message
    assert found.output_text == "first", "as far as it came"
    assert client.responses.input_items.list(identity).data[0].content[0].text == "x"


def test_a_failure_before_the_first_word(martlet, upstream, sdk):
    client = sdk(martlet(upstream(lambda exchange: exchange.json({"error": {"message": "no such thing"}}, 400, "Bad"))))
    found = ended(client, client.responses.create(model="m1", input="x", background=True))
    assert found.status == "failed" and "no such thing" in found.error.message
    assert list(client.responses.retrieve(found.id, stream=True))[-1].type == "response.failed"


def test_another_key_cannot_touch_it(martlet, upstream, held):
    source = upstream(held)
    server = martlet(source, wait=False, config={
        "auth": {"tokens": [digest(TOKEN), digest(SECOND)]},
        "upstreams": {"mine": {"kind": "openai-compatible", "url": source.url}}})
    mine, theirs = (openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) for key in (TOKEN, SECOND))
    with mine, theirs:
        response = mine.responses.create(model="m1", input="secret", background=True)
        assert held.began.wait(10)

        def forbidden():
            for ask in (lambda: theirs.responses.retrieve(response.id), lambda: theirs.responses.cancel(response.id),
                        lambda: theirs.responses.delete(response.id), lambda: theirs.responses.input_items.list(response.id),
                        lambda: list(theirs.responses.retrieve(response.id, stream=True))):
                with pytest.raises(openai.NotFoundError):
                    ask()
            with pytest.raises(openai.BadRequestError) as caught:
                theirs.responses.create(model="m1", input="and?", previous_response_id=response.id)
            assert caught.value.code == "previous_response_not_found"

        forbidden()
        held.go.set()
        assert ended(mine, response).output_text == "first second"
        forbidden()
        assert mine.responses.retrieve(response.id).output_text == "first second"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_ends_what_was_being_made(martlet, upstream, sdk, held, end):
    server = martlet(upstream(held))
    response = sdk(server).responses.create(model="m1", input="x", background=True)
    assert held.began.wait(10)
    server.signal(end)
    server.wait()
    client = sdk(server.start())
    found = client.responses.retrieve(response.id)
    assert found.status == "failed" and "restarted" in found.error.message
    assert list(client.responses.retrieve(response.id, stream=True, starting_after=20))[-1].response.status == "failed"
    assert client.responses.cancel(response.id).status == "failed"


def test_there_is_an_end_to_how_many(martlet, upstream, sdk, held):
    server = martlet(upstream(held))
    client = sdk(server)
    made = [client.responses.create(model="m1", input="x", background=True) for _ in range(32)]
    with pytest.raises(openai.RateLimitError, match="in the background") as caught:
        client.responses.create(model="m1", input="x", background=True)
    assert caught.value.response.headers["retry-after"] == "10"
    client.responses.cancel(made[0].id)
    assert client.responses.create(model="m1", input="x", background=True).status == "queued"


def test_a_client_that_reads_along_may_leave(martlet, upstream, sdk, held):
    server = martlet(upstream(held))
    client = sdk(server)
    response = client.responses.create(model="m1", input="x", background=True)
    assert held.began.wait(10)
    with client.responses.retrieve(response.id, stream=True) as reader:
        assert next(iter(reader)).type == "response.created"
    held.go.set()
    assert ended(client, response).output_text == "first second"


def test_what_must_be_stored(martlet, upstream):
    server = martlet(upstream(parrot))
    reply = server.ask("POST", "/v1/responses", chat.dumps(
        {"model": "m1", "input": "x", "background": True, "store": False}))
    assert (reply.status, reply.json["error"]["param"]) == (400, "background")
    assert json.loads(reply.body)["error"]["type"] == "invalid_request_error"
