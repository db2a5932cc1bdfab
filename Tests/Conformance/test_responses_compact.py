"""Conversations that are compacted, by their route and by a trigger in a request, with the official OpenAI client."""

import base64

import openai
import pytest

from support import agents, answer_responses, chat, codex, engine
from support.answer import Answer, Call, Text, Thinking
from support.asked import Result
from support.grammar_responses import USAGE, check_response, read_responses
from support.matrix import script, spoken
from support.waiting import until
from support.wire import request

ROUTE = "/v1/responses/compact"
KINDS = ("openai-compatible", "llamacpp", "anthropic")
ASKS = "Stop here and write a summary of this conversation."
SUMMARY = Answer([Thinking("what matters?"), Text("Ada counts birds: seven so far – “gulls”.")])
TOOL = {"type": "function", "name": "count", "description": "Counts birds.", "strict": False,
        "parameters": {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}}
TALK = [
    {"role": "developer", "content": "Speak of birds only."},
    {"role": "user", "content": "I am Ada. Count the gulls."},
    {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "I count."}]},
    {"type": "function_call", "call_id": "call_1", "name": "count", "arguments": '{"kind":"gull"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "seven"},
    {"role": "assistant", "content": "Seven gulls."},
    {"role": "user", "content": [{"type": "input_text", "text": "And the owls?"}]},
]
NEXT = {"role": "user", "content": "How many were it?"}
TRIGGER = {"type": "compaction_trigger"}


def told(body):
    """(role, text) of what went up to a Chat or an Anthropic upstream, neighbours of one role joined."""
    found = []
    for message in body["messages"]:
        content = message["content"] or ""
        if not isinstance(content, str):
            content = "\n\n".join(part["text"] for part in content if part["type"] == "text")
        if found and found[-1][0] == message["role"]:
            found[-1] = (message["role"], f"{found[-1][1]}\n\n{content}")
        else:
            found.append((message["role"], content))
    return found


