"""Both client dialects before all upstream dialects, streamed and not: what the SDK decodes, and the whole body that went up."""

import json

import pytest

from support import chat
from support.answer import ENDS, SIGNATURE, Answer, Call, Text
from support.cases import CASES
from support.cases_responses import RESPONSES
from support.heard import ask_chat, ask_messages
from support.matrix import CLIENTS, KINDS, PATHS, script, spoken


def request_of(asked):
    """The body that an SDK makes of its arguments."""
    asked = dict(asked)
    return asked | asked.pop("extra_body", {})


def relayed(body, kind):
    """What a relay in `repair` mode says otherwise: roles and choices that servers of these kinds do not know."""
    if kind == "openai-compatible":
        roles = {"developer": "system"}
        body["messages"] = [one | {"role": roles.get(one["role"], one["role"])} for one in body["messages"]]
    if kind in ("openai-compatible", "llamacpp") and isinstance(choice := body.get("tool_choice"), dict):
        body["tools"] = [tool for tool in body["tools"] if tool["function"] == tool["function"] | choice["function"]]
        body["tool_choice"] = "required"
    return body


def expected_body(name, client, kind, stream):
    """The whole body that the upstream has to get."""
    body = {"model": chat.MODEL}
    dialect = spoken(kind, client)
    if dialect == client:
        body |= relayed(request_of(CASES[name].asked[client]), kind)
    else:
        body |= RESPONSES[name] if dialect == "responses" else CASES[name].sent[kind]
    # A llama.cpp notices in a stream that tells of its progress that nobody is there any more, and in no other reply.
    watched = kind == "llamacpp" and (stream or client == "messages")
    if stream or watched:
        body["stream"] = True
        if dialect == "chat":
            body["stream_options"] = {"include_usage": True}
        if watched:
            body["return_progress"] = True
    return body


def same_parts(heard, said, spelled):
    """Whether the parts are those of the answer; arguments to the letter where the dialect carries them as text."""
    def form(part):
        value = part if spelled or not isinstance(part, Call) else part._replace(arguments=json.loads(part.arguments))
        return type(part), value

    return [form(part) for part in heard] == [form(part) for part in said]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", CASES)
def test_case(matrix, name, client, kind, stream):
    case, model, dialect = CASES[name], f"{kind}/{chat.MODEL}", spoken(kind, client)
    source = matrix.play(kind, script(case.answer, dialect))
    ask = ask_chat if client == "chat" else ask_messages
    heard = ask(matrix.client(client), model, case.asked[client], stream)

    assert source.request.json == expected_body(name, client, kind, stream)
    assert source.request.target == PATHS[dialect]
    assert chat.CLIENT_KEY.encode() not in source.request.head

    said = case.answer
    assert same_parts(heard.parts, said.parts, spelled=client == "chat")
    assert heard.model == model
    assert heard.id.startswith("chatcmpl-" if client == "chat" else "msg_")
    knows_stop = dialect == "messages"
    end = "end" if said.end == "stop" and client == "messages" and not knows_stop else said.end
    assert heard.end == ENDS[end][client == "messages"]
    if client == "messages":
        assert heard.stop == (said.stop if knows_stop else None)
        for signature in heard.signatures:
            assert signature == SIGNATURE if knows_stop else signature.startswith("gw1.")
    assert heard.usage == said.usage


def test_every_case_is_told_what_was_dropped(matrix):
    """The header names it; where nothing is dropped there is no header."""
    for name, case in CASES.items():
        for kind in KINDS:
            client = "chat" if kind == "anthropic" else "messages"
            matrix.play(kind, script(case.answer, spoken(kind, client)))
            body = chat.dumps(request_of(case.asked[client]) | {"model": f"{kind}/{chat.MODEL}"})
            target = "/v1/chat/completions" if client == "chat" else "/v1/messages"
            reply = matrix.server.ask("POST", target, body)
            assert reply.status == 200, (name, kind, reply.body)
            assert reply.headers.get("x-translation-dropped") == case.dropped.get(kind), (name, kind)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_refusal_in_a_field_of_its_own(matrix, stream):
    """OpenAI's models refuse so in Chat; for an Anthropic client it is text, and the reason to stop."""
    whole = chat.completion(None)
    whole["choices"][0]["message"]["refusal"] = "I cannot"
    chunks = [chat.chunk({"role": "assistant", "content": ""}), chat.chunk({"refusal": "I can"}), chat.chunk({"refusal": "not"}),
              chat.chunk({}, "stop")]
    matrix.play("openai-compatible", lambda exchange: exchange.stream(b"".join(map(chat.event, chunks)) + chat.DONE) if stream
                else exchange.json(whole))
    heard = ask_messages(matrix.messages, "openai-compatible/m1", {"messages": chat.MESSAGES, "max_tokens": 9}, stream)
    assert (heard.parts, heard.end) == (["I cannot"], "refusal")


@pytest.mark.parametrize("client", CLIENTS)
def test_progress_that_nobody_asked_for_is_a_sign_of_life(matrix, client):
    """llama.cpp tells how far it has read the prompt: no client sees chunks of that, but that somebody is at work."""
    steps = [chat.chunk({"role": "assistant", "content": None}, prompt_progress={
        "total": 600, "cache": 0, "processed": done, "time_ms": 9}) for done in (256, 512, 600)]
    said = b"".join(map(chat.event, steps)) + Answer([Text("Hi")]).chat_stream()
    matrix.play("llamacpp", lambda exchange: exchange.stream(said))
    ask = ask_chat if client == "chat" else ask_messages
    heard = ask(matrix.client(client), "llamacpp/m1", {"messages": chat.MESSAGES, "max_tokens": 9}, True)
    assert heard.parts == ["Hi"]
    target, sign = ("/v1/chat/completions", b": keepalive\n\n") if client == "chat" else ("/v1/messages", b"event: ping\n")
    body = {"model": "llamacpp/m1", "messages": chat.MESSAGES, "max_tokens": 9, "stream": True}
    reply = matrix.server.ask("POST", target, chat.dumps(body))
    assert reply.body.count(sign) >= 3 and b"prompt_progress" not in reply.body
    if client == "chat":
        reply = matrix.server.ask("POST", target, chat.dumps(body | {"return_progress": True}))
        assert reply.body.count(b'"prompt_progress"') == 3, "whoever asks gets it"
