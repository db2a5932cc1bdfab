"""Tools of real MCP servers, over stdio and over HTTP, called by the real engine with the tiny model.

The model means nothing by its calls. That it makes them is llama.cpp's grammar's doing where a call is demanded; what it has
been given back stands in the prompt of its next round, whose tokens are counted.
"""

import json

import pytest

from support import chat, engine
from support.tools import fake, give_servers, real
from support.waiting import until
from support.wire import request


@pytest.fixture
def tooled(martlet, web):
    """A server with the tiny model and the servers `real`, `wordy` and `slow` of its own, and a server that requests name."""

    def start(**mcp):
        def prepare(server):
            engine.give_model(server)
            give_servers(server, {
                "real": real(MCP_SECRET="hush"), "wordy": real(MCP_SECRET="the cat sat. " * 100), "slow": fake("good")})

        server = martlet(
            before=prepare, engines=engine.engines(),
            config={"discovery": "off", "engine": {"threads": 1, "context": 8192}, "server": {"native": "extended"},
                    "mcp": {"installed": "on", "ephemeral": "on", "allowed_hosts": ["127.0.0.1"]} | mcp})
        return server, web(token="hush")

    return start


def post(server, path, **body):
    with server.connect(timeout=120) as connection:
        return connection.ask("POST", path, chat.dumps({"model": engine.MODEL} | body))


def events_of(reply):
    assert reply.status == 200, reply.body
    return [json.loads(event) for event in reply.events()]


def sum_of(call):
    return json.loads(call["output"]) == [{"type": "text", "text": str(call["arguments"]["a"] + call["arguments"]["b"])}]


def test_one_native_chat_with_a_server_over_stdio_and_one_over_http(tooled):
    server, address = tooled()
    both = [
        {"type": "plugin", "id": "mcp/real", "allowed_tools": ["add"]},
        {"type": "ephemeral_mcp", "server_label": "web", "server_url": address, "headers": {"Authorization": "Bearer hush"},
         "allowed_tools": ["add", "secret"]}]
    asked = {"integrations": both, "temperature": 0, "max_output_tokens": 300}

    def demanded(tool):
        return {"type": "function", "function": {"name": tool}}

    events = events_of(post(
        server, "/api/v1/chat", input="Please call the tool.", stream=True, tool_choice=demanded("real__add"), **asked))
    told = [event["type"] for event in events if not event["type"].endswith((".progress", ".delta"))]
    assert told == [
        "chat.start", "model_load.start", "model_load.end", "prompt_processing.start", "prompt_processing.end",
        "tool_call.start", "tool_call.arguments", "tool_call.success", "prompt_processing.start", "prompt_processing.end",
        "message.start", "message.end", "chat.end"]
    result = events[-1]["result"]
    call, message = result["output"]
    assert (call["type"], call["tool"], call["provider_info"]) == ("tool_call", "add", {"type": "plugin", "plugin_id": "mcp/real"})
    assert sum_of(call) and message["content"]

    second = post(
        server, "/api/v1/chat", input="Use a tool.", previous_response_id=result["response_id"],
        tool_choice=demanded("web__add"), **asked)
    assert second.status == 200, second.body
    call, message = second.json["output"]
    assert call["provider_info"] == {"type": "ephemeral_mcp", "server_label": "web"}
    assert sum_of(call) and message["content"]
    third = post(
        server, "/api/v1/chat", input="Use a tool.", previous_response_id=second.json["response_id"],
        tool_choice=demanded("secret"), **asked)
    assert json.loads(third.json["output"][0]["output"]) == [{"type": "text", "text": "nothing"}]
    took = [reply["stats"]["input_tokens"] for reply in (result, second.json, third.json)]
    assert took == sorted(took), "the conversation grows by what was called and found"


