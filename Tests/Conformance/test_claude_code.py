"""The real Claude Code through Martlet: on scripted upstreams of every kind, and one answer by the engine."""

import json
import time

import pytest

from support import agents, chat, claude, engine
from support.answer import Answer, Call, Sealed, Text, Thinking
from support.asked import Result, Said
from support.waiting import until

# The prompt is some 8,000 tokens of the tiny model, read by a processor that may have other work. Seconds.
ENGINE_WITHIN = 300
SUBTASK = "Say which bird has no feet."
TITLE = "Birds without feet"
BASH = Call("call_1", "Bash", '{"command":"echo martlet-$((40+2))","description":"says a word"}')
AGENT = Call("call_3", "Agent", chat.dumps({
    "description": "names a bird", "prompt": SUBTASK, "subagent_type": "general-purpose", "run_in_background": False}).decode())
LOAD = Call("call_4", "ToolSearch", '{"query":"select:WebSearch"}')
SEARCH = Call("call_5", "WebSearch", '{"query":"martlet"}')
# What other upstreams than Anthropic's have no use for.
HINTS = ("cache_control", "x-anthropic-billing-header", "context_management", "user_id", "defer_loading", "tool_reference")


def is_subtask(asked):
    return asked.said("user").endswith(SUBTASK)


@pytest.mark.parametrize("kind", agents.KINDS)
def test_a_whole_task(martlet, upstream, tmp_path, kind):
    """F1: Its title, two tools at once, a sub-agent, a tool that has to be loaded first, and a search that another request does."""
    file = claude.home_in(tmp_path) / "notes.txt"
    file.write_text("canary-in-the-file")
    read = Call("call_2", "Read", chat.dumps({"file_path": str(file)}).decode())
    calls = [BASH, read, AGENT, LOAD, SEARCH]

    def say(asked):
        if asked.schema:
            return Answer([Text(json.dumps({"title": TITLE}))])
        if is_subtask(asked):
            return Answer([Text("A martlet.")])
        if list(asked.tools) == ["web_search"]:
            return Answer([Text("A heraldic bird.")])
        done = len(asked.of(Result))
        if done == 0:
            return Answer([Sealed("two at once"), Text("Let me look."), BASH, read], "calls")
        return Answer([Sealed(f"behind {done}"), calls[done]], "calls") if done < 5 else Answer([Text("All is done.")])

    model = agents.Model(kind, say)
    source = upstream(model)
    result, title = claude.converse(martlet(source, kind=kind), tmp_path, chat.MODEL, "--allowedTools",
                                    "Bash,Read,Agent,ToolSearch,WebSearch", prompt=f"Look. {chat.PROMPT}")
    assert (result["subtype"], result["result"], title) == ("success", "All is done.", TITLE)
    assert result["subagent_stats"]["completed"] == 1 and result["permission_denials"] == []

    title_asked, = (asked for asked in model.asked if asked.schema)
    assert title_asked.schema["properties"] == {"title": {"type": "string"}} and not title_asked.tools
    assert "naming a coding session" in title_asked.system
    subtask, = (asked for asked in model.asked if is_subtask(asked))
    assert "You are an agent for Claude Code" in subtask.system and "Bash" in subtask.tools
    main = [asked for asked in model.asked if asked.said("user").endswith(chat.PROMPT)]
    assert len(model.asked) == len(main) + (3 if kind == "anthropic" else 2)
    for before, after in zip(main, main[1:]):
        assert after.system == before.system
        assert after.turns[:len(before.turns)] == before.turns, "each request is a prefix of the next: caches hold"
        if kind != "anthropic":  # where the order is Claude Code's own
            assert list(after.tools.items())[:len(before.tools)] == list(before.tools.items())
    for asked in main:
        for words in ("You are a Claude agent", "working with the user toward", "# Environment"):
            assert words in asked.instructions(), "no system text is lost"
        assert "command" in asked.tools["Bash"]["properties"]
        if kind != "anthropic":
            assert not [hint for hint in HINTS if hint in json.dumps(asked.body)]
            assert "DeferredToolPlaceholder" not in asked.tools
    assert ["WebSearch" in asked.tools for asked in main] == [False, False, False, True, True], "offered once it was loaded"
    last = main[-1]
    new = last.turns[len(main[0].turns):]
    thoughts = ["two at once", "behind 2", "behind 3", "behind 4"]
    assert last.of(Thinking) == (thoughts if kind in agents.REMEMBERING else [])
    assert [turn for turn in new if not isinstance(turn, (Thinking, Result))] == [Said("assistant", "Let me look."), *calls]
    assert last.result("call_1") == "martlet-42" and "canary-in-the-file" in last.result("call_2"), "they really ran"
    assert "A martlet." in last.result("call_3")
    assert ("A heraldic bird." if kind == "anthropic" else "unavailable") in last.result("call_5")
    for request in source.requests:
        assert (request.header("anthropic-version") is not None) == (kind == "anthropic")


@pytest.mark.parametrize("kind", ["openai-compatible", "anthropic", "openai"])
def test_structured_output(martlet, upstream, tmp_path, kind):
    """It has a tool for that, whose schema is the caller's."""
    schema = {"type": "object", "properties": {"word": {"type": "string", "maxLength": 20}}, "required": ["word"]}
    model = agents.Model(kind, lambda asked: Answer([Call("call_1", "StructuredOutput", '{"word":"martlet"}')], "calls"))
    result = claude.run(martlet(upstream(model), kind=kind), tmp_path, chat.MODEL, "--json-schema", json.dumps(schema))
    assert result["structured_output"] == {"word": "martlet"}
    assert model.asked[0].tools["StructuredOutput"]["properties"] == schema["properties"]


def test_a_text_answer_by_the_engine(martlet, tmp_path):
    """With two of its tools: the whole prompt is some 27,000 tokens of the tiny model."""
    server = martlet(before=engine.give_model, engines=engine.engines())
    result = claude.run(server, tmp_path, engine.MODEL, "--tools", "Bash,Read", within=ENGINE_WITHIN,
                        API_TIMEOUT_MS=str(ENGINE_WITHIN * 1000))
    assert result["subtype"] == "success" and isinstance(result["result"], str), "the tiny model babbles"
    assert result["usage"]["input_tokens"] + result["usage"]["cache_read_input_tokens"] > 5000
    assert 0 < result["usage"]["output_tokens"] <= 200


def test_a_failing_upstream_is_asked_again_and_then_answers(martlet, upstream, tmp_path):
    source = upstream([
        lambda exchange: exchange.stream(chat.text_stream("half", finish=None, done=False)),  # cut in mid-stream
        lambda exchange: exchange.stream(chat.text_stream("whole")) if exchange.request.json.get("stream")
        else exchange.json(chat.completion("whole")),  # it may ask unstreamed the second time
    ])
    assert "whole" in claude.run(martlet(source), tmp_path, chat.MODEL)["result"]
    assert len(source.requests) >= 2, "truncation was noticed"


def test_a_killed_claude_frees_the_upstream(martlet, upstream, tmp_path):
    source = upstream(lambda exchange: exchange.wait_gone(within=30))
    process = claude.start(martlet(source), tmp_path, chat.MODEL)
    exchange = until(lambda: source.exchanges and source.exchanges[0], "the request was upstream", within=30)
    left = time.monotonic()
    process.kill()
    process.communicate()
    until(lambda: exchange.gone_at, "the upstream's connection was closed")
    assert exchange.gone_at - left < 1.0
