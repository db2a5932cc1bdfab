"""Conversations that are compacted, by their route and by a trigger in a request, with the official OpenAI client."""

import base64
import threading

import openai
import pytest

from support import agents, answer_responses, chat, codex, engine
from support.answer import Answer, Call, Text, Thinking
from support.asked import Result
from support.grammar import Failed
from support.grammar_responses import USAGE, check_response, read_responses
from support.matrix import script, spoken
from support.waiting import until
from support.wire import request
from test_context import COUNT

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


def check_opaque(item):
    """A compaction that is ours, and says nothing to anybody else."""
    assert item["id"].startswith("cmp_") and item["encrypted_content"].startswith("gw1.")
    assert b"gulls" not in base64.b64decode(item["encrypted_content"][4:])


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
    check_opaque(item.to_dict())

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


LONG = {"role": "assistant", "content": "One gull, two gulls. " * 300}
MANAGED = {"context_management": [{"type": "compaction", "compact_threshold": 1000}]}


def sums_up_and_counts(kind):
    """A model that gives the summary where it is asked for one, and else a number; what it is asked is in its list."""
    def play(exchange):
        if exchange.request.target == COUNT:
            return exchange.json({"input_tokens": len(exchange.request.body) // 4, "object": "response.input_tokens"})
        asked.append(exchange.request.json)
        said = SUMMARY if ASKS in str(asked[-1]["messages"][-1]) else Answer([Text("Seven.")])
        script(said, spoken(kind, "responses"))(exchange)

    asked = []
    return play, asked


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_long_conversation_is_compacted_before_it_is_answered(matrix, kind, stream):
    play, asked = sums_up_and_counts(kind)
    matrix.play(kind, play)
    body = {"model": f"{kind}/{chat.MODEL}", "input": [*TALK, LONG, NEXT], "tools": [TOOL], "stream": stream} | MANAGED
    reply = matrix.server.ask("POST", "/v1/responses", chat.dumps(body))
    assert reply.status == 200, reply.body
    made = read_responses(reply.body) if stream else check_response(reply.json)
    assert [item["type"] for item in made["output"]] == ["compaction", "message"] and made["status"] == "completed"
    assert made["output"][1]["content"][0]["text"] == "Seven."

    summing, answering = asked
    assert not summing.get("stream") or kind == "llamacpp"
    assert bool(answering.get("stream")) == (stream or kind == "llamacpp")
    assert "two gulls" in str(summing) and "two gulls" not in str(answering) and "Ada counts birds" in told(answering)[-1][1]
    assert "Speak of birds only." in str(answering) and "tool_choice" not in answering and len(answering["tools"]) == 1

    # What is kept is the whole; the next turn goes on from the summary, by the reply's id and by its items.
    by_id = matrix.chat.responses.create(
        model=body["model"], input=[NEXT], previous_response_id=made["id"], extra_body=MANAGED)
    by_hand = matrix.chat.responses.create(
        model=body["model"], input=[*body["input"], *made["output"], NEXT], extra_body=MANAGED)
    assert by_id.output_text == by_hand.output_text == "Seven." and len(asked) == 4
    assert [item.type for item in by_id.output] == ["message"] and asked[2]["messages"] == asked[3]["messages"]
    assert "two gulls" not in str(asked[3]) and "Ada counts birds" in str(asked[3])
    assert told(asked[3])[-2:] == [("assistant", "Seven."), ("user", NEXT["content"])]
    kept = matrix.chat.responses.input_items.list(made["id"], order="asc")
    assert len(kept.data) == len(body["input"]), "as it was sent"


@pytest.mark.parametrize("asked", [
    {"input": [*TALK, NEXT]}, {"input": NEXT["content"] + " canary" * 2000}, {"input": [*TALK, LONG, NEXT], "context_management": []}],
    ids=["short", "nothing-but-the-user", "not-asked-for"])
def test_what_is_not_compacted(matrix, asked):
    play, sent = sums_up_and_counts("openai-compatible")
    matrix.play("openai-compatible", play)
    reply = matrix.chat.responses.create(model=f"openai-compatible/{chat.MODEL}", extra_body=MANAGED | asked, input=asked["input"])
    assert [item.type for item in reply.output] == ["message"] and len(sent) == 1


def test_an_upstream_that_compacts_manages_its_context(matrix):
    source = matrix.play("openai", answer_responses.script(Answer([Text("Seven.")])))
    matrix.chat.responses.create(model=f"openai/{chat.MODEL}", input=[*TALK, LONG, NEXT], extra_body=MANAGED, store=False)
    assert source.request.json["context_management"] == MANAGED["context_management"]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_long_conversation_without_a_summary(martlet, upstream, streams):
    server = martlet(upstream(lambda exchange: exchange.json(chat.completion(" "))))
    body = {"model": "m1", "input": [*TALK, LONG, NEXT], "stream": streams} | MANAGED
    reply = server.ask("POST", "/v1/responses", chat.dumps(body))
    assert reply.status == 502 and "without a summary" in reply.json["error"]["message"]


def test_signs_of_life_while_a_summary_is_made(martlet, upstream):
    """The stream begins in time, and is one all the same; so it is with a failure."""
    def script(exchange):
        if ASKS in str(exchange.request.json["messages"][-1]):
            assert may_answer.wait(20)
            return exchange.json(summaries.pop(0))
        exchange.stream(chat.text_stream("Se", "ven."))

    may_answer, summaries = threading.Event(), [chat.completion("Gulls."), chat.completion("")]
    server = martlet(upstream(script))
    body = chat.dumps({"model": "m1", "input": [*TALK, LONG, NEXT], "stream": True} | MANAGED)
    for status in ("completed", "failed"):
        may_answer.clear()
        with server.connect(timeout=30) as client:
            client.send(request("POST", "/v1/responses", body, port=server.port))
            reply = client.open_reply()
            assert reply.status == 200 and reply.readline() + reply.readline() == b": keepalive\n\n"
            may_answer.set()
            rest = reply.read()
        if status == "completed":
            assert [item["type"] for item in read_responses(rest)["output"]] == ["compaction", "message"]
        else:
            with pytest.raises(Failed, match="without a summary"):
                read_responses(rest)


def test_the_record_counts_both(martlet, upstream):
    """The client is told how long the conversation is that goes on; what the summary took is spent all the same."""
    server = martlet(upstream([lambda exchange: exchange.json(chat.completion("Gulls.", usage=(90, 40))),
                               lambda exchange: exchange.json(chat.completion("Seven.", usage=(5, 2)))]))
    reply = server.ask("POST", "/v1/responses", chat.dumps({"model": "m1", "input": [*TALK, LONG, NEXT]} | MANAGED))
    assert (reply.json["usage"]["input_tokens"], reply.json["usage"]["output_tokens"]) == (5, 2)
    until(lambda: "dialect=responses" in server.log(), "the exchange is recorded")
    assert "input_tokens=95 " in server.log() and "output_tokens=42 " in server.log()


def test_in_the_background(martlet, upstream, sdk):
    play, asked = sums_up_and_counts("openai-compatible")
    client = sdk(martlet(upstream(play)))
    made = client.responses.create(model="m1", input=[*TALK, LONG, NEXT], background=True, extra_body=MANAGED)
    until(lambda: client.responses.retrieve(made.id).status == "completed", "it is made")
    assert [item.type for item in client.responses.retrieve(made.id).output] == ["compaction", "message"]
    assert len(asked) == 2


@pytest.mark.parametrize("sockets", ["false", "true"], ids=["http", "websocket"])
@pytest.mark.parametrize("kind", ["openai-compatible", "anthropic"])
def test_codex_compacts_by_a_trigger(martlet, upstream, tmp_path, kind, sockets):
    """As it does with a provider that it takes for OpenAI, once the conversation is long."""
    def say(asked):
        if ASKS in asked.said("user"):
            return SUMMARY
        if "Summary of this conversation" in asked.said("user"):
            return Answer([Text("Seven.")])
        return Answer([Call("call_1", "exec_command", '{"cmd":"echo gulls"}')], "calls")

    model = agents.Model(kind, say)
    server = martlet(upstream(model), kind=kind)
    ran = codex.run(server, tmp_path, "-c", 'model_providers.gateway.name="OpenAI"', "-c", "model_auto_compact_token_limit=5",
                    "-c", f"model_providers.gateway.supports_websockets={sockets}")
    assert ran.answer == "Seven."
    assert ("transport=websocket" in server.log()) == (sockets == "true")
    assert [len(asked.of(Result)) for asked in model.asked] == [0, 1, 0]


# The engine: a tiny model that talks nonsense, which is enough to judge the form.

def summed_up(client, conversation, tries=5):
    """Such a model says nothing at all now and then, which is an error that says so."""
    for _ in range(tries - 1):
        try:
            return client.responses.compact(model=engine.MODEL, input=conversation)
        except openai.InternalServerError as error:
            assert error.status_code == 502 and "without a summary" in str(error)
    return client.responses.compact(model=engine.MODEL, input=conversation)


def test_on_the_engine(tiny, sdk):
    client = sdk(tiny, timeout=120)
    made = summed_up(client, [{"role": "user", "content": "Tell of a fox."}, {
        "role": "assistant", "content": "The fox was red."}])
    assert [item.type for item in made.output] == ["message", "compaction"] and made.usage.output_tokens > 0
    check_opaque(made.output[1].to_dict())
    answers = (client.responses.create(
        model=engine.MODEL, max_output_tokens=20, input=[*made.to_dict()["output"], NEXT]) for _ in range(5))
    after = next(answer for answer in answers if answer.output_text)
    assert after.usage.input_tokens > made.usage.output_tokens


def test_a_client_that_leaves_frees_the_engine(tiny):
    body = {"model": engine.MODEL, "input": "canary-prompt the blue cat talked with the fox. " * 4000}
    client = tiny.connect()
    client.send(request("POST", ROUTE, chat.dumps(body), port=tiny.port))
    until(lambda: engine.busy_slots(tiny) == 1, "the engine works on the prompt")
    client.reset()
    until(lambda: engine.busy_slots(tiny) == 0, "the slot is free again", within=3)
