"""LangChain's `ChatOpenAI` and `OpenAIEmbeddings` through Martlet: what they decode, and the body that the upstream got."""

import importlib.util
import os
import pathlib

# The vocabulary that `OpenAIEmbeddings` cuts texts by is among litellm's files; else it would be read from the network.
os.environ |= {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "TIKTOKEN_CACHE_DIR": str(
    pathlib.Path(importlib.util.find_spec("litellm").origin).parent / "litellm_core_utils/tokenizers")}

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from support import chat, engine
from support.answer import Answer, Call, Text, Thinking, Usage
from support.matrix import KINDS, script, spoken

TRANSLATED = ("openai-compatible", "llamacpp", "anthropic")
OSLO = Call("call_1", "weather", '{"place": "Oslo"}')
PARIS = Call("call_2", "weather", '{"place": "Paris"}')
HELLO = Answer([Text("Hello, you!")], usage=Usage(9, 4, cached=3))


class Place(BaseModel):
    """A town."""

    name: str
    people: int


WEATHER = {"title": "weather", "description": "The weather at a place.", "type": "object",
           "properties": {"place": {"type": "string"}}, "required": ["place"]}


@pytest.fixture
def model(matrix):
    """`model(kind, answer, **options)`: a chat model before that kind of upstream, and the upstream."""
    def make(kind, answer, **options):
        client = "responses" if options.get("use_responses_api") else "chat"
        source = matrix.play(kind, script(answer, spoken(kind, client)))
        return ChatOpenAI(model=f"{kind}/{chat.MODEL}", base_url=f"{matrix.server.url}/v1", api_key=chat.CLIENT_KEY,
                          max_retries=0, timeout=30, **options), source

    return make


def invoke(asks, messages, streams):
    """The whole message, or the sum of a stream's pieces."""
    if not streams:
        return asks.invoke(messages)
    pieces = list(asks.stream(messages))
    assert len(pieces) > 1
    total = pieces[0]
    for piece in pieces[1:]:
        total += piece
    return total


def shared(sent):
    """A body without what differs between kinds of upstreams: how a stream is asked for, and how calls in parallel are."""
    return {key: value for key, value in sent.items() if key not in (
        "stream", "stream_options", "return_progress", "parallel_tool_calls")}


def chat_messages(kind, *turns):
    """Turns of texts as the upstream has to get them."""
    if kind != "anthropic":
        return {"messages": [{"role": role, "content": text} for role, text in turns]}
    system = [{"type": "text", "text": text} for role, text in turns if role == "system"]
    messages = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns if role != "system"]
    return {"messages": messages, "max_tokens": 4096} | ({"system": system} if system else {})


def tools(kind):
    if kind != "anthropic":
        return [{"type": "function", "function": {
            "name": "weather", "description": WEATHER["description"],
            "parameters": {key: WEATHER[key] for key in ("type", "properties", "required")}}}]
    return [{"name": "weather", "description": WEATHER["description"],
             "input_schema": {key: WEATHER[key] for key in ("type", "properties", "required")}}]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_text(model, kind, streams):
    asks, source = model(kind, HELLO, temperature=0.5, stream_usage=True)
    reply = invoke(asks, [SystemMessage("Be brief."), HumanMessage(chat.PROMPT)], streams)
    assert reply.content == "Hello, you!"
    assert reply.response_metadata["finish_reason"] == "stop"
    assert reply.usage_metadata["input_tokens"] == 12 and reply.usage_metadata["output_tokens"] == 4
    assert reply.usage_metadata["input_token_details"]["cache_read"] == 3
    assert reply.response_metadata["model_name"] == f"{kind}/m1"
    assert shared(source.request.json) == {"model": "m1", "temperature": 0.5} | chat_messages(
        kind, ("system", "Be brief."), ("user", chat.PROMPT))
    assert chat.CLIENT_KEY.encode() not in source.request.head


