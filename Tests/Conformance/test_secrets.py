"""Nothing that was said, and no key, is in the log or in a refusal, at the level that tells most and however an exchange ends."""

import json

import pytest

from support import chat
from support.answer import Answer, Call, Text, Thinking

LEAKS = {"prompt": "canary-said-a1f4", "answer": "canary-told-b2e5", "tool": "canary-tool-c3d6", "token": "canary-token-d4c7",
         "key": "canary-key-f6a9"}


def asks(model):
    """The same prompt in both dialects, marked wherever a person's words can stand."""
    said = LEAKS["prompt"]
    tool = {"name": "weather", "description": LEAKS["tool"], "input_schema": {"type": "object", "description": LEAKS["tool"]}}
    call = chat.call("call_1", "weather", json.dumps({"x": said}))
    for stream in (False, True):
        yield "/v1/chat/completions", {
            "model": model, "stream": stream, "user": said, "stop": [said], "tools": [{"type": "function", "function": {
                "name": "weather", "description": LEAKS["tool"], "parameters": tool["input_schema"]}}],
            "messages": [{"role": "system", "content": said}, {"role": "user", "content": said},
                         {"role": "assistant", "content": None, "tool_calls": [call]},
                         {"role": "tool", "tool_call_id": "call_1", "content": said}]}
        yield "/v1/messages", {
            "model": model, "stream": stream, "max_tokens": 50, "system": said, "tools": [tool], "metadata": {"user_id": said},
            "messages": [{"role": "user", "content": said}]}


def endings(kind):
    """Scripts: a success and every kind of failure; the upstream is talkative about what it was sent."""
    gossip = f"no: {LEAKS['prompt']} {LEAKS['answer']}"
    answer = Answer([Thinking(LEAKS["answer"]), Text(LEAKS["answer"]),
                     Call("call_1", "weather", json.dumps({"x": LEAKS["answer"]}))], "calls")
    yield answer.script("messages" if kind == "anthropic" else "chat")
    for status in (400, 401, 404, 429, 500, 503):
        yield lambda exchange, status=status: exchange.json(
            {"type": "error", "error": {"type": gossip, "message": gossip, "code": gossip}}, status, "No", x_request_id=gossip)
    yield lambda exchange: exchange.json({"error": gossip})
    yield lambda exchange: exchange.json(gossip.encode())
    yield lambda exchange: exchange.send(f"{gossip}\r\n\r\n".encode())
    yield lambda exchange: exchange.stream(chat.event({"error": {"message": gossip}}))
    yield lambda exchange: exchange.stream(chat.text_stream(LEAKS["answer"], finish=None, done=False) + b"data: " + gossip.encode())
    yield lambda exchange: exchange.reset()


@pytest.mark.parametrize("format", ["text", "json"])
def test_the_log_holds_nothing_that_was_said(martlet, upstream, format):
    sources = {kind: upstream() for kind in ("openai-compatible", "openai", "anthropic")}
    server = martlet(None, "--no-discovery", "--log-level", "trace", "--log-format", format, config={"upstreams": {
        kind: {"kind": kind, "url": source.url, "api_key": LEAKS["key"], "retries": 0} for kind, source in sources.items()}})
    server.wait_for_model(chat.MODEL)
    ended = 0
    for kind, source in sources.items():
        for script in endings(kind):
            source.script = script
            for target, body in asks(f"{kind}/m1"):
                with server.connect() as client:
                    reply = client.ask("POST", target, chat.dumps(body), authorization=f"Bearer {LEAKS['token']}",
                                       x_api_key=LEAKS["token"], cookie=LEAKS["token"])
                ended += 1
                assert LEAKS["key"].encode() not in reply.body and LEAKS["token"].encode() not in reply.body
    for body in (b'{"model":"m1","messages":["%s"' % LEAKS["prompt"].encode(), b'"%s"' % LEAKS["prompt"].encode(),
                 chat.dumps({"model": "m9", "messages": LEAKS["prompt"]})):
        assert server.chat(body).status in (400, 404)
    log = server.log()
    assert log.count("exchange ended") >= ended
    assert [name for name, mark in LEAKS.items() if mark in log] == []


def test_a_key_in_what_an_upstream_says_of_its_models_goes_nowhere(martlet, upstream):
    source = upstream()
    source.get = lambda exchange: exchange.json(
        {"error": {"message": f"API key {chat.UPSTREAM_KEY} not valid", "type": "x"}}, 400, "Bad Request")
    server = martlet(None, "--no-discovery", config={"upstreams": {
        "mine": {"kind": "openai-compatible", "url": source.url, "api_key": chat.UPSTREAM_KEY}}})
    shown = server.ask("GET", "/health").body + server.ask("GET", "/v1/models").body
    assert b"mine" in shown
    assert chat.UPSTREAM_KEY.encode() not in shown
    assert "model list not read" in server.log(), "this is where it could stand"
    assert chat.UPSTREAM_KEY not in server.log()


def test_a_key_that_an_upstream_quotes_does_not_reach_the_client(matrix):
    for kind in matrix.upstreams:
        for status in (400, 401, 403, 422, 500):
            matrix.play(kind, lambda exchange, status=status: exchange.json(
                {"type": "error", "error": {"message": f"API key {chat.UPSTREAM_KEY} not valid", "type": "x"}}, status, "No"))
            for target in ("/v1/chat/completions", "/v1/messages"):
                reply = matrix.server.ask("POST", target, chat.body(model=f"{kind}/m1", max_tokens=9))
                assert reply.status >= 400
                assert chat.UPSTREAM_KEY.encode() not in reply.body, (kind, status, target)