def test_one_reply_with_calls_of_both_servers(tooled):
    """Demanded calls may be several; that they are of both servers is chance, one in twenty."""
    server, address = tooled()
    both = [
        {"type": "plugin", "id": "mcp/real", "allowed_tools": ["secret"]},
        {"type": "ephemeral_mcp", "server_label": "web", "server_url": address, "headers": {"Authorization": "Bearer hush"},
         "allowed_tools": ["fail"]}]
    for seed in range(300):
        reply = post(
            server, "/api/v1/chat", input="What is the weather in Paris?", integrations=both, tool_choice="required",
            temperature=2, seed=seed, max_output_tokens=300)
        assert reply.status == 200, reply.body
        calls = [item for item in reply.json["output"] if item["type"] == "tool_call"]
        if len({call["tool"] for call in calls}) == 2:
            break
    made = {call["tool"]: (call["provider_info"]["type"], json.loads(call["output"])[0]["text"]) for call in calls}
    assert made["secret"] == ("plugin", "hush")
    assert made["fail"][0] == "ephemeral_mcp" and "Error executing tool fail" in made["fail"][1]
    assert reply.json["output"][-1]["type"] == "message"


def test_what_a_tool_gives_back_is_in_the_prompt_of_the_next_round(tooled):
    server, _ = tooled()
    took = {}
    for label in ("real", "wordy"):
        reply = post(
            server, "/v1/responses", input="Please call the tool.", tool_choice="required", temperature=0, max_output_tokens=300,
            tools=[{"type": "mcp", "server_label": label, "require_approval": "never", "allowed_tools": ["secret"]}])
        assert reply.status == 200, reply.body
        listed, *calls, message = reply.json["output"]
        assert listed["type"] == "mcp_list_tools" and message["type"] == "message" and calls
        assert {call["output"] for call in calls} == {"hush" if label == "real" else "the cat sat. " * 100}
        took[label] = reply.json["usage"]["input_tokens"]
    assert took["wordy"] > took["real"] + 300, took


def test_the_tokens_of_all_rounds_are_bounded(tooled):
    server, _ = tooled(max_tokens=50)
    asked = {"input": "Please call the tool.", "integrations": [{"type": "plugin", "id": "mcp/real", "allowed_tools": ["add"]}]}
    reply = post(server, "/api/v1/chat", tool_choice="required", temperature=0, **asked)
    assert reply.status == 422 and "mcp.max_tokens" in reply.json["error"]["message"], reply.body
    assert reply.json["error"]["code"] == "tool_limit"


def test_a_chat_client_gets_the_answer_alone(tooled, sdk):
    server, _ = tooled(chat=["real"])
    asked = {"model": engine.MODEL, "messages": [{"role": "user", "content": "Please call the tool."}], "temperature": 0, "max_tokens": 300}
    reply = sdk(server, timeout=120).chat.completions.create(**asked)
    assert reply.choices[0].message.content and not reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "stop"
    once = sdk(server, timeout=120).chat.completions.create(**asked, tool_choice="none")
    assert reply.usage.prompt_tokens > once.usage.prompt_tokens + 100, "it was asked twice"


def test_while_a_tool_runs_its_arguments_are_told_and_its_model_is_in_use(tooled):
    server, _ = tooled()
    body = chat.dumps({
        "model": engine.MODEL, "input": "Please call the tool.", "stream": True, "ttl": 1, "temperature": 0,
        "integrations": [{"type": "plugin", "id": "mcp/slow", "allowed_tools": ["wait"]}],
        "tool_choice": {"type": "function", "function": {"name": "wait"}}, "max_output_tokens": 300})

    def residents():
        return [(entry["state"], entry["users"]) for entry in server.ask("GET", "/admin/v1/residents").json["residents"]]

    with server.connect(timeout=60) as client:
        client.send(request("POST", "/api/v1/chat", body, port=server.port))
        heard = b""
        while b": keepalive" not in heard.partition(b"event: tool_call.arguments")[2]:
            piece = client.socket.recv(1 << 16)
            assert piece, heard
            heard += piece
        assert residents() == [("generating", 1)], "beyond its idle time"
    until(lambda: residents() == [], "it has gone when it was idle", 20)