@pytest.mark.parametrize("kind", TRANSLATED)
def test_a_stream_without_usage_has_none(model, kind):
    """To an address of one's own it does not ask for usage, and sums up every chunk that comes."""
    asks, _ = model(kind, HELLO)
    reply = invoke(asks, chat.PROMPT, True)
    assert reply.content == "Hello, you!" and reply.usage_metadata is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_limit_under_its_newer_name(model, kind):
    """It says `max_completion_tokens`, which most local servers do not know: their output would be without limit."""
    asks, source = model(kind, Answer([Text("cut")], "length"), max_tokens=77)
    assert asks.invoke(chat.PROMPT).response_metadata["finish_reason"] == "length"
    assert source.request.json.get("max_completion_tokens" if kind == "openai" else "max_tokens") == 77


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_tools(model, kind, streams):
    """Two calls at once, then their results."""
    asks, source = model(kind, Answer([Text("I look."), OSLO, PARIS], "calls"))
    bound = asks.bind_tools([WEATHER], tool_choice="any")
    first = invoke(bound, chat.PROMPT, streams)
    assert first.content == "I look."
    assert [(call["name"], call["args"], call["id"]) for call in first.tool_calls] == [
        ("weather", {"place": "Oslo"}, "call_1"), ("weather", {"place": "Paris"}, "call_2")]
    assert not first.invalid_tool_calls
    sent = source.request.json
    assert sent["tools"] == tools(kind)
    assert sent["tool_choice"] == ({"type": "any"} if kind == "anthropic" else "required")

    asks, source = model(kind, HELLO)
    history = [HumanMessage(chat.PROMPT), AIMessage(first.content, tool_calls=first.tool_calls),
               ToolMessage("sun", tool_call_id="call_1"), ToolMessage("rain", tool_call_id="call_2")]
    assert invoke(asks.bind_tools([WEATHER]), history, streams).content == "Hello, you!"
    told = source.request.json["messages"]
    if kind == "anthropic":
        assert [block["type"] for block in told[1]["content"]] == ["text", "tool_use", "tool_use"]
        assert [(block["type"], block["tool_use_id"], block["content"]) for block in told[2]["content"]] == [
            ("tool_result", "call_1", "sun"), ("tool_result", "call_2", "rain")]
    else:
        assert [call["id"] for call in told[1]["tool_calls"]] == ["call_1", "call_2"]
        assert [(message["tool_call_id"], message["content"]) for message in told[2:]] == [("call_1", "sun"), ("call_2", "rain")]


