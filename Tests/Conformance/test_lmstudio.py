"""The stand-in for LM Studio keeps its word, quirk by quirk; and Martlet answers through it."""

import dataclasses
import json

import pytest

from fake_lmstudio import FakeLMStudio, Model, Quirks
from support import chat
from support.wire import Connection, failed_by_length

KEY = "acme/writer-8b"
CALL = ("weather", '{"place":"Oslo"}')


@pytest.fixture
def studio():
    """`studio(quirk=value, …)`: a fake with exactly the quirks that are named; other words go to the fake itself."""
    made = []
    quirks = {field.name for field in dataclasses.fields(Quirks)}

    def make(**options):
        wanted = {name: options.pop(name) for name in list(options) if name in quirks}
        made.append(FakeLMStudio(dataclasses.replace(Quirks.none(), **wanted), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def ask(fake, method="POST", target="/v1/chat/completions", **body):
    with Connection(fake.port) as client:
        data = chat.dumps({"model": KEY, "messages": chat.MESSAGES} | body) if method == "POST" else None
        return client.ask(method, target, data)


def deltas(reply):
    return [json.loads(event)["choices"][0]["delta"] for event in reply.events()
            if event != "[DONE]" and json.loads(event)["choices"]]


def test_the_greeting_and_the_lists(studio):
    fake = studio(models=[Model(KEY), Model("acme/small-1b", loaded=False)])
    assert ask(fake, "GET", "/lmstudio-greeting").json == {"lmstudio": True}
    assert [entry["id"] for entry in ask(fake, "GET", "/v1/models").json["data"]] == [KEY, "acme/small-1b"]
    native = ask(fake, "GET", "/api/v1/models").json["models"]
    assert [len(entry["loaded_instances"]) for entry in native] == [1, 0]
    assert [entry["state"] for entry in ask(fake, "GET", "/api/v0/models").json["data"]] == ["loaded", "not-loaded"]


@pytest.mark.parametrize("on", [True, False])
class TestQuirks:
    """Each as the notes have it, and gone when it is switched off."""

    def test_unknown_routes(self, studio, on):
        fake = studio(unknown_route_is_200=on)
        for method, target in (("GET", "/v1/files"), ("POST", "/v1/messages/count_tokens"), ("PUT", "/v1/models")):
            reply = ask(fake, method, target)
            assert reply.status == (200 if on else 404)
            error = reply.json["error"]
            assert (error if on else error["message"]).startswith(f"Unexpected endpoint or method. ({method} {target}")

    def test_substituted_model(self, studio, on):
        reply = ask(studio(substitutes_model=on), model="gpt-4o")
        assert reply.status == (200 if on else 404)
        if on:
            assert reply.json["model"] == KEY

    def test_nothing_loaded(self, studio, on):
        reply = ask(studio(refuses_when_nothing_is_loaded=on, models=[Model(KEY, loaded=False)]))
        assert reply.status == (404 if on else 200)

    def test_errors_as_strings(self, studio, on):
        reply = ask(studio(errors_are_strings=on), messages=[])
        assert reply.status == 400
        assert isinstance(reply.json["error"], str if on else dict)

    def test_bare_model_entries(self, studio, on):
        entry = ask(studio(bare_model_entries=on), "GET", "/v1/models").json["data"][0]
        assert ("created" in entry) is not on

    def test_empty_tool_calls(self, studio, on):
        assert (ask(studio(empty_tool_calls=on)).json["choices"][0]["message"].get("tool_calls") == []) is on

    def test_role_in_every_delta(self, studio, on):
        got = deltas(ask(studio(role_in_every_delta=on), stream=True))
        assert sum("role" in delta for delta in got) == (3 if on else 1)

    def test_named_tool_choice(self, studio, on):
        choice = {"type": "function", "function": {"name": "weather"}}
        assert ask(studio(refuses_named_tool_choice=on), tools=[chat.WEATHER], tool_choice=choice).status == (400 if on else 200)

    def test_json_object(self, studio, on):
        assert ask(studio(refuses_json_object=on), response_format={"type": "json_object"}).status == (400 if on else 200)

    def test_image_urls(self, studio, on):
        content = [{"type": "image_url", "image_url": {"url": "https://pictures.example/a.png"}}]
        assert ask(studio(refuses_image_urls=on), messages=[{"role": "user", "content": content}]).status == (400 if on else 200)

    def test_developer(self, studio, on):
        messages = [{"role": "developer", "content": "x"}]
        assert ask(studio(refuses_developer=on), messages=messages).status == (400 if on else 200)

    def test_efforts(self, studio, on):
        assert ask(studio(refuses_efforts=on), reasoning_effort="xhigh").status == (400 if on else 200)

    def test_unknown_keys_of_its_own_api(self, studio, on):
        reply = ask(studio(errors_are_strings=on), target="/api/v1/chat", input="hi")
        assert reply.status == 400 and reply.json["error"]["code"] == "unrecognized_keys"

    def test_numeric_call_ids(self, studio, on):
        calls = ask(studio(numeric_call_ids=on, calls=[CALL]), tools=[chat.WEATHER]).json["choices"][0]["message"]["tool_calls"]
        assert calls[0]["id"].isdigit() is on

    def test_calls_as_text(self, studio, on):
        choice = ask(studio(leaks_calls_as_text=on, calls=[CALL]), tools=[chat.WEATHER]).json["choices"][0]
        assert choice["finish_reason"] == ("stop" if on else "tool_calls")
        assert ("[TOOL_REQUEST]" in choice["message"]["content"]) is on

    def test_options(self, studio, on):
        fake = studio(options_fall_through=on)
        assert ask(fake, "OPTIONS", "/v1/chat/completions").status == (400 if on else 404)


@pytest.mark.parametrize("manner", ["event", "empty", "string", "engine", "honest"])
def test_overflow_in_each_manner(studio, manner):
    reply = ask(studio(overflow=manner, models=[Model(KEY, context=10)]), stream=True,
                messages=[{"role": "user", "content": "long " * 100}])
    assert reply.status == (200 if manner in ("event", "empty") else 400)
    if manner == "event":
        assert reply.body.startswith(b"event: error\n")
    elif manner == "empty":
        assert reply.body == b""
    else:
        assert isinstance(reply.json["error"], dict if manner == "honest" else str)


@pytest.mark.parametrize("shape", ["reasoning_content", "reasoning", "think_tags"])
def test_reasoning_in_each_shape(studio, shape):
    message = ask(studio(reasoning=shape, thinking="hm")).json["choices"][0]["message"]
    assert ("<think>hm</think>" in message["content"]) == (shape == "think_tags")
    assert message.get(shape) == (None if shape == "think_tags" else "hm")


def test_a_crash_in_mid_stream(studio):
    fake = studio()
    fake.break_after = 1
    assert b"event: error\n" in ask(fake, stream=True).body


@pytest.mark.parametrize("quirks", [Quirks(), Quirks.none()], ids=["asItIs", "asOneWouldWish"])
@pytest.mark.parametrize("stream", [False, True])
def test_martlet_answers_through_it(martlet, studio, sdk, quirks, stream):
    fake = studio(**dataclasses.asdict(quirks), thinking="hm")
    client = sdk(martlet(fake, kind="lmstudio"))
    got = client.chat.completions.create(model=KEY, messages=chat.MESSAGES, stream=stream)
    if stream:
        chunks = list(got)
        text = "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
        finish = chunks[-1].choices[0].finish_reason
    else:
        text, finish = got.choices[0].message.content, got.choices[0].finish_reason
        assert got.choices[0].message.tool_calls is None
    assert (text, finish) == ("Hello, I am a fake.", "stop")
    assert fake.request.json["messages"] == chat.MESSAGES


@pytest.mark.parametrize("stream", [False, True])
def test_martlet_passes_its_tool_calls(martlet, studio, sdk, stream):
    fake = studio(**dataclasses.asdict(Quirks()), calls=[CALL, ("weather", "{}")])
    got = sdk(martlet(fake, kind="lmstudio")).chat.completions.create(
        model=KEY, messages=chat.MESSAGES, tools=[chat.WEATHER], stream=stream)
    if stream:
        calls = {}
        for one in got:
            for part in (one.choices[0].delta.tool_calls or []) if one.choices else []:
                calls[part.index] = calls.get(part.index, "") + (part.function.arguments or "")
        assert list(calls.values()) == [CALL[1], "{}"]
    else:
        assert [call.function.arguments for call in got.choices[0].message.tool_calls] == [CALL[1], "{}"]


def test_martlet_probes_its_kind(martlet, studio):
    fake = studio(**dataclasses.asdict(Quirks()))
    server = martlet(None, "--upstream", fake.url)
    server.wait_for_model(KEY)
    assert server.chat(chat.body(model=KEY)).status == 200


def test_martlet_gets_a_json_object_out_of_it(martlet, studio):
    """E15: it refuses `json_object`, and takes a schema that says the same."""
    fake = studio(refuses_json_object=True)
    server = martlet(fake, kind="lmstudio")
    assert server.chat(chat.body(model=KEY, response_format={"type": "json_object"})).status == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("target", ["/v1/chat/completions", "/v1/messages"])
def test_martlet_lets_no_other_model_answer(martlet, studio, target, stream):
    """It answers with the loaded model when the one that is asked for is gone: its reply's `model` gives it away."""
    fake = studio(substitutes_model=True, models=[Model(KEY), Model("acme/small-1b", loaded=False)])
    server = martlet(fake, kind="lmstudio")
    del fake.catalogue["acme/small-1b"]
    asked = {"model": "acme/small-1b", "messages": chat.MESSAGES, "max_tokens": 9, "stream": stream}
    reply = server.ask("POST", target, chat.dumps(asked))
    assert reply.status == 404
    assert reply.json["error"]["message"].endswith(f'LM Studio has "{KEY}" loaded, not "acme/small-1b"')
    assert server.ask("POST", target, chat.dumps(asked | {"model": KEY})).status == 200


# What Martlet repairs of it, by the rows of the complaints in docs/LMSTUDIO.md.

CLIENTS = {
    "chat": ("/v1/chat/completions", lambda text: {"messages": [{"role": "user", "content": text}]}),
    "anthropic": ("/v1/messages", lambda text: {"messages": [{"role": "user", "content": text}], "max_tokens": 9}),
    "responses": ("/v1/responses", lambda text: {"input": text}),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("manner", ["event", "empty", "string", "engine", "honest"])
def test_an_overflow_is_told_as_one_whatever_it_looks_like(martlet, studio, manner, client, stream):
    """Rows 2 and 3. Who streams Responses is told in the stream (DIALECTS.md), everybody else by a 400."""
    fake = studio(overflow=manner, errors_are_strings=True, models=[Model(KEY, context=100)])
    target, body = CLIENTS[client]
    reply = martlet(fake, kind="lmstudio").ask(
        "POST", target, chat.dumps({"model": KEY, "stream": stream} | body("long " * 200)))
    if stream and client == "responses":
        return failed_by_length(reply)
    assert reply.status == 400, reply.body
    error = reply.json["error"]
    assert error["type"] == "invalid_request_error"
    if client == "anthropic":
        assert error["message"].startswith("prompt is too long")
    else:
        assert error["code"] == "context_length_exceeded"


def test_a_prompt_that_cannot_fit_never_reaches_it(martlet, studio):
    """Row 2: known before prefill, where the window is."""
    fake = studio(models=[Model(KEY, context=100)])
    server = martlet(fake, kind="lmstudio")
    assert server.chat(chat.body(model=KEY, messages=[{"role": "user", "content": "long " * 20000}])).status == 400
    assert not fake.requests


@pytest.mark.parametrize("role, quirk", [("developer", "refuses_developer")])
def test_a_developer_is_heard(martlet, studio, role, quirk):
    """Row 17."""
    fake = studio(**{quirk: True})
    messages = [{"role": role, "content": "Be short."}, *chat.MESSAGES]
    assert martlet(fake, kind="lmstudio").chat(chat.body(model=KEY, messages=messages)).status == 200
    assert fake.request.json["messages"] == [{"role": "system", "content": "Be short."}, *chat.MESSAGES]


def test_a_choice_that_names_a_tool_is_kept(martlet, studio):
    """Row 17."""
    fake = studio(refuses_named_tool_choice=True, calls=[CALL])
    other = {"type": "function", "function": {"name": "other", "parameters": {"type": "object"}}}
    reply = martlet(fake, kind="lmstudio").chat(chat.body(
        model=KEY, tools=[other, chat.WEATHER], tool_choice={"type": "function", "function": {"name": "weather"}}))
    assert reply.json["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "weather"
    assert fake.request.json["tools"] == [chat.WEATHER] and fake.request.json["tool_choice"] == "required"


def test_an_effort_it_does_not_know_becomes_the_nearest(martlet, studio):
    """Row 15."""
    fake = studio(refuses_efforts=True)
    assert martlet(fake, kind="lmstudio").chat(chat.body(model=KEY, reasoning_effort="xhigh")).status == 200
    assert fake.request.json["reasoning_effort"] == "high"


@pytest.mark.parametrize("shape", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("client", CLIENTS)
def test_reasoning_has_one_name(martlet, studio, shape, client):
    """Row 16."""
    fake = studio(reasoning=shape, thinking="hm")
    target, body = CLIENTS[client]
    reply = martlet(fake, kind="lmstudio").ask("POST", target, chat.dumps({"model": KEY} | body("hello"))).json
    if client == "chat":
        assert reply["choices"][0]["message"]["reasoning_content"] == "hm"
    elif client == "anthropic":
        assert reply["content"][0]["thinking"] == "hm"
    else:
        assert reply["output"][0]["type"] == "reasoning"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
def test_json_that_lands_in_the_reasoning_is_the_answer(martlet, studio, client, stream):
    """Row 16."""
    fake = studio(json_in_reasoning=True)
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
    form = {"name": "place", "schema": schema, "strict": True}
    asks = {"chat": {"response_format": {"type": "json_schema", "json_schema": form}},
            "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
            "responses": {"text": {"format": {"type": "json_schema"} | form}}}
    target, body = CLIENTS[client]
    reply = martlet(fake, kind="lmstudio").ask(
        "POST", target, chat.dumps({"model": KEY, "stream": stream} | body("hello") | asks[client]))
    assert reply.status == 200, reply.body
    if not stream:
        text = {"chat": lambda: reply.json["choices"][0]["message"]["content"],
                "anthropic": lambda: reply.json["content"][-1]["text"],
                "responses": lambda: reply.json["output"][-1]["content"][0]["text"]}[client]()
    else:
        events = [json.loads(event) for event in reply.events() if event != "[DONE]"]
        text = "".join({"chat": lambda one: one["choices"][0]["delta"].get("content") or "" if one["choices"] else "",
                        "anthropic": lambda one: (one.get("delta") or {}).get("text", ""),
                        "responses": lambda one: one["delta"] if one["type"] == "response.output_text.delta" else ""}[client](one)
                       for one in events)
    assert text == '{"city":"Oslo"}'


def test_responses_take_what_it_refuses(martlet, studio):
    """Row 9: an empty `text`, a list as a tool's output, an image in it."""
    fake = studio()
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    items = [{"role": "user", "content": "hello"}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
             {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "see"}, image]}]
    reply = martlet(fake, kind="lmstudio").ask("POST", "/v1/responses", chat.dumps(
        {"model": KEY, "input": items, "text": {}, "tools": [{"type": "function", "name": "f", "parameters": None}]}))
    assert reply.status == 200, reply.body
    sent = fake.request.json["messages"]
    assert image["image_url"] in chat.dumps(sent).decode()
    gone = martlet(fake, kind="lmstudio").ask("POST", "/v1/responses", chat.dumps(
        {"model": KEY, "input": "on", "previous_response_id": "resp_gone"}))
    assert gone.status == 400 and gone.json["error"]["code"] == "previous_response_not_found"


def test_empty_ids_of_calls_are_filled(martlet, studio):
    """Row 18, beside the empty lists above."""
    fake = studio(calls=[CALL, CALL])
    fake._call = lambda index, name, arguments: {
        "id": "", "type": "function", "function": {"name": name, "arguments": arguments}}
    reply = martlet(fake, kind="lmstudio").chat(chat.body(model=KEY, tools=[chat.WEATHER]))
    ids = [call["id"] for call in reply.json["choices"][0]["message"]["tool_calls"]]
    assert len(set(ids)) == 2 and all(ids)


def test_a_prompt_is_counted_though_it_cannot_count(martlet, studio):
    """Row 6."""
    fake = studio(unknown_route_is_200=True)
    reply = martlet(fake, kind="lmstudio").ask("POST", "/v1/messages/count_tokens", chat.dumps(
        {"model": KEY, "messages": chat.MESSAGES}))
    assert reply.status == 200 and reply.json["input_tokens"] > 0


def test_unknown_tool_types_do_not_fail_a_request(martlet, studio):
    """Row 8."""
    fake = studio()
    tools = [{"type": "web_search"}, {"type": "local_shell"}, {"type": "custom", "name": "patch"},
             {"type": "brand_new_2027"}, {"type": "function", "name": "f", "parameters": {"type": "object"}}]
    reply = martlet(fake, kind="lmstudio").ask(
        "POST", "/v1/responses", chat.dumps({"model": KEY, "input": "hello", "tools": tools}))
    assert reply.status == 200, reply.body
    assert "tools.web_search" in reply.headers["x-translation-dropped"]
    assert all(tool["type"] == "function" for tool in fake.request.json["tools"])


def test_unknown_routes_are_404s(martlet, studio):
    """Row 5: here, and where the upstream answers one with 200."""
    fake = studio(unknown_route_is_200=True)
    server = martlet(fake, kind="lmstudio")
    assert server.ask("GET", "/v1/nothing").status == 404
    fake.script = fake._unknown
    for target, body in CLIENTS.values():
        for stream in (False, True):
            reply = server.ask("POST", target, chat.dumps({"model": KEY, "stream": stream} | body("hello")))
            assert reply.status == 404, reply.body
            assert "Unexpected endpoint or method" in reply.json["error"]["message"]


def test_the_list_tells_how_much_a_model_holds(martlet, studio):
    """Row 21."""
    entry = martlet(studio(bare_model_entries=True), kind="lmstudio").ask("GET", "/v1/models").json["data"][0]
    assert (entry["context_length"], entry["max_context_length"]) == (8192, 131072)


def test_messages_may_hold_what_it_does_not_know(martlet, studio):
    """Row 7."""
    fake = studio()
    messages = [{"role": "user", "content": "hello"}, {"role": "system", "content": "late"},
                {"role": "assistant", "content": "hm"}, {"role": "user", "content": [{"type": "text", "text": "go on", "new": 1}]}]
    reply = martlet(fake, kind="lmstudio").ask("POST", "/v1/messages", chat.dumps(
        {"model": KEY, "max_tokens": 9, "messages": messages, "output_config": {"effort": "xhigh"}, "brand_new": {"a": 1},
         "context_management": {"edits": []}, "metadata": {"user_id": "u"}}), anthropic_beta="brand-new-2027")
    assert reply.status == 200, reply.body
    assert fake.request.json["reasoning_effort"] == "high"


@pytest.mark.parametrize("stream", [False, True])
def test_no_other_model_answers_a_response(martlet, studio, stream):
    """Row 4, as for the other clients above."""
    fake = studio(substitutes_model=True, models=[Model(KEY), Model("acme/small-1b", loaded=False)])
    server = martlet(fake, kind="lmstudio")
    del fake.catalogue["acme/small-1b"]
    reply = server.ask("POST", "/v1/responses", chat.dumps({"model": "acme/small-1b", "input": "hello", "stream": stream}))
    assert reply.status == 404
    assert f'LM Studio has "{KEY}" loaded' in reply.json["error"]["message"]
