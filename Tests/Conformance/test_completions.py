"""Legacy Completions: relayed where the upstream has the route, in both modes, and as a conversation where it has none."""

import openai
import pytest

from support import chat, engine
from support.answer import Answer, Text, Thinking

PROMPT = chat.PROMPT


def choice(text, finish=None, index=0, **more):
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish} | more


def whole(*choices, usage=(3, 4)):
    """A whole reply of an upstream."""
    return {"id": "cmpl-up", "object": "text_completion", "created": 1767225600, "model": "m1", "choices": list(choices),
            "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}}


def stream(*choices, usage=None):
    """The events of a stream, a choice each."""
    head = {key: whole()[key] for key in ("id", "object", "created", "model")}
    events = [head | {"choices": [one]} for one in choices]
    if usage:
        events.append(head | {"choices": [], "usage": whole(usage=usage)["usage"]})
    return b"".join(map(chat.event, events)) + chat.DONE


def test_whole_reply(martlet, upstream, sdk, mode):
    source = upstream(lambda exchange: exchange.json(whole(choice(" upon a time", "length"))))
    reply = sdk(martlet(source, mode=mode)).completions.create(
        model="m1", prompt=PROMPT, max_tokens=4, temperature=0.25, seed=7)
    assert (reply.object, reply.model, reply.id) == ("text_completion", "m1", "cmpl-up")
    assert [(one.index, one.text, one.finish_reason) for one in reply.choices] == [(0, " upon a time", "length")]
    assert reply.usage.total_tokens == 7
    assert source.request.target == "/v1/completions"
    assert source.request.json == {"model": "m1", "prompt": PROMPT, "max_tokens": 4, "temperature": 0.25, "seed": 7}


def test_stream(martlet, upstream, sdk, mode):
    pieces = [" wörld", " 🐦", "\n\"quoted\" \\"]
    source = upstream(lambda exchange: exchange.stream(stream(*map(choice, pieces), choice("", "stop")), cut=53))
    chunks = list(sdk(martlet(source, mode=mode)).completions.create(model="m1", prompt=PROMPT, stream=True))
    assert [one.choices[0].text for one in chunks if one.choices[0].text] == pieces
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {(one.id, one.object, one.model) for one in chunks} == {("cmpl-up", "text_completion", "m1")}
    assert all(one.usage is None for one in chunks), "usage was not asked for"


def test_usage_of_a_stream(martlet, upstream, sdk, mode):
    source = upstream(lambda exchange: exchange.stream(stream(choice("a"), choice("", "stop"), usage=(9, 2))))
    chunks = list(sdk(martlet(source, mode=mode)).completions.create(
        model="m1", prompt=PROMPT, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 11


def test_the_name_the_client_uses_comes_back(martlet, upstream, sdk):
    source = upstream(lambda exchange: exchange.json(whole(choice("a", "stop"))))
    server = martlet(source, "--alias", "davinci=m1")
    assert sdk(server).completions.create(model="davinci", prompt=PROMPT).model == "davinci"
    assert source.request.json["model"] == "m1"


def test_prompts_tokens_and_the_rest_go_through(martlet, upstream, sdk, mode):
    source = upstream(lambda exchange: exchange.json(whole(choice("a", "stop"), choice("b", "length", 1))))
    asked = {"prompt": [[1, 2], [3]], "n": 2, "best_of": 3, "echo": True, "logprobs": 2, "suffix": "!",
             "logit_bias": {"50256": -100}, "stop": ["x", "y"], "user": "u"}
    reply = sdk(martlet(source, mode=mode)).completions.create(model="m1", **asked)
    assert [one.index for one in reply.choices] == [0, 1]
    assert source.request.json == {"model": "m1"} | asked


@pytest.mark.parametrize("kind, asked, member", [
    ("lmstudio", {"echo": True}, "echo"), ("lmstudio", {"prompt": ["a", "b"]}, "prompt"), ("llamacpp", {"echo": True}, "echo"),
    ("llamacpp", {"suffix": "x"}, "suffix"), ("llamacpp", {"best_of": 2}, "best_of"), ("ollama", {"prompt": [1, 2]}, "prompt"),
    ("anthropic", {"echo": True}, "echo"), ("anthropic", {"prompt": [1, 2]}, "prompt"), ("anthropic", {"suffix": "x"}, "suffix"),
    ("anthropic", {"logprobs": 1}, "logprobs"), ("anthropic", {"n": 2}, "n"),
])
def test_what_a_server_would_leave_out_in_silence_is_refused_by_name(martlet, upstream, sdk, kind, asked, member):
    source = upstream()
    with pytest.raises(openai.BadRequestError) as caught:
        sdk(martlet(source, kind=kind, wait=kind != "lmstudio")).completions.create(**{"model": "m1", "prompt": PROMPT} | asked)
    assert (caught.value.param, caught.value.code) == (member, "unsupported_parameter")
    assert member in caught.value.message
    assert [one for one in source.requests if one.target.startswith("/v1/")] == [], "Ollama is asked about its models"


def test_members_that_ask_for_nothing_are_no_hindrance(martlet, upstream, sdk):
    source = upstream(lambda exchange: exchange.json(whole(choice("a", "stop"))))
    sdk(martlet(source, kind="llamacpp")).completions.create(
        model="m1", prompt=PROMPT, best_of=1, echo=False, n=1, extra_body={"suffix": None})
    assert source.request.json == {"model": "m1", "prompt": PROMPT, "n": 1}


@pytest.mark.parametrize("streams", [False, True])
def test_an_anthropic_upstream_hears_one_user_message(martlet, upstream, sdk, streams):
    answer = Answer([Thinking("hm"), Text(f"Hello, {chat.ANSWER}!")], end="length")
    source = upstream(answer.script("anthropic"))
    client = sdk(martlet(source, kind="anthropic"))
    got = client.completions.with_raw_response.create(
        model="m1", prompt=PROMPT, max_tokens=9, temperature=0.5, seed=1, presence_penalty=1, stop="x", stream=streams)
    assert got.headers["x-translation-dropped"] == "seed, presence_penalty"
    if streams:
        chunks = list(got.parse())
        assert {one.object for one in chunks} == {"text_completion"} and {one.model for one in chunks} == {"m1"}
        text, finish = "".join(one.choices[0].text for one in chunks), chunks[-1].choices[0].finish_reason
    else:
        reply = got.parse()
        assert reply.usage.total_tokens == 13
        text, finish = reply.choices[0].text, reply.choices[0].finish_reason
    assert (text, finish) == (f"Hello, {chat.ANSWER}!", "length")
    sent = source.request.json
    sent.pop("stream", None)
    assert source.request.target == "/v1/messages"
    assert sent == {"model": "m1", "max_tokens": 9, "temperature": 0.5, "stop_sequences": ["x"],
                    "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]}


def test_an_early_end_is_an_error_and_no_short_answer(martlet, upstream, sdk, mode):
    def script(exchange):
        exchange.stream_head()
        exchange.chunked(stream(choice("a"), choice("b"))[:-len(chat.DONE)])
        exchange.end_chunks()

    with pytest.raises(openai.APIError):
        list(sdk(martlet(upstream(script), mode=mode)).completions.create(model="m1", prompt=PROMPT, stream=True))


def test_an_upstream_that_is_busy_is_asked_again(martlet, upstream, sdk):
    source = upstream([
        lambda exchange: exchange.json({"error": {"message": "busy"}}, 503, "Busy"),
        lambda exchange: exchange.json(whole(choice("a", "stop"))),
    ])
    assert sdk(martlet(source)).completions.create(model="m1", prompt=PROMPT).choices[0].text == "a"
    assert len(source.requests) == 2


def test_the_real_engine_continues_a_text(local, sdk):
    client = sdk(local(), timeout=120)
    reply = client.completions.create(model=engine.MODEL, prompt="The cat", max_tokens=6)
    assert reply.choices[0].text and reply.model == engine.MODEL and reply.usage.completion_tokens > 0
    two = client.completions.create(model=engine.MODEL, prompt=["The cat", "The dog"], max_tokens=3, logprobs=1)
    assert [one.index for one in two.choices] == [0, 1]
    lists = two.choices[0].logprobs
    assert len(lists.tokens) == len(lists.token_logprobs) == len(lists.top_logprobs) == len(lists.text_offset) > 0
    chunks = list(client.completions.create(model=engine.MODEL, prompt="The cat", max_tokens=6, stream=True))
    assert "".join(one.choices[0].text for one in chunks)
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")
    assert all(one.usage is None for one in chunks), "llama-server gives it unasked"
