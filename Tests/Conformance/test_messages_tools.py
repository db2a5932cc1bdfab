"""Servers that a Messages request names, with the official library of Anthropic; the model is a scripted upstream."""

import json

import anthropic
import pytest

from support import chat, engine
from support.tools import give_servers, real

BETAS = ["mcp-client-2025-11-20"]
ASKED = {"model": "m1", "max_tokens": 500, "messages": [{"role": "user", "content": "2+3?"}], "betas": BETAS}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "web"}
OWN = {"name": "mine", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture
def named(martlet, upstream, web):
    """`named(script)`: a client, its upstream, and the server that requests name."""

    def start(script, **mcp):
        source = upstream(script)
        server = martlet(source, before=lambda server: give_servers(server, {"real": real()}), config={
            "upstreams": {"u": {"url": source.url, "kind": "openai-compatible"}},
            "mcp": {"installed": "on", "ephemeral": "on", "allowed_hosts": ["127.0.0.1"]} | mcp})
        client = anthropic.Anthropic(base_url=server.url, api_key=chat.CLIENT_KEY, max_retries=2, timeout=60)
        return client, source, [{"type": "url", "url": web(token="hush"), "name": "web", "authorization_token": "hush"}]

    return start


def once(*made):
    """A script: makes these calls at once, and then says that it is done."""

    def script(exchange):
        if not made or any(message["role"] == "tool" for message in exchange.request.json["messages"]):
            exchange.stream(chat.text_stream("It is done", usage=(5, 2)))
        else:
            exchange.stream(chat.calls_stream(*[
                (f"c{place}", name, [json.dumps(arguments, separators=(",", ":"))]) for place, (name, arguments) in enumerate(made)]))

    return script


def dumped(reply):
    return [block.model_dump(exclude_none=True) for block in reply.content]


@pytest.mark.parametrize("toolset, offered", [
    ({"configs": {"secret": {"enabled": False}}}, ["add", "fail"]),
    ({"default_config": {"enabled": True}, "configs": {"secret": {"enabled": False}}}, ["add", "fail"]),
    ({"default_config": {"enabled": False}}, []),
    ({"default_config": {"enabled": False}, "configs": {"add": {"enabled": True}}}, ["add"]),
])
def test_what_a_client_withholds_is_not_run(named, toolset, offered):
    client, source, servers = named(once(("secret", {})))
    reply = client.beta.messages.create(**ASKED, mcp_servers=servers, tools=[TOOLSET | toolset])
    assert [tool["function"]["name"] for tool in source.requests[0].json.get("tools", [])] == offered
    assert reply.content[1].type == "mcp_tool_result" and reply.content[1].is_error, reply.content


def test_each_server_and_its_toolset(named):
    client, source, servers = named(once())
    for server, tools, words in [
        (servers, [], "no mcp_toolset"), ([], [TOOLSET], "tools[0].mcp_server_name: \"web\" is none of the request's mcp_servers"),
    ]:
        with pytest.raises(anthropic.BadRequestError, match="mcp") as refused:
            client.beta.messages.create(**ASKED, mcp_servers=server, tools=tools)
        assert words in refused.value.body["error"]["message"]
    client.beta.messages.create(**ASKED | {"betas": ["mcp-client-2025-04-04"]}, mcp_servers=servers)
    assert [tool["function"]["name"] for tool in source.requests[-1].json["tools"]] == ["add", "fail", "secret"]