@pytest.mark.parametrize("kind", KINDS)
def test_structured_output_by_a_schema(model, kind):
    asks, source = model(kind, Answer([Text('{"name": "Oslo", "people": 700000}')]))
    assert asks.with_structured_output(Place, method="json_schema").invoke("Where?") == Place(name="Oslo", people=700000)
    sent = source.request.json
    given = sent["output_config"]["format"] if kind == "anthropic" else sent["response_format"]["json_schema"]
    assert list(given["schema"]["properties"]) == ["name", "people"] and given["schema"]["additionalProperties"] is False
    if kind != "anthropic":
        assert (sent["response_format"]["type"], given["name"]) == ("json_schema", "Place")


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_structured_output_by_a_function(model, kind, streams):
    asks, source = model(kind, Answer([Call("call_1", "Place", '{"name":"Oslo","people":700000}')], "calls"))
    structured = asks.with_structured_output(Place, method="function_calling")
    place = list(structured.stream("Where?"))[-1] if streams else structured.invoke("Where?")
    assert place == Place(name="Oslo", people=700000)
    sent = source.request.json
    if kind == "anthropic":
        assert sent["tool_choice"] == {"type": "tool", "name": "Place", "disable_parallel_tool_use": True}
        assert [tool["name"] for tool in sent["tools"]] == ["Place"]
    else:
        named = {"type": "function", "function": {"name": "Place"}}
        assert sent["tool_choice"] == (named if kind == "openai" else "required"), "words that the kind knows"
        assert [tool["function"]["name"] for tool in sent["tools"]] == ["Place"] and sent["parallel_tool_calls"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_structured_output_by_json_mode(model, kind):
    asks, source = model(kind, Answer([Text('{"name": "Oslo", "people": 700000}')]))
    structured = asks.with_structured_output(Place, method="json_mode")
    assert structured.invoke("As JSON with name and people: where?") == Place(name="Oslo", people=700000)
    sent = source.request.json
    if kind == "anthropic":
        assert "JSON" in sent["system"][-1]["text"], "it has no such mode, and is asked for it"
    else:
        assert sent["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_responses_api(model, kind, streams):
    """The same through `/v1/responses`: a text behind reasoning, then what continues it by its id."""
    answer = Answer([Thinking("hm"), Text("Hello, you!")], usage=Usage(9, 4, cached=3, thinking=2))
    asks, source = model(kind, answer, use_responses_api=True, reasoning={"effort": "low", "summary": "auto"},
                         output_version="responses/v1")
    first = invoke(asks, [SystemMessage("Be brief."), HumanMessage(chat.PROMPT)], streams)
    assert [part["type"] for part in first.content] == ["reasoning", "text"]
    assert "".join(part["text"] for part in first.content[0]["summary"]) == "hm"
    assert first.text == "Hello, you!"
    assert (first.usage_metadata["input_tokens"], first.usage_metadata["output_tokens"]) == (12, 4)
    assert first.usage_metadata["input_token_details"]["cache_read"] == 3
    assert first.response_metadata["status"] == "completed"
    sent = source.request.json
    if kind == "openai":
        assert source.request.target == "/v1/responses"
        assert sent["reasoning"] == {"effort": "low", "summary": "auto"} and sent["input"][1]["content"] == chat.PROMPT
        return
    texts = chat_messages(kind, ("system", "Be brief."), ("user", chat.PROMPT))
    assert {key: sent[key] for key in texts if key != "max_tokens"} == {
        key: value for key, value in texts.items() if key != "max_tokens"}

    asks, source = model(kind, HELLO, use_responses_api=True)
    identity = first.response_metadata["id"]
    assert identity.startswith("resp_")
    second = invoke(asks.bind(previous_response_id=identity), [HumanMessage("And?")], streams)
    assert second.text == "Hello, you!"
    assert [message["role"] for message in source.request.json["messages"]] == (
        ["user", "assistant", "user"] if kind == "anthropic" else ["system", "user", "assistant", "user"])


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_tools_by_the_responses_api(model, kind, streams):
    asks, source = model(kind, Answer([OSLO, PARIS], "calls"), use_responses_api=True)
    first = invoke(asks.bind_tools([WEATHER]), chat.PROMPT, streams)
    assert [(call["name"], call["args"], call["id"]) for call in first.tool_calls] == [
        ("weather", {"place": "Oslo"}, "call_1"), ("weather", {"place": "Paris"}, "call_2")]
    if kind == "openai":
        return
    assert source.request.json["tools"] == tools(kind)
    asks, source = model(kind, HELLO, use_responses_api=True)
    history = [HumanMessage(chat.PROMPT), first, ToolMessage("sun", tool_call_id="call_1"),
               ToolMessage("rain", tool_call_id="call_2")]
    assert invoke(asks.bind_tools([WEATHER]), history, streams).text == "Hello, you!"
    assert len(source.request.json["messages"]) == (3 if kind == "anthropic" else 4)


@pytest.mark.parametrize("kind", KINDS)
def test_structured_output_by_the_responses_api(model, kind):
    asks, source = model(kind, Answer([Text('{"name": "Oslo", "people": 700000}')]), use_responses_api=True)
    assert asks.with_structured_output(Place).invoke("Where?") == Place(name="Oslo", people=700000)
    sent = source.request.json
    given = sent["text"]["format"] if kind == "openai" else sent["output_config"]["format"] if kind == "anthropic" \
        else sent["response_format"]["json_schema"]
    assert list(given["schema"]["properties"]) == ["name", "people"]


@pytest.mark.parametrize("kind", TRANSLATED)
def test_an_image(model, kind):
    url = "data:image/png;base64,iVBORw0KGgo="
    asks, source = model(kind, HELLO)
    reply = asks.invoke([HumanMessage([{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}])])
    assert reply.content == "Hello, you!"
    part = source.request.json["messages"][0]["content"][1]
    assert part == ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
                    if kind == "anthropic" else {"type": "image_url", "image_url": {"url": url}})


@pytest.mark.parametrize("kind", TRANSLATED)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_an_upstreams_failure_is_an_exception(model, matrix, kind, streams):
    asks, source = model(kind, HELLO)
    source.script = lambda exchange: exchange.json({"error": {"message": "broken", "type": "server_error"}}, 500, "Oh")
    with pytest.raises(openai.APIError, match="broken"):
        invoke(asks, chat.PROMPT, streams)


def vectors(exchange):
    """As many as texts, each (its place, 0.5), always as floats."""
    given = exchange.request.json["input"]
    exchange.json({"object": "list", "model": chat.MODEL, "usage": {"prompt_tokens": 3, "total_tokens": 3}, "data": [
        {"object": "embedding", "index": place, "embedding": [float(place), 0.5]} for place in range(len(given))]})


@pytest.mark.parametrize("kind", ["openai-compatible", "llamacpp", "openai"])
def test_embeddings_of_texts(matrix, kind):
    source = matrix.play(kind, vectors)
    asks = OpenAIEmbeddings(model=f"{kind}/{chat.MODEL}", base_url=f"{matrix.server.url}/v1", api_key=chat.CLIENT_KEY,
                            max_retries=0, check_embedding_ctx_length=False)
    assert asks.embed_documents(["a", "b", "c"]) == [[0.0, 0.5], [1.0, 0.5], [2.0, 0.5]]
    assert source.request.target == "/v1/embeddings" and source.request.json["input"] == ["a", "b", "c"]


def test_embeddings_of_tokens(matrix):
    """It sends tokens of OpenAI's vocabulary unless it is told not to: where a server takes tokens they go up, else the
    reason is told.
    """
    source = matrix.play("llamacpp", vectors)
    options = {"base_url": f"{matrix.server.url}/v1", "api_key": chat.CLIENT_KEY, "max_retries": 0}
    assert OpenAIEmbeddings(model=f"llamacpp/{chat.MODEL}", **options).embed_documents(["hello world", "b"]) == [
        [0.0, 0.5], [1.0, 0.5]]
    assert source.request.json["input"] == [[15339, 1917], [65]]


@pytest.mark.parametrize("by_responses", [False, True], ids=["chat", "responses"])
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_the_engine(tiny, streams, by_responses):
    """A tiny model that talks nonsense, but calls a tool when it has to, and fits a schema."""
    asks = ChatOpenAI(model=engine.MODEL, base_url=f"{tiny.url}/v1", api_key=chat.CLIENT_KEY, max_retries=0, timeout=120,
                      max_tokens=300, use_responses_api=by_responses, stream_usage=True)
    called = invoke(asks.bind_tools([WEATHER], tool_choice="any"), "What is the weather in Paris?", streams)
    [call, *_] = called.tool_calls
    assert call["name"] == "weather" and isinstance(call["args"]["place"], str)
    assert called.usage_metadata["output_tokens"] > 3
    answered = invoke(asks, [HumanMessage("What is the weather in Paris?"), called,
                             *(ToolMessage("sun", tool_call_id=call["id"]) for call in called.tool_calls)], streams)
    assert answered.text

    class Weather(BaseModel):
        """What it is like."""

        rain: bool

    assert asks.with_structured_output(Weather).invoke("Does it rain?").rain in (True, False)