def check_compaction(made):
    """The item at the end: opaque, and ours."""
    assert made.id.startswith("cmp_") and made.encrypted_content.startswith("gw1.")
    assert b"gulls" not in base64.b64decode(made.encrypted_content[4:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversation_is_compacted_and_goes_on(matrix, kind):
    source = matrix.play(kind, script(SUMMARY, spoken(kind, "responses")))
    model = f"{kind}/{chat.MODEL}"
    made = matrix.chat.responses.compact(model=model, input=TALK, instructions="Be brief.", extra_body={"tools": [TOOL]})
    assert made.object == "response.compaction" and made.id.startswith("resp_") and made.created_at > 1_700_000_000
    assert USAGE(made.usage.model_dump()) and made.usage.input_tokens > 0 and made.usage.output_tokens > 0
    *kept, item = made.output
    assert [(message.role, message.status, message.content[0].text) for message in kept] == [
        ("user", "completed", "I am Ada. Count the gulls."), ("user", "completed", "And the owls?")]
    check_compaction(item)

    [asked] = source.requests
    sent = asked.json
    assert told(sent)[-1][1].startswith(f"And the owls?\n\n{ASKS}")
    assert sent["max_tokens"] == 8192 and len(sent["tools"]) == 1
    assert sent["tool_choice"] == ({"type": "none"} if kind == "anthropic" else "none")
    assert ("assistant", "Seven gulls.") in told(sent)

    source = matrix.play(kind, script(Answer([Text("Seven.")]), spoken(kind, "responses")))
    reply = matrix.chat.responses.create(model=model, input=[*made.to_dict()["output"], NEXT], store=False)
    assert reply.output_text == "Seven."
    summary = "Summary of this conversation so far, in place of what was said:\n\nAda counts birds: seven so far – “gulls”."
    assert told(source.request.json) == [
        ("user", f"I am Ada. Count the gulls.\n\nAnd the owls?\n\n{summary}\n\n{NEXT['content']}")]


def test_what_was_stored_is_compacted(martlet, upstream, sdk):
    source = upstream(lambda exchange: exchange.json(chat.completion("Seven gulls.")))
    client = sdk(martlet(source))
    first = client.responses.create(model="m1", input="Count the gulls.", instructions="Be brief.")
    made = client.responses.compact(model="m1", previous_response_id=first.id)
    assert [item.type for item in made.output] == ["message", "compaction"]
    assert made.output[0].content[0].text == "Count the gulls."
    assert told(source.requests[-1].json)[:2] == [("user", "Count the gulls."), ("assistant", "Seven gulls.")]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.compact(model="m1", previous_response_id="resp_nobody")
    assert caught.value.code == "previous_response_not_found"


def test_an_upstream_that_compacts_is_asked_to(martlet, upstream, sdk):
    """Its answer is relayed as it is; a summary of ours becomes a message before it gets there."""
    theirs = {"id": "resp_1", "object": "response.compaction", "created_at": 1767225600, "output": [
        {"id": "msg_1", "type": "message", "status": "completed", "role": "user",
         "content": [{"type": "input_text", "text": "hi"}]},
        {"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAAAAB"}], "usage": {
            "input_tokens": 139, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 438,
            "output_tokens_details": {"reasoning_tokens": 64}, "total_tokens": 577}}
    source, second = upstream(lambda exchange: exchange.json(theirs)), upstream(script(SUMMARY, "chat"))
    server = martlet(config={"upstreams": {
        "api": {"kind": "openai", "url": source.url}, "ours": {"kind": "openai-compatible", "url": second.url}}})
    server.wait_for_model("m1")
    body = {"model": "api/m1", "input": TALK, "instructions": "Be brief.", "service_tier": "flex"}
    reply = server.ask("POST", ROUTE, chat.dumps(body))
    assert (reply.status, reply.body) == (200, chat.dumps(theirs))
    assert source.request.target == ROUTE and source.request.json == body | {"model": "m1"}

    client = sdk(server)
    ours = client.responses.compact(model="ours/m1", input=TALK).to_dict()["output"]
    client.responses.compact(model="api/m1", input=[*ours, NEXT])
    *users, summary, last = source.requests[-1].json["input"]
    assert users == ours[:2] and last == NEXT
    assert summary["role"] == "user" and "Ada counts birds" in summary["content"][0]["text"]

    source.script = lambda exchange: exchange.json({"error": {"message": "no such model", "code": "model_not_found"}}, 404)
    with pytest.raises(openai.NotFoundError, match="no such model"):
        client.responses.compact(model="api/m1", input="hi")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_trigger(matrix, kind, stream):
    """The reply is the compaction alone; it is kept, and what follows goes on from it."""
    source = matrix.play(kind, script(SUMMARY, spoken(kind, "responses")))
    asked = {"model": f"{kind}/{chat.MODEL}", "input": [*TALK, TRIGGER], "tools": [TOOL], "stream": stream}
    reply = matrix.server.ask("POST", "/v1/responses", chat.dumps(asked))
    assert reply.status == 200 and "x-translation-dropped" not in reply.headers, reply.body
    made = read_responses(reply.body) if stream else check_response(reply.json)
    [item] = made["output"]
    assert made["status"] == "completed" and item["type"] == "compaction"
    assert not stream or b"response.compaction.compacting" in reply.body
    assert told(source.request.json)[-1][1].startswith(f"And the owls?\n\n{ASKS}")

    source = matrix.play(kind, script(Answer([Text("Seven.")]), spoken(kind, "responses")))
    after = matrix.chat.responses.create(model=asked["model"], input=[NEXT], previous_response_id=made["id"])
    assert after.output_text == "Seven."
    texts = told(source.request.json)
    assert "Seven gulls." not in str(texts) and "Ada counts birds" in texts[-1][1]
    assert texts[-1][1].startswith("I am Ada. Count the gulls.") and texts[-1][1].endswith(NEXT["content"])


def test_a_trigger_is_relayed(matrix):
    source = matrix.play("openai", answer_responses.script(Answer([Text("theirs")])))
    matrix.chat.responses.create(model=f"openai/{chat.MODEL}", input=[NEXT, TRIGGER], store=False)
    assert source.request.json["input"] == [NEXT, TRIGGER]


@pytest.mark.parametrize(("body", "words"), [
    ({"input": []}, "nothing to compact"), ({"input": [{"role": "system", "content": "x"}]}, "nothing to compact"),
    ({}, "input"), ({"input": "x", "conversation": "conv_1"}, "conversation")])
def test_what_cannot_be_compacted(matrix, body, words):
    source = matrix.play("openai-compatible", script(SUMMARY, "chat"))
    reply = matrix.server.ask("POST", ROUTE, chat.dumps({"model": f"openai-compatible/{chat.MODEL}"} | body))
    assert reply.status == 400 and words in reply.json["error"]["message"]
    assert reply.json["error"]["type"] == "invalid_request_error" and not source.requests


def test_failures(martlet, upstream, sdk):
    def fail(exchange):
        exchange.json(*next(failure for text, failure in failures.items() if f'"{text}' in exchange.request.body.decode()))

    failures = {
        "one": ({"error": {"message": "the disk broke", "type": "server_error"}}, 500),
        "two": ({"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 4096,
                           "message": "the request exceeds the available context size"}}, 400),
        "three": (chat.completion(" \n"), 200)}
    client = sdk(martlet(upstream(fail), kind="llamacpp"))
    with pytest.raises(openai.InternalServerError, match="broke"):
        client.responses.compact(model="m1", input="one")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.compact(model="m1", input="two")
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.InternalServerError, match="without a summary"):
        client.responses.compact(model="m1", input="three")
    with pytest.raises(openai.InternalServerError, match="without a summary"):
        client.responses.create(model="m1", stream=True, input=[{"role": "user", "content": "three"}, TRIGGER])


