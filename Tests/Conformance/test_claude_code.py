"""The real Claude Code through Martlet: a text answer by the engine, a tool round trip on a scripted Chat upstream."""

import time

from support import chat, claude, engine
from support.waiting import until

# The whole prompt is some 27,000 tokens of the tiny model, read by a processor that may have other work. Seconds.
ENGINE_WITHIN = 400
COMMAND = "echo martlet-$((40+2))"


def test_a_text_answer_by_the_engine(martlet, tmp_path):
    server = martlet(before=engine.give_model, engines=engine.engines())
    result = claude.run(server, tmp_path, engine.MODEL, within=ENGINE_WITHIN, API_TIMEOUT_MS=str(ENGINE_WITHIN * 1000))
    assert result["subtype"] == "success"
    assert isinstance(result["result"], str) and result["result"].strip(), "the tiny model babbles, but it does answer"
    assert result["usage"]["input_tokens"] + result["usage"]["cache_read_input_tokens"] > 5000
    assert 0 < result["usage"]["output_tokens"] <= 200


def test_a_tool_round_trip(martlet, upstream, tmp_path):
    def script(exchange):
        messages = exchange.request.json["messages"]
        if any(message["role"] == "tool" for message in messages):
            exchange.stream(chat.text_stream("The tool said ", "so.", usage=(90, 5)))
        else:
            exchange.stream(chat.calls_stream(("call_7", "Bash", [
                '{"comm', f'and":"{COMMAND}",', '"description":"says a word"}'])), cut=50)

    source = upstream(script)
    result = claude.run(martlet(source), tmp_path, chat.MODEL, "--allowedTools", "Bash", prompt=f"Run it. {chat.PROMPT}")
    assert result["result"] == "The tool said so."
    assert result["num_turns"] == 2
    first, second = (received.json for received in source.requests)
    assert all(received.target.split("?")[0] == "/v1/chat/completions" for received in source.requests)
    assert first["stream"] is True
    assert first["stream_options"]["include_usage"] is True
    assert first["messages"][0]["role"] == "system"
    assert [message["role"] for message in first["messages"][1:]] == ["user"], "early system text joins the leading one"
    assert chat.PROMPT in str(first["messages"][1]["content"])
    bash = next(tool["function"] for tool in first["tools"] if tool["function"]["name"] == "Bash")
    assert "command" in bash["parameters"]["properties"]
    assert not any(tool["function"]["name"] == "DeferredToolPlaceholder" for tool in first["tools"])
    sent = source.requests[0].body.decode()
    for word in ("cache_control", "x-anthropic-billing-header", "context_management", "user_id"):
        assert word not in sent, f"{word} is nothing for a local upstream"
    assert "anthropic-version" not in dict(source.requests[0].headers)
    assert second["messages"][:len(first["messages"])] == first["messages"], "the first turn is a prefix: caches hold"
    asked, told = second["messages"][len(first["messages"]):][:2]
    assert asked["role"] == "assistant"
    call = asked["tool_calls"][0]
    assert (call["id"], call["function"]["name"]) == ("call_7", "Bash")
    assert f'"{COMMAND}"' in call["function"]["arguments"]
    assert (told["role"], told["tool_call_id"]) == ("tool", "call_7")
    assert "martlet-42" in told["content"], "the command really ran"


def test_parallel_tool_calls(martlet, upstream, tmp_path):
    def script(exchange):
        if any(message["role"] == "tool" for message in exchange.request.json["messages"]):
            exchange.stream(chat.text_stream("Both are done.", usage=(90, 5)))
        else:
            exchange.stream(chat.calls_stream(
                ("call_1", "Bash", ['{"command":', '"echo one-$((1+0))"}']), ("call_2", "Bash", ['{"command":"echo ', 'two-$((1+1))"}'])))

    source = upstream(script)
    result = claude.run(martlet(source), tmp_path, chat.MODEL, "--allowedTools", "Bash")
    assert result["result"] == "Both are done."
    answers = {message["tool_call_id"]: message["content"]
               for message in source.requests[-1].json["messages"] if message["role"] == "tool"}
    assert {name: text.strip() for name, text in answers.items()} == {"call_1": "one-1", "call_2": "two-2"}


def test_thinking_comes_before_the_answer(martlet, upstream, tmp_path):
    events = [chat.chunk({"role": "assistant", "reasoning_content": "hm, "}), chat.chunk({"reasoning_content": "yes"}),
              chat.chunk({"content": "Indeed."}), chat.chunk({}, "stop")]
    source = upstream(lambda exchange: exchange.stream(b"".join(map(chat.event, events)) + chat.DONE))
    assert claude.run(martlet(source), tmp_path, chat.MODEL)["result"] == "Indeed."


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
