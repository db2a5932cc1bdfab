"""LM Studio's own API against goldens that were written from its documentation (Tests/Transcripts/native-client/about.md)."""

import json
import pathlib
import re

import pytest

from support import chat, engine
from support.grammar_native import Told
from support.tools import fake, give_servers

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
GOLDENS = REPOSITORY / "Tests/Transcripts/native-client"
ERROR_TYPES = {
    "invalid_request", "unknown", "mcp_connection_error", "plugin_connection_error", "not_implemented", "model_not_found",
    "job_not_found", "internal_error",
}


def golden(name):
    text = (GOLDENS / name).read_text()
    return [json.loads(line) for line in text.splitlines()] if name.endswith(".jsonl") else json.loads(text)


def meets(got, wanted):
    """Whether a value is what the golden has in its place. Of completions, which an engine writes, it may hold more."""
    match wanted:
        case "<rate>":
            return isinstance(got, (int, float)) and not isinstance(got, bool) and got >= 0
        case "<id>":
            return isinstance(got, str) and re.fullmatch(r"resp_[0-9a-f]{48}|chatcmpl-\w+", got) is not None
        case "<version>":
            return isinstance(got, str) and got != ""
        case "<native error>":
            return isinstance(got, dict) and got["type"] in ERROR_TYPES and got["message"] and \
                set(got) <= {"type", "message", "code", "param"} and None not in got.values()
        case dict():
            more = wanted.get("object") == "chat.completion" or not {"prompt_tokens", "message"}.isdisjoint(wanted)
            names = isinstance(got, dict) and (got.keys() >= wanted.keys() if more else got.keys() == wanted.keys())
            return names and all(meets(got[name], wanted[name]) for name in wanted)
        case list():
            return isinstance(got, list) and len(got) == len(wanted) and all(map(meets, got, wanted))
    return type(got) is type(wanted) and got == wanted


def compare(got, wanted):
    if isinstance(wanted, list):
        assert [event["type"] for event in got] == [event["type"] for event in wanted]
        for one, other in zip(got, wanted):
            assert meets(one, other), f"{json.dumps(one)}\nis not\n{json.dumps(other)}"
    assert meets(got, wanted), f"{json.dumps(got)}\nis not\n{json.dumps(wanted)}"


def chunks(*deltas, finish="stop", output=4, **details):
    made = [chat.chunk(delta) for delta in deltas] + [chat.chunk({}, finish)]
    counted = {"prompt_tokens": 20, "completion_tokens": output, "total_tokens": 20 + output} | details
    made.append(chat.chunk() | {"choices": [], "usage": counted})
    return b"".join(map(chat.event, made)) + chat.DONE


def ask(server, **body):
    return server.ask("POST", "/api/v1/chat", chat.dumps({"model": chat.MODEL, "input": "hi"} | body))


def test_a_text(martlet, upstream):
    server = martlet(upstream(lambda exchange: exchange.stream(chunks({"content": "Recycled "}, {"content": "paper."}))
                              if exchange.request.json.get("stream")
                              else exchange.json(chat.completion("Recycled paper.", usage=(20, 4)))))
    compare(Told(ask(server, stream=True).body).events, golden("text.jsonl"))
    compare(ask(server).json, golden("text.json"))


def test_reasoning_and_how_far_the_prompt_is(martlet, upstream):
    def answer(exchange):
        head = chat.chunk({"role": "assistant", "content": None}, prompt_progress={
            "total": 20, "cache": 0, "processed": 10, "time_ms": 1})
        exchange.stream(chat.event(head) + chunks(
            {"reasoning_content": "I should "}, {"reasoning_content": "look."}, {"content": "Seven."}, output=9,
            completion_tokens_details={"reasoning_tokens": 5}))

    server = martlet(upstream(answer), kind="llamacpp", wait=False)
    compare(Told(ask(server, stream=True, store=False).body).events, golden("reasoning.jsonl"))


@pytest.mark.parametrize("tool, name", [("echo", "tools.jsonl"), ("serch", "wrong-tool.jsonl")])
def test_tools(martlet, upstream, tool, name):
    rounds = []

    def answer(exchange):
        rounds.append(exchange.request.json)
        if len(rounds) == 1:
            arguments = json.dumps({"text": "label code 7"})
            call = {"index": 0, "id": "c1", "type": "function", "function": {"name": tool, "arguments": arguments}}
            return exchange.stream(chunks({"tool_calls": [call]}, finish="tool_calls"))
        return exchange.stream(chunks({"content": "Recycled paper."}))

    source = upstream(answer)
    server = martlet(
        source, before=lambda server: give_servers(server, {"fake": fake("good")}),
        config={"upstreams": {"u": {"url": source.url, "kind": "openai-compatible"}}, "mcp": {"installed": "on"}})
    compare(Told(ask(server, stream=True, integrations=["mcp/fake"]).body).events, golden(name))


def test_a_reply_that_is_cut_off(martlet, upstream):
    def answer(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"content": "Recycled "})))
        exchange.connection.close()

    told = Told(ask(martlet(upstream(answer)), stream=True).body)
    compare(told.events, golden("cut-off.jsonl"))


@pytest.mark.parametrize("wanted", golden("errors.jsonl"), ids=lambda wanted: wanted["error"]["code"])
def test_errors(martlet, upstream, wanted):
    reply = martlet(upstream(chunks)).ask("POST", "/api/v1/chat", chat.dumps(wanted["request"]))
    assert reply.status == wanted["status"]
    compare(reply.json, {"error": wanted["error"]})


def test_the_older_api(tiny):
    reply = tiny.ask("POST", "/api/v0/chat/completions", chat.body(model=engine.MODEL, max_tokens=2, temperature=0), timeout=60)
    compare(reply.json, golden("v0-chat.json"))
    lines = tiny.ask("POST", "/api/v0/chat/completions", chat.body(
        model=engine.MODEL, max_tokens=2, temperature=0, stream=True), timeout=60).body.split(b"\n\n")
    told = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
    for name in ("stats", "model_info", "runtime"):
        compare(told[-1][name], golden("v0-chat.json")[name])
        assert not any(name in chunk for chunk in told[:-1])


def test_lists(martlet):
    server = martlet(before=engine.give_model, engines=engine.engines())
    compare(server.ask("GET", "/api/v1/models").json, {"models": [golden("v1-models.json")]})
    compare(server.ask("GET", "/api/v0/models").json, {"data": [golden("v0-models.json")], "object": "list"})
    compare(server.ask("GET", "/api/v0/models/tiny-chat").json, golden("v0-models.json"))
