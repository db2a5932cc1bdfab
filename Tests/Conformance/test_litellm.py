"""litellm through Martlet, by each of its providers that fit: what it decodes, and the body that the upstream got.

Nothing here may look up a name: litellm would read a table of prices from the network.
"""

import base64
import json
import os
import socket
import struct

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}

import litellm
import pytest
from pydantic import BaseModel

from support import chat, engine
from support.answer import Answer, Call, Text, Thinking, Usage
from support.matrix import KINDS, script, spoken

litellm.suppress_debug_info = True
# Provider -> what it wants behind the address of the server. The last one asks for Messages, the others for Chat.
PROVIDERS = {"lm_studio": "/v1", "openai": "/v1", "hosted_vllm": "/v1", "anthropic": ""}
UPSTREAMS = ("openai-compatible", "llamacpp", "anthropic")
HELLO = Answer([Text("Hello, you!")], usage=Usage(9, 4, cached=3))
OSLO = Call("call_1", "weather", '{"place": "Oslo"}')
PARIS = Call("call_2", "weather", '{"place": "Paris"}')
PARAMETERS = chat.WEATHER["function"]["parameters"]


@pytest.fixture(autouse=True)
def no_names(monkeypatch):
    """Only addresses of this machine are looked up."""
    real = socket.getaddrinfo

    def look_up(host, *arguments, **options):
        assert host in ("127.0.0.1", "localhost", None), f"litellm looks up {host}"
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture
def complete(matrix):
    """`complete(provider, kind, answer, streams, …)`: the whole reply, put together by litellm where it was streamed; and the
    upstream."""
    def make(provider, kind, answer, streams=False, messages=None, **options):
        source = matrix.play(kind, answer if callable(answer) else script(answer, spoken(kind, "chat")))
        if streams:
            options |= {"stream": True, "stream_options": {"include_usage": True}}
        reply = litellm.completion(
            model=f"{provider}/{kind}/{chat.MODEL}", messages=messages or chat.MESSAGES, api_key=chat.CLIENT_KEY,
            api_base=matrix.server.url + PROVIDERS[provider], num_retries=0, timeout=30, **options)
        if streams:
            pieces = list(reply)
            assert len(pieces) > 2
            reply = litellm.stream_chunk_builder(pieces)
        return reply, source

    return make