def test_a_summary_is_nobody_elses(martlet, upstream, sdk):
    source = upstream(script(SUMMARY, "chat"))
    made = sdk(martlet(source)).responses.compact(model="m1", input=TALK).to_dict()["output"]
    reply = sdk(martlet(source)).responses.with_raw_response.create(model="m1", input=[*made, NEXT], store=False)
    assert reply.headers["x-translation-dropped"] == "input.compaction"
    assert "Ada counts" not in str(source.requests[-1].json)


@pytest.mark.parametrize("kind", ["openai-compatible", "anthropic"])
def test_codex_compacts_by_a_trigger(martlet, upstream, tmp_path, kind):
    """As it does with a provider that it takes for OpenAI, once the conversation is long."""
    def say(asked):
        if ASKS in asked.said("user"):
            return SUMMARY
        if "Summary of this conversation" in asked.said("user"):
            return Answer([Text("Seven.")])
        return Answer([Call("call_1", "exec_command", '{"cmd":"echo gulls"}')], "calls")

    model = agents.Model(kind, say)
    ran = codex.run(martlet(upstream(model), kind=kind), tmp_path, "-c", 'model_providers.gateway.name="OpenAI"',
                    "-c", "model_auto_compact_token_limit=5")
    assert ran.answer == "Seven."
    assert [len(asked.of(Result)) for asked in model.asked] == [0, 1, 0]


# The engine: a tiny model that talks nonsense, which is enough to judge the form.

def test_on_the_engine(tiny, sdk):
    client = sdk(tiny, timeout=120)
    made = client.responses.compact(model=engine.MODEL, input=[{"role": "user", "content": "Tell of a fox."}, {
        "role": "assistant", "content": "The fox was red."}])
    assert [item.type for item in made.output] == ["message", "compaction"] and made.usage.output_tokens > 0
    check_compaction(made.output[1])
    after = client.responses.create(model=engine.MODEL, max_output_tokens=20, input=[*made.to_dict()["output"], NEXT])
    assert after.output_text and after.usage.input_tokens > made.usage.output_tokens


def test_a_client_that_leaves_frees_the_engine(tiny):
    body = {"model": engine.MODEL, "input": "canary-prompt the blue cat talked with the fox. " * 4000}
    client = tiny.connect()
    client.send(request("POST", ROUTE, chat.dumps(body), port=tiny.port))
    until(lambda: engine.busy_slots(tiny) == 1, "the engine works on the prompt")
    client.reset()
    until(lambda: engine.busy_slots(tiny) == 0, "the slot is free again", within=3)
