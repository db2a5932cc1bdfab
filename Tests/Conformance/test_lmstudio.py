"""The stand-in for LM Studio keeps its word, quirk by quirk; and Martlet answers through it."""

import dataclasses
import json

import pytest

from fake_lmstudio import FakeLMStudio, Model, Quirks
from support import chat
from support.wire import Connection

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
