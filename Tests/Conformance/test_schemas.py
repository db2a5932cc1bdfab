"""Schemas that an upstream cannot compile: asked again with simpler ones, before the client hears of it."""

import pytest

from support import chat, engine

PATTERN = {"type": "object", "properties": {"p": {"type": "string", "pattern": "(?=x)y"}}}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": PATTERN}}
MINIMAL = {"type": "object", "properties": {"p": {"type": "string"}}}
REFUSAL = {"error": {"code": 400, "message": "Failed to initialize samplers: failed to parse grammar",
                     "type": "invalid_request_error"}}


def format_of(schema):
    return {"type": "json_schema", "json_schema": {"name": "o", "schema": schema}}


def refusing(times, answer=None, stream=False):
    """Refuses so many requests, then answers; in a stream the refusal is its first event."""
    def refuse(exchange):
        if stream:
            return exchange.stream(chat.event({"error": REFUSAL["error"]}))
        exchange.json(REFUSAL, 400, "Bad Request")

    def accept(exchange):
        if stream:
            return exchange.stream(chat.text_stream("ok", usage=(9, 1)))
        exchange.json(chat.completion())

    return [refuse] * times + [answer or accept]


def schemas(source):
    return [request.json["tools"][0]["function"]["parameters"] for request in source.requests]


@pytest.mark.parametrize("stream", [False, True])
def test_relayed_tools_get_simpler_until_they_are_taken(martlet, upstream, stream):
    source = upstream(refusing(2, stream=stream))
    reply = martlet(source, kind="llamacpp").chat(chat.body(tools=[TOOL], stream=stream))
    assert reply.status == 200
    assert reply.headers["x-translation-dropped"] == "schemas.minimal"
    first, second, third = schemas(source)
    assert (first, third) == (PATTERN, MINIMAL)
    assert second["properties"]["p"] == {"type": "string", "description": "(pattern: (?=x)y)"}


def test_a_refusal_of_every_form_is_the_answer(martlet, upstream):
    source = upstream(refusing(9))
    reply = martlet(source, kind="llamacpp").chat(chat.body(tools=[TOOL]))
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
    assert reply.json["error"]["message"] == REFUSAL["error"]["message"]
    assert schemas(source)[-1] == {"type": "object"}
    assert len(source.requests) == 4


def test_an_anthropic_client_is_helped_too(martlet, upstream):
    source = upstream(refusing(2))
    body = chat.dumps({"model": chat.MODEL, "max_tokens": 9, "messages": chat.MESSAGES,
                       "tools": [{"name": "f", "input_schema": PATTERN}]})
    reply = martlet(source, kind="llamacpp").ask("POST", "/v1/messages", body)
    assert reply.status == 200
    assert reply.headers["x-translation-dropped"] == "schemas.bare"
    assert schemas(source)[1:] == [MINIMAL, {"type": "object"}]


def test_an_answers_schema_is_asked_for_in_words_at_last_and_checked(martlet, upstream):
    source = upstream(refusing(3, lambda exchange: exchange.json(chat.completion("```json\n{\"p\": \"y\"}\n```"))))
    reply = martlet(source, kind="llamacpp").chat(chat.body(response_format=format_of(PATTERN)))
    assert reply.json["choices"][0]["message"]["content"] == '{"p": "y"}'
    assert reply.headers["x-translation-dropped"] == "schemas.bare"
    *sent, last = [request.json for request in source.requests]
    schemas = [request["response_format"]["json_schema"]["schema"] for request in sent]
    assert schemas[0] == PATTERN and schemas[-1] == MINIMAL and len(schemas) == 3
    assert "response_format" not in last and "(?=x)y" in last["messages"][0]["content"]


def test_only_the_tool_that_a_refusal_names_loses_its_schema(martlet, upstream):
    def refuse(exchange):
        exchange.json({"error": {"message": "Invalid schema for function 'f': unsupported pattern"}}, 400, "Bad Request")

    source = upstream([refuse, refuse, lambda exchange: exchange.json(chat.completion())])
    other = {"type": "function", "function": {"name": "other", "parameters": PATTERN}}
    reply = martlet(source, kind="llamacpp").chat(chat.body(tools=[TOOL, other]))
    assert reply.status == 200 and reply.headers["x-translation-dropped"] == "schemas.without.f"
    bare, kept = (tool["function"]["parameters"] for tool in source.requests[-1].json["tools"])
    assert bare == {"type": "object"}
    assert kept["properties"]["p"] == {"type": "string", "description": "(pattern: (?=x)y)"}


def test_what_worked_is_where_the_next_request_starts(martlet, upstream):
    source = upstream(refusing(2))
    server = martlet(source, "--loops", "1", kind="llamacpp")
    assert server.chat(chat.body(tools=[TOOL])).status == 200
    again = server.chat(chat.body(tools=[TOOL], temperature=0.5))
    assert again.status == 200
    assert again.headers["x-translation-dropped"] == "schemas.minimal"
    assert len(source.requests) == 4
    assert schemas(source)[-1] == MINIMAL
    # Other schemas are none of it.
    other = {"type": "function", "function": {"name": "g", "parameters": PATTERN}}
    assert "x-translation-dropped" not in server.chat(chat.body(tools=[other])).headers


@pytest.mark.parametrize("case", ["exact mode", "no schema", "another error"])
def test_other_refusals_are_passed_on_at_once(martlet, upstream, case):
    source = upstream(refusing(9) if case != "another error" else lambda exchange: exchange.json(
        {"error": {"message": "messages: too many", "type": "invalid_request_error"}}, 400, "Bad Request"))
    server = martlet(source, kind="llamacpp", mode="exact" if case == "exact mode" else "repair")
    assert server.chat(chat.body(**({} if case == "no schema" else {"tools": [TOOL]}))).status == 400
    assert len(source.requests) == 1


@pytest.mark.parametrize("schema", [
    {"type": "object", "properties": {"a": {"$ref": "#/nope"}}},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "^a{3000}$"}}}])
def test_the_real_engine_takes_what_it_refused(martlet, schema):
    """Both are refused by llama.cpp as they stand."""
    server = martlet(before=engine.give_model, engines=engine.engines())
    reply = server.chat(chat.body(model=engine.MODEL, max_tokens=30, response_format=format_of(schema)), timeout=180)
    assert reply.status == 200, reply.body
    assert reply.headers["x-translation-dropped"].startswith("schemas.")
