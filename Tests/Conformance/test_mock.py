"""The mock upstream through every client dialect: it answers from the request alone, at the pace it is told."""

import json
import time

import anthropic
import openai
import pytest

from support import chat

WORDS = ["The", " mock", " heard:", " one", " two"]


@pytest.fixture
def mock(martlet):
    """`mock("pace=20ms")`: a server whose only upstream is a mock with these settings."""
    def make(settings="", *arguments):
        return martlet(None, "--upstream", f"mock:?{settings}" if settings else "mock:", *arguments)
    return make


def anthropic_client(server):
    return anthropic.Anthropic(base_url=server.url, api_key=chat.CLIENT_KEY, max_retries=0, timeout=30)


def test_chat(mock, sdk):
    client = sdk(mock())
    messages = [{"role": "user", "content": "one two"}]
    whole = client.chat.completions.create(model="mock", messages=messages)
    assert whole.choices[0].message.content == "".join(WORDS)
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (2, 5)
    again = client.chat.completions.create(model="mock", messages=messages)
    assert again.model_dump() == whole.model_dump()
    stream = client.chat.completions.create(model="mock", messages=messages, stream=True)
    assert [piece for chunk in stream if (piece := chunk.choices[0].delta.content)] == WORDS


def test_messages(mock):
    with anthropic_client(mock()) as client:
        messages = [{"role": "user", "content": "one two"}]
        whole = client.messages.create(model="mock", max_tokens=50, messages=messages)
        assert whole.content[0].text == "".join(WORDS)
        assert (whole.stop_reason, whole.usage.output_tokens) == ("end_turn", 5)
        with client.messages.stream(model="mock", max_tokens=3, messages=messages) as stream:
            assert "".join(stream.text_stream) == "The mock heard:"
            assert stream.get_final_message().stop_reason == "max_tokens"


def test_a_tool_round_trip_in_both_dialects(mock, sdk):
    server = mock()
    asked = [{"role": "user", "content": "call a tool"}]
    call = sdk(server).chat.completions.create(model="mock", messages=asked, tools=[chat.WEATHER]).choices[0]
    assert call.finish_reason == "tool_calls"
    assert json.loads(call.message.tool_calls[0].function.arguments) == {"place": "place"}
    tool = {"name": "weather", "input_schema": chat.WEATHER["function"]["parameters"]}
    with anthropic_client(server) as client:
        first = client.messages.create(model="mock", max_tokens=50, messages=asked, tools=[tool])
        assert first.stop_reason == "tool_use"
        use = first.content[0]
        assert (use.name, use.input) == ("weather", {"place": "place"})
        asked += [{"role": "assistant", "content": [use.model_dump()]},
                  {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "rain"}]}]
        second = client.messages.create(model="mock", max_tokens=50, messages=asked, tools=[tool])
        assert second.content[0].text == "The tool said: rain"


def test_pace(mock, sdk):
    client = sdk(mock("pace=50ms&tokens=20"))
    began, times = time.monotonic(), []
    for chunk in client.chat.completions.create(
            model="mock", messages=[{"role": "user", "content": "a"}], stream=True):
        if chunk.choices[0].delta.content:
            times.append(time.monotonic() - began)
    assert len(times) == 20
    assert times[-1] - times[0] > 0.9, "the words come one by one"
    assert times[0] < 0.6, "the first does not wait for the last"


def test_an_error_of_the_mock(mock, sdk):
    with pytest.raises(openai.BadRequestError, match="n must be 1"):
        sdk(mock()).chat.completions.create(model="mock", messages=[{"role": "user", "content": "a"}], n=2)


def test_it_is_never_there_unless_it_is_named(martlet):
    server = martlet(None, "--no-discovery")
    assert server.models() == []
    assert server.chat(chat.body(model="mock")).status == 404