def texts(kind, *turns):
    """What goes up of turns of texts."""
    if kind != "anthropic":
        return {"messages": [{"role": role, "content": text} for role, text in turns]}
    return {"system": [{"type": "text", "text": text} for role, text in turns if role == "system"],
            "messages": [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns if role != "system"]}


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", UPSTREAMS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_text(complete, provider, kind, streams):
    messages = [{"role": "system", "content": "Be brief."}, *chat.MESSAGES]
    reply, source = complete(provider, kind, HELLO, streams, messages, temperature=0.5, max_tokens=50)
    [choice] = reply.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello, you!", "stop")
    assert not choice.message.tool_calls
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (12, 4, 16)
    assert reply.usage.prompt_tokens_details.cached_tokens == 3
    sent = source.request.json
    expected = texts(kind, ("system", "Be brief."), ("user", chat.PROMPT)) | {
        "model": "m1", "temperature": 0.5, "max_tokens": 50}
    assert {key: sent.get(key) for key in expected} == expected
    assert chat.CLIENT_KEY.encode() not in source.request.head


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", UPSTREAMS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_tools(complete, provider, kind, streams):
    """Two calls at once behind a text, then their results."""
    first, source = complete(
        provider, kind, Answer([Text("I look."), OSLO, PARIS], "calls"), streams, tools=[chat.WEATHER], tool_choice="required")
    [choice] = first.choices
    assert (choice.message.content, choice.finish_reason) == ("I look.", "tool_calls")
    assert [(call.id, call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls] == [
        ("call_1", "weather", {"place": "Oslo"}), ("call_2", "weather", {"place": "Paris"})]
    sent = source.request.json
    if kind == "anthropic":
        [tool] = sent["tools"]
        assert (tool["name"], tool["input_schema"], sent["tool_choice"]) == ("weather", PARAMETERS, {"type": "any"})
    else:
        assert sent["tools"] == [chat.WEATHER] and sent["tool_choice"] == "required"

    history = [*chat.MESSAGES, choice.message.model_dump(),
               {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
               {"role": "tool", "tool_call_id": "call_2", "content": "rain"}]
    second, source = complete(provider, kind, HELLO, streams, history, tools=[chat.WEATHER])
    assert second.choices[0].message.content == "Hello, you!"
    told = source.request.json["messages"]
    if kind == "anthropic":
        assert [block["type"] for block in told[1]["content"]] == ["text", "tool_use", "tool_use"]
        assert [(block["tool_use_id"], _text(block["content"])) for block in told[2]["content"]] == [
            ("call_1", "sun"), ("call_2", "rain")]
    else:
        assert [call["id"] for call in told[1]["tool_calls"]] == ["call_1", "call_2"]
        assert [(message["tool_call_id"], message["content"]) for message in told[2:]] == [("call_1", "sun"), ("call_2", "rain")]


def _text(content):
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


class Place(BaseModel):
    """A town."""

    name: str
    people: int


@pytest.mark.parametrize("kind", UPSTREAMS)
@pytest.mark.parametrize("provider", ["lm_studio", "openai", "hosted_vllm"])
def test_structured_output(complete, provider, kind):
    reply, source = complete(provider, kind, Answer([Text('{"name": "Oslo", "people": 700000}')]), response_format=Place)
    assert Place.model_validate_json(reply.choices[0].message.content) == Place(name="Oslo", people=700000)
    sent = source.request.json
    form = sent["output_config"]["format"] if kind == "anthropic" else sent["response_format"]["json_schema"]
    assert list(form["schema"]["properties"]) == ["name", "people"]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", UPSTREAMS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_reasoning(complete, provider, kind, streams):
    reply, _ = complete(provider, kind, Answer([Thinking("hm, hm"), Text("So.")]), streams)
    [choice] = reply.choices
    assert (choice.message.reasoning_content, choice.message.content) == ("hm, hm", "So.")


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", UPSTREAMS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_limit_is_told(complete, provider, kind, streams):
    """Its users go on, or report, where a reply was cut."""
    reply, _ = complete(provider, kind, Answer([Text("It was a dark")], "length"), streams, max_tokens=7)
    assert reply.choices[0].finish_reason == "length"


@pytest.mark.parametrize("kind", UPSTREAMS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_image(complete, provider, kind):
    picture = "iVBORw0KGgo="
    url = f"data:image/png;base64,{picture}"
    reply, source = complete(provider, kind, HELLO, messages=[{"role": "user", "content": [
        {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]}])
    assert reply.choices[0].message.content == "Hello, you!"
    part = source.request.json["messages"][0]["content"][1]
    if kind == "anthropic":
        assert part["source"] == {"type": "base64", "media_type": "image/png", "data": picture}
    else:
        assert part["image_url"]["url"] == url


@pytest.mark.parametrize("kind", UPSTREAMS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_failures_have_their_class(complete, matrix, provider, kind):
    """An agent cuts its history short for one, waits for another, and gives up for a third."""
    def fails(status, message, kind_):
        error = {"message": message, "type": kind_, "code": None, "param": None}
        return lambda exchange: exchange.json({"type": "error", "error": error}, status, "No")

    long = "This model's maximum context length is 100 tokens. However, your messages resulted in 200 tokens."
    if kind == "anthropic":
        long = "prompt is too long: 200 tokens > 100 maximum"
    with pytest.raises(litellm.ContextWindowExceededError):
        complete(provider, kind, fails(400, long, "invalid_request_error"))
    with pytest.raises(litellm.RateLimitError):
        complete(provider, kind, fails(429, "slow down", "rate_limit_error"))
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(
            model=f"{provider}/nobody-lists-this", messages=chat.MESSAGES, api_key=chat.CLIENT_KEY, num_retries=0,
            api_base=matrix.server.url + PROVIDERS[provider])


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_responses(matrix, kind, streams):
    """`litellm.responses` asks for Responses by the provider `openai`; the second turn continues the first."""
    answer = Answer([OSLO], "calls")
    source = matrix.play(kind, script(answer, spoken(kind, "responses")))
    options = {"model": f"openai/{kind}/{chat.MODEL}", "api_base": f"{matrix.server.url}/v1", "api_key": chat.CLIENT_KEY,
               "stream": streams, "num_retries": 0, "tools": [{
                   "type": "function", "name": "weather", "description": "The weather.", "parameters": PARAMETERS,
                   "strict": False}]}

    def ask(**more):
        reply = litellm.responses(**options, **more)
        if not streams:
            return reply
        *_, last = reply
        assert last.type == "response.completed"
        return last.response

    first = ask(input=chat.PROMPT)
    [call] = first.output
    assert (call.type, call.call_id, call.name, json.loads(call.arguments)) == (
        "function_call", "call_1", "weather", {"place": "Oslo"})
    assert (first.usage.input_tokens, first.usage.output_tokens) == (9, 4)
    if kind == "openai":
        assert source.request.target == "/v1/responses" and chat.PROMPT in source.request.body.decode()
        return
    source = matrix.play(kind, script(HELLO, spoken(kind, "responses")))
    second = ask(previous_response_id=first.id, input=[
        {"type": "function_call_output", "call_id": "call_1", "output": "sun"}])
    assert second.output[0].content[0].text == "Hello, you!"
    assert [message["role"] for message in source.request.json["messages"]] == (
        ["user", "assistant", "user"] if kind == "anthropic" else ["user", "assistant", "tool"])


@pytest.mark.parametrize("form", [None, "float", "base64"])
@pytest.mark.parametrize("kind", ["openai-compatible", "llamacpp"])
@pytest.mark.parametrize("provider", ["lm_studio", "openai", "hosted_vllm"])
def test_embeddings(matrix, provider, kind, form):
    """In the form that was asked for, from upstreams that know floats only. To LM Studio it says nothing of a form."""
    source = matrix.play(kind, lambda exchange: exchange.json({
        "object": "list", "model": "m1", "usage": {"prompt_tokens": 3, "total_tokens": 3},
        "data": [{"object": "embedding", "index": place, "embedding": [0.5, float(place)]} for place in range(2)]}))
    more = {"encoding_format": form} if form and provider != "lm_studio" else {}
    reply = litellm.embedding(
        model=f"{provider}/{kind}/{chat.MODEL}", input=["a", "b"], api_base=f"{matrix.server.url}/v1", api_key=chat.CLIENT_KEY,
        **more)
    vectors = [one["embedding"] for one in reply.data]
    if more.get("encoding_format") == "base64":
        vectors = [list(struct.unpack("<2f", base64.b64decode(vector))) for vector in vectors]
    assert vectors == [[0.5, 0.0], [0.5, 1.0]] and reply.usage.prompt_tokens == 3
    assert source.request.target == "/v1/embeddings" and source.request.json["input"] == ["a", "b"]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_engine(tiny, provider, streams):
    reply = litellm.completion(
        model=f"{provider}/{engine.MODEL}", messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[chat.WEATHER], tool_choice="required", max_tokens=300, stream=streams, api_key=chat.CLIENT_KEY, num_retries=0,
        api_base=tiny.url + PROVIDERS[provider], timeout=120)
    if streams:
        reply = litellm.stream_chunk_builder(list(reply))
    call = reply.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and isinstance(json.loads(call.function.arguments)["place"], str)
    assert reply.choices[0].finish_reason == "tool_calls"
