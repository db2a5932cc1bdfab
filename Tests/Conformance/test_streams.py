"""Every case of the matrix, streamed to clients of all dialects: read strictly, and the same as the whole reply."""

import json

import pytest

from support import answer_responses, chat
from support.answer import Answer, Call, Text, Thinking, named
from support.cases import CASES
from support.grammar import Failed, read_chat, read_messages
from support.grammar_responses import check_response, read_responses
from support.matrix import KINDS, PATHS, script, spoken

# All but those that are relayed as they come.
PAIRS = [(client, kind) for client in PATHS for kind in KINDS if (client, kind) not in (
    ("chat", "openai"), ("messages", "anthropic"))]
TOOLS = [{"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}} for name in ("weather", "clock")]


def request_of(client, case):
    """Chat and Messages ask for the case; a client of Responses asks for whatever gets its answer."""
    if client == "responses":
        return {"input": chat.PROMPT, "tools": TOOLS}
    asked = dict(case.asked[client])
    return asked | asked.pop("extra_body", {})


def read(client, body):
    return {"chat": lambda: read_chat(body, usage=True), "messages": lambda: read_messages(body),
            "responses": lambda: read_responses(body)}[client]()


def said(client, reply):
    """A whole reply without what differs from one request to the next."""
    if client == "chat":
        [choice] = reply["choices"]
        message = {key: value for key, value in choice["message"].items() if value}
        return message, choice["finish_reason"], reply["model"], reply["usage"]
    if client == "messages":
        return reply["content"], reply["stop_reason"], reply["stop_sequence"], reply["model"], reply["usage"]
    output = [{key: value for key, value in item.items() if key != "id"} for item in reply["output"]]
    return output, reply["status"], reply["incomplete_details"], reply["model"], reply["usage"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("client", "kind"), PAIRS)
def test_a_stream_is_read_strictly_and_adds_up_to_the_whole_reply(matrix, client, kind, name):
    case = CASES[name]
    matrix.play(kind, script(case.answer, spoken(kind, client)))
    body = request_of(client, case) | {"model": f"{kind}/{chat.MODEL}"}
    if client == "chat":
        body |= {"stream_options": {"include_usage": True}}
    streamed = matrix.server.ask("POST", PATHS[client], chat.dumps(body | {"stream": True}))
    assert streamed.status == 200, streamed.body
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8" or kind == "openai"
    body.pop("stream_options", None)
    whole = matrix.server.ask("POST", PATHS[client], chat.dumps(body))
    assert whole.status == 200, whole.body
    if client == "responses":
        check_response(whole.json)
    assert said(client, read(client, streamed.body)) == said(client, whole.json)


def test_usage_that_was_not_asked_for_is_in_no_chunk(matrix):
    for kind in ("openai-compatible", "llamacpp", "anthropic"):
        matrix.play(kind, script(CASES["toolCall"].answer, spoken(kind, "chat")))
        body = chat.body(model=f"{kind}/{chat.MODEL}", tools=[chat.WEATHER], max_tokens=9, stream=True)
        reply = read_chat(matrix.server.chat(body).body, usage=False)
        assert reply["choices"][0]["message"]["tool_calls"][0]["id"] == "call_1"


@pytest.mark.parametrize(("client", "kind"), [pair for pair in PAIRS if pair[1] != "openai"])
def test_a_stream_that_breaks_off_says_so_in_the_clients_own_way(matrix, client, kind):
    answer = Answer([Thinking("hm"), Text("So it is."), Call("call_1", "weather", '{"place":"Oslo"}')], "calls")
    data = answer.chat_stream() if spoken(kind, client) == "chat" else answer.messages_stream()
    end = data.index(b"Oslo")  # amid the arguments
    matrix.play(kind, lambda exchange: exchange.stream(data[:end], framing="eof"))
    body = {"model": f"{kind}/{chat.MODEL}", "stream": True} | (
        {"input": chat.PROMPT, "tools": TOOLS} if client == "responses" else {"messages": chat.MESSAGES, "max_tokens": 99})
    reply = matrix.server.ask("POST", PATHS[client], chat.dumps(body))
    assert reply.status == 200, reply.body
    with pytest.raises(Failed) as failed:
        read(client, reply.body)
    told = failed.value.args[0]
    assert "early" in (told["error"]["message"] if client == "responses" else told["message"])
    if client == "responses":
        assert [item["type"] for item in told["output"]][-2:] == ["message", "function_call"]


# The readers themselves: what is wrong is seen.

def test_the_readers_take_what_is_right():
    answer = CASES["parallelCalls"].answer
    assert len(read_messages(answer.messages_stream())["content"]) == 3
    assert read_responses(answer_responses.stream(answer, {}))["status"] == "completed"


def events_of(body):
    return [json.loads(frame.split(b"data: ")[1]) for frame in body.split(b"\n\n") if b"data: {" in frame]


def chat_bytes(events, done=True):
    return b"".join(map(chat.event, events)) + (chat.DONE if done else b"")


def good_chat():
    """The stream of a call as Martlet writes it."""
    return events_of(Answer([Text("Hello"), Call("call_1", "weather", "{}")], "calls").chat_stream())


CHAT_FAULTS = {
    "another id": lambda chunks: chunks[2].update(id="other"),
    "no role": lambda chunks: chunks[0]["choices"][0].update(delta={"content": ""}),
    "two roles": lambda chunks: chunks[1]["choices"][0]["delta"].update(role="assistant"),
    "no finish": lambda chunks: chunks.pop(-2),
    "text behind the finish": lambda chunks: chunks.insert(-1, chunks[1]),
    "the usage first": lambda chunks: chunks.insert(0, chunks.pop()),
    "usage twice": lambda chunks: chunks[1].update(usage=chunks[-1]["usage"]),
    "a gap before the call": lambda chunks: chunks[2]["choices"][0]["delta"]["tool_calls"][0].update(index=1),
    "a name twice": lambda chunks: chunks[3]["choices"][0]["delta"]["tool_calls"][0]["function"].update(name="weather"),
    "a reason that is none": lambda chunks: chunks[-2]["choices"][0].update(finish_reason="tool_use"),
    "stop with a call": lambda chunks: chunks[-2]["choices"][0].update(finish_reason="stop"),
}


def test_a_good_chat_stream_is_taken():
    assert read_chat(chat_bytes(good_chat()), usage=True)["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize("fault", CHAT_FAULTS)
def test_a_fault_of_a_chat_stream_is_seen(fault):
    chunks = good_chat()
    CHAT_FAULTS[fault](chunks)
    with pytest.raises((AssertionError, KeyError)):
        read_chat(chat_bytes(chunks), usage=True)


def test_a_chat_stream_has_an_end():
    with pytest.raises(AssertionError):
        read_chat(chat_bytes(good_chat(), done=False), usage=True)


MESSAGES_FAULTS = {
    "no message_start": lambda events: events.pop(0),
    "no message_delta": lambda events: events.pop(-2),
    "no message_stop": lambda events: events.pop(),
    "a block in a block": lambda events: events.insert(3, events[2]),
    "a gap before a block": lambda events: events[2].update(index=1),
    "an open block": lambda events: events.pop(-3),
    "a delta of another kind": lambda events: events[3]["delta"].update(type="input_json_delta", partial_json="{}"),
    "an end without calls": lambda events: events[-2]["delta"].update(stop_reason="end_turn"),
    "no usage": lambda events: events[-2].pop("usage"),
    "something behind the end": lambda events: events.append({"type": "ping"}),
}


@pytest.mark.parametrize("fault", MESSAGES_FAULTS)
def test_a_fault_of_a_messages_stream_is_seen(fault):
    events = events_of(Answer([Text("Hello"), Call("call_1", "weather", "{}")], "calls").messages_stream())
    read_messages(b"".join(map(named, events)))
    MESSAGES_FAULTS[fault](events)
    with pytest.raises((AssertionError, KeyError)):
        read_messages(b"".join(map(named, events)))


def find(events, kind):
    return next(event for event in events if event["type"].endswith(kind))


RESPONSES_FAULTS = {
    "a gap in the numbers": lambda events: events[4].update(sequence_number=9),
    "no in_progress": lambda events: events.pop(1),
    "an item id that changes": lambda events: find(events, "text.delta").update(item_id="msg_other"),
    "deltas that do not add up": lambda events: find(events, "text.done").update(text="Hell"),
    "a part that differs": lambda events: find(events, "part.done")["part"].update(text="Hell"),
    "an item that differs": lambda events: find(events, "item.done")["item"].update(content=[]),
    "arguments that differ": lambda events: find(events, "arguments.done").update(arguments="{ }"),
    "an end that differs": lambda events: events[-1]["response"]["output"][0].update(id="msg_other"),
    "an item lost at the end": lambda events: events[-1]["response"]["output"].pop(),
    "an output_index with a gap": lambda events: events[2].update(output_index=1),
    "a member missing": lambda events: events[-1]["response"].pop("top_logprobs"),
    "a null that is none": lambda events: events[-1]["response"].update(temperature=None),
    "a status that is another": lambda events: events[-1]["response"].update(status="incomplete"),
    "another response": lambda events: events[-1]["response"].update(id="resp_other"),
    "an event nobody knows": lambda events: find(events, "text.delta").update(type="response.text.delta"),
    "no annotations": lambda events: find(events, "part.added")["part"].pop("annotations"),
}


@pytest.mark.parametrize("fault", RESPONSES_FAULTS)
def test_a_fault_of_a_responses_stream_is_seen(fault):
    events = events_of(answer_responses.stream(Answer([Text("Hello"), Call("call_1", "weather", "{}")], "calls"), {}))
    RESPONSES_FAULTS[fault](events)
    if fault == "no in_progress":
        events = [event | {"sequence_number": number} for number, event in enumerate(events)]
    with pytest.raises((AssertionError, KeyError)):
        read_responses(b"".join(map(named, events)) + chat.DONE)
