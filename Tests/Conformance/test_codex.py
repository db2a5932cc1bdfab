"""The real Codex through Martlet, on a scripted Chat upstream."""

import json

from support import chat, codex

COMMAND = "echo martlet-$((40+2))"


def test_a_text_answer(martlet, upstream, tmp_path):
    source = upstream(lambda exchange: exchange.stream(chat.text_stream("Hello ", "there.", usage=(90, 5)), cut=50))
    assert codex.run(martlet(source), tmp_path, prompt=chat.PROMPT).strip() == "Hello there."
    (received,) = source.requests
    assert received.target == "/v1/chat/completions" and received.json["stream"] is True
    messages = received.json["messages"]
    assert messages[0]["role"] == "system", "the developer's messages lead"
    assert chat.PROMPT in str(messages[-1]["content"])
    names = [tool["function"]["name"] for tool in received.json["tools"]]
    assert "exec_command" in names and any(name.startswith("multi_agent_v1__") for name in names)
    assert not (set(received.json) & {"store", "include", "client_metadata", "prompt_cache_key", "input"})


def test_a_shell_round_trip(martlet, upstream, tmp_path):
    def script(exchange):
        if any(message["role"] == "tool" for message in exchange.request.json["messages"]):
            exchange.stream(chat.text_stream("The shell said ", "so.", usage=(90, 5)))
        else:
            exchange.stream(chat.calls_stream(("call_7", "exec_command", ['{"cm', f'd":"{COMMAND}"', "}"])), cut=50)

    source = upstream(script)
    assert codex.run(martlet(source), tmp_path, prompt="Run it.").strip() == "The shell said so."
    first, second = (received.json for received in source.requests)
    assert second["messages"][:len(first["messages"])] == first["messages"], "the first turn is a prefix: caches hold"
    asked, told = second["messages"][len(first["messages"]):][:2]
    call = asked["tool_calls"][0]
    assert (asked["role"], call["id"], call["function"]["name"]) == ("assistant", "call_7", "exec_command")
    assert (told["role"], told["tool_call_id"]) == ("tool", "call_7")
    assert "martlet-42" in str(told["content"]), "the command really ran"


def test_an_answer_by_a_schema(martlet, upstream, tmp_path):
    source = upstream(lambda exchange: exchange.stream(chat.text_stream('{"word":', '"martlet"}', usage=(90, 5))))
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"],
                                  "additionalProperties": False}))
    answer = codex.run(martlet(source), tmp_path, "--output-schema", str(schema))
    assert json.loads(answer) == {"word": "martlet"}
    form = source.request.json["response_format"]
    assert form["type"] == "json_schema" and "word" in form["json_schema"]["schema"]["properties"]
