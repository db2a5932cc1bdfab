"""Answers in a form that was asked for, before upstreams that cannot be held to one: asked in words, checked, asked once more."""

import json

import pytest

from support import chat
from support.answer import Answer, Text
from support.waiting import until

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"],
          "additionalProperties": False}
RIGHT, WRONG = '{"age": 7}', '{"age": "seven"}'
VIOLATION = "/age must be of type integer, and is a string"
DIALECTS = {"openai-compatible": "chat", "anthropic": "messages"}
NAMES = {"chat": "response_format", "messages": "output_config.format", "responses": "text.format"}
PAIRS = [(client, kind) for client in NAMES for kind in DIALECTS if (client, kind) != ("messages", "anthropic")]


def asked(client, **more):
    """Path and body of a client's request."""
    if client == "chat":
        form = {"type": "json_schema", "json_schema": {"name": "o", "schema": SCHEMA}}
        return "/v1/chat/completions", {"model": chat.MODEL, "messages": chat.MESSAGES, "response_format": form} | more
    if client == "messages":
        form = {"format": {"type": "json_schema", "schema": SCHEMA}}
        return "/v1/messages", {"model": chat.MODEL, "max_tokens": 99, "messages": chat.MESSAGES, "output_config": form} | more
    form = {"format": {"type": "json_schema", "name": "o", "schema": SCHEMA}}
    return "/v1/responses", {"model": chat.MODEL, "input": chat.PROMPT, "text": form} | more


def text(client, reply):
    if client == "chat":
        return reply["choices"][0]["message"]["content"]
    return reply["content"][0]["text"] if client == "messages" else reply["output"][0]["content"][0]["text"]


def saying(kind, *texts):
    """A script that answers with one text after the other."""
    return [Answer([Text(text)]).script(DIALECTS[kind]) for text in texts]


@pytest.fixture
def unheld(martlet, upstream):
    """`unheld(kind, texts…)`: a server before an upstream that cannot be held to a form, and that upstream."""
    def make(kind, *texts, flags=None, log="info", **more):
        source = upstream(saying(kind, *texts))
        flags = {"json_schema": "none", "json_object": "none"} if flags is None else flags
        server = martlet(None, "--no-discovery", "--log-level", log, config={"upstreams": {
            "u": {"kind": kind, "url": source.url, "capabilities": flags} | more}})
        return server.wait_for_model(chat.MODEL), source

    return make


def ask(server, client, **more):
    path, body = asked(client, **more)
    return server.ask("POST", path, chat.dumps(body))


@pytest.mark.parametrize(("client", "kind"), PAIRS)
def test_the_model_is_told_what_is_wrong_and_asked_once_more(unheld, client, kind):
    server, source = unheld(kind, WRONG, RIGHT, log="debug")
    reply = ask(server, client)
    assert reply.status == 200, reply.body
    assert text(client, reply.json) == RIGHT
    assert "x-translation-dropped" not in reply.headers
    first, second = (request.json for request in source.requests)
    assert json.dumps(SCHEMA, separators=(",", ":")) in json.dumps(first).replace('\\"', '"')
    assert not {"response_format", "output_config", "text"} & set(first)
    said, told = second["messages"][-2:]
    assert said["role"] == "assistant" and WRONG in json.dumps(said).replace('\\"', '"')
    assert told["role"] == "user" and VIOLATION in json.dumps(told)
    assert second["messages"][:-2] == first["messages"]
    usage = reply.json["usage"]
    single = Answer([Text(RIGHT)])
    counted = single.chat_usage() if kind != "anthropic" else single.messages_usage()
    output = counted["completion_tokens" if kind != "anthropic" else "output_tokens"]
    assert usage["completion_tokens" if client == "chat" else "output_tokens"] == 2 * output
    until(lambda: "asked_again=true" in server.log(), "the second try was logged")


@pytest.mark.parametrize(("client", "kind"), PAIRS)
def test_an_answer_that_never_fits_is_refused_by_the_members_name(unheld, client, kind):
    server, source = unheld(kind, WRONG, WRONG, RIGHT)
    reply = ask(server, client)
    assert reply.status == 400, reply.body
    error = reply.json["error"]
    assert error["type"] == "invalid_request_error" and error["message"].startswith(NAMES[client])
    assert VIOLATION in error["message"]
    assert len(source.requests) == 2


@pytest.mark.parametrize(("client", "kind"), PAIRS)
def test_what_stands_around_the_answer_is_taken_away(unheld, client, kind):
    server, source = unheld(kind, f"Here you are:\n```json\n{RIGHT}\n```")
    assert text(client, ask(server, client).json) == RIGHT
    assert len(source.requests) == 1


@pytest.mark.parametrize(("client", "kind"), PAIRS)
def test_a_stream_is_only_asked_for_it_and_says_so(unheld, client, kind):
    server, source = unheld(kind, WRONG)
    reply = ask(server, client, stream=True)
    assert reply.status == 200 and reply.headers["x-translation-dropped"] == NAMES[client]
    assert "seven" in reply.body.decode()
    assert len(source.requests) == 1


def in_the_background(server, **more):
    """The reply to the request, and the response once it has ended."""
    reply = ask(server, "responses", background=True, **more)
    assert reply.status == 200, reply.body
    def poll():
        found = server.ask("GET", f"/v1/responses/{identity}").json
        return found if found["status"] not in ("queued", "in_progress") else None
    identity = reply.json["id"] if not more.get("stream") else json.loads(reply.events()[0])["response"]["id"]
    return reply, until(poll, "it has ended")


@pytest.mark.parametrize("kind", DIALECTS)
def test_what_is_made_in_the_background_is_checked(unheld, kind):
    server, source = unheld(kind, WRONG, RIGHT)
    reply, made = in_the_background(server)
    assert (made["status"], text("responses", made)) == ("completed", RIGHT), made
    assert len(source.requests) == 2 and "x-translation-dropped" not in reply.headers
    events = [json.loads(event) for event in
              server.ask("GET", f"/v1/responses/{made['id']}?stream=true").events() if event != "[DONE]"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created" and events[-1]["response"] == made


def test_what_never_fits_has_failed_in_the_background(unheld):
    server, _ = unheld("openai-compatible", WRONG, WRONG)
    _, made = in_the_background(server)
    assert made["status"] == "failed" and VIOLATION in made["error"]["message"], made


def test_the_first_reply_names_what_is_left_out_in_the_background(unheld):
    server, _ = unheld("openai-compatible", WRONG)
    reply, made = in_the_background(server, stream=True)
    assert reply.headers["x-translation-dropped"] == "text.format" and text("responses", made) == WRONG
    server, _ = unheld("openai-compatible", RIGHT)
    tools = [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}]
    reply, _ = in_the_background(server, text={}, tools=tools)
    assert reply.headers["x-translation-dropped"] == "tools.web_search"


@pytest.mark.parametrize("client", NAMES)
def test_an_upstream_that_can_be_held_to_it_is(unheld, client):
    server, source = unheld("openai-compatible", WRONG, flags={})
    assert text(client, ask(server, client).json) == WRONG
    assert source.request.json["response_format"]["json_schema"]["schema"] == SCHEMA


def test_the_wait_for_the_second_answer_is_under_the_same_bound(unheld):
    server, source = unheld("openai-compatible", timeouts={"total": "1s"})
    source.script = saying("openai-compatible", WRONG) + [lambda exchange: exchange.wait_gone()]
    reply = ask(server, "chat")
    assert reply.status == 504 and "total timeout after 1 s" in reply.json["error"]["message"]
    assert len(source.requests) == 2
