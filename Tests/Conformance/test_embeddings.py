"""Embeddings in the form the client asked for, whatever the upstream gives; and rankings of documents."""

import base64
import json
import socket
import struct
import subprocess
import urllib.request

import openai
import pytest

from support import chat, engine
from support.waiting import until
from support.wire import request

VECTORS = [[0.1, -2.5, 3.0, 1e-05], [16777217, 0.30000001192092896, -0.0, 7.0]]


def float32(numbers):
    """The nearest 32-bit floats, as Python's."""
    return list(struct.unpack(f"<{len(numbers)}f", struct.pack(f"<{len(numbers)}f", *numbers)))


def encoded(numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def reply(*vectors, usage=5, model="m1"):
    return {"object": "list", "model": model, "usage": {"prompt_tokens": usage, "total_tokens": usage},
            "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]}


@pytest.mark.parametrize("given", ["float", "base64"])
@pytest.mark.parametrize("asked", ["default", "float", "base64"])
def test_vectors_come_in_the_form_that_was_asked_for(martlet, upstream, sdk, given, asked):
    """C15: The library asks for base64 by itself, and gives floats."""
    vectors = VECTORS if given == "float" else [encoded(one) for one in VECTORS]
    source = upstream(lambda exchange: exchange.json(reply(*vectors)))
    more = {} if asked == "default" else {"encoding_format": asked}
    got = sdk(martlet(source, kind="lmstudio", wait=False)).embeddings.create(model="m1", input=["a", "b"], **more)
    want = [encoded(one) for one in VECTORS] if asked == "base64" else [float32(one) for one in VECTORS]
    if asked == "base64":
        assert [one.embedding for one in got.data] == want
    else:
        assert [float32(one.embedding) for one in got.data] == want
    assert [one.index for one in got.data] == [0, 1] and got.model == "m1" and got.usage.prompt_tokens == 5
    sent = {"float": "float"}.get(asked, "base64")
    assert source.request.target == "/v1/embeddings"
    assert source.request.json == {"model": "m1", "input": ["a", "b"], "encoding_format": sent}


def test_floats_for_a_client_that_says_nothing(martlet, upstream):
    source = upstream(lambda exchange: exchange.json(reply(encoded([0.1, 2.0]))))
    got = martlet(source).ask("POST", "/embeddings", json.dumps({"model": "m1", "input": "a"}).encode())
    assert got.status == 200 and got.json["data"][0]["embedding"] == [0.1, 2.0]
    assert b"[0.1,2.0]" in got.body, "the shortest text"


def test_exact_mode_keeps_the_bytes(martlet, upstream):
    body = b'{"data":[ {"embedding":[0.10],"index":0} ],"model":"m1","x":1.50}'
    source = upstream(lambda exchange: exchange.json(body))
    server = martlet(source, "--alias", "ada=m1", mode="exact")
    got = server.ask("POST", "/v1/embeddings", b'{"input":[],"model":"ada"}')
    assert got.body == body.replace(b'"m1"', b'"ada"')
    assert source.request.body == b'{"input":[],"model":"m1"}'


def test_tokens_reach_a_server_that_takes_them_and_no_other(martlet, upstream, sdk):
    source = upstream(lambda exchange: exchange.json(reply([1.0], [2.0], usage=0)))
    got = sdk(martlet(source, kind="llamacpp")).embeddings.create(model="m1", input=[[1, 2], [3]])
    assert source.request.json["input"] == [[1, 2], [3]]
    assert got.usage.prompt_tokens == 3, "counted where the server does not"
    other = upstream()
    with pytest.raises(openai.BadRequestError) as caught:
        sdk(martlet(other, kind="lmstudio", wait=False)).embeddings.create(model="m1", input=[1, 2])
    assert caught.value.param == "input" and other.requests == []


@pytest.mark.parametrize("wrong", [
    reply([1.0]), reply([1.0], [1.0], [1.0]), {"data": [{"index": 1, "embedding": [1.0]}] * 2}, {"object": "list"},
    reply([1.0], [None]),
])
def test_a_reply_that_does_not_answer_is_the_upstreams_failure(martlet, upstream, sdk, wrong):
    with pytest.raises(openai.APIStatusError) as caught:
        sdk(martlet(upstream(lambda exchange: exchange.json(wrong)))).embeddings.create(model="m1", input=["a", "b"])
    assert caught.value.status_code == 502 and "sent" in caught.value.message


def test_order_follows_the_index(martlet, upstream, sdk):
    answer = reply([1.0], [2.0])
    answer["data"].reverse()
    got = sdk(martlet(upstream(lambda exchange: exchange.json(answer)))).embeddings.create(model="m1", input=["a", "b"])
    assert [(one.index, one.embedding) for one in got.data] == [(0, [1.0]), (1, [2.0])]


def test_another_length_than_asked_for_is_said(martlet, upstream, sdk):
    source = upstream(lambda exchange: exchange.json(reply([1.0, 2.0, 3.0])))
    with pytest.raises(openai.BadRequestError) as caught:
        sdk(martlet(source)).embeddings.create(model="m1", input="a", dimensions=2)
    assert caught.value.param == "dimensions" and source.request.json["dimensions"] == 2


def test_a_large_batch_is_converted(martlet, upstream, sdk):
    vector = [((index * 7919) % 20011) / 20011 - 0.5 for index in range(1024)]
    source = upstream(lambda exchange: exchange.json(reply(*[vector] * 256)))
    got = sdk(martlet(source, kind="lmstudio", wait=False)).embeddings.create(model="m1", input=["a"] * 256)
    assert len(got.data) == 256 and all(float32(one.embedding) == float32(vector) for one in got.data)


def test_an_upstream_without_the_route_is_not_asked(martlet, upstream, sdk):
    source = upstream()
    client = sdk(martlet(source, kind="anthropic"))
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="m1", input="a")
    assert "no route for embeddings" in caught.value.message and source.requests == []


def test_the_next_upstream_of_an_alias_is_asked(martlet, upstream, sdk):
    first, second = upstream(), upstream(lambda exchange: exchange.json(reply([1.0])))
    server = martlet(config={
        "upstreams": {"a": {"url": first.url, "kind": "anthropic"}, "b": {"url": second.url, "kind": "llamacpp"}},
        "models": {"aliases": {"ada": ["a/m1", "b/m1"]}}})
    assert sdk(server).embeddings.create(model="ada", input="a").data[0].embedding == [1.0]


def test_retries_and_the_clients_own_errors(martlet, upstream, sdk):
    source = upstream([
        lambda exchange: exchange.json({"error": "busy"}, 503, "Busy"), lambda exchange: exchange.json(reply([1.0]))])
    client = sdk(martlet(source))
    assert client.embeddings.create(model="m1", input="a").data[0].embedding == [1.0]
    for asked, member in (({"input": []}, "input"), ({"input": ""}, "input"), ({"input": "a", "dimensions": 0}, "dimensions")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model="m1", **asked)
        assert caught.value.param == member
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="unknown", input="a")
    assert len(source.requests) == 2


def test_a_client_that_leaves_frees_the_upstream(martlet, upstream):
    source = upstream(lambda exchange: exchange.wait_gone())
    server = martlet(source)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(request("POST", "/v1/embeddings", b'{"model":"m1","input":"a"}', port=server.port))
        until(lambda: source.exchanges, "the request upstream")
    until(lambda: source.exchanges[0].gone_at, "the connection upstream is closed")


RANKING = {"model": "m1", "object": "list", "usage": {"prompt_tokens": 9, "total_tokens": 9}, "results": [
    {"index": 0, "relevance_score": -1.5}, {"index": 1, "relevance_score": 4.25}, {"index": 2, "relevance_score": 0.5}]}


@pytest.mark.parametrize("target", ["/v1/rerank", "/rerank"])
def test_documents_are_ranked(martlet, upstream, target):
    source = upstream(lambda exchange: exchange.json(RANKING))
    body = {"model": "m1", "query": "q", "documents": ["a", {"text": "b"}, "c"], "top_n": 2, "return_documents": True}
    got = martlet(source, kind="llamacpp").ask("POST", target, json.dumps(body).encode())
    assert got.status == 200, got.body
    assert got.json["results"] == [
        {"index": 1, "relevance_score": 4.25, "document": {"text": "b"}},
        {"index": 2, "relevance_score": 0.5, "document": {"text": "c"}}]
    assert got.json["usage"]["total_tokens"] == 9 and got.headers["x-martlet-model"].endswith("/m1")
    assert source.request.target == "/v1/rerank"
    assert source.request.json == body | {"documents": ["a", "b", "c"]}


def test_rankings_that_cannot_be_had(martlet, upstream):
    def script(exchange):
        exchange.json({"error": {"code": 501, "message": "This server does not support reranking. Start it with `--reranking`",
                                 "type": "not_supported_error"}}, 501, "Not Implemented")

    body = json.dumps({"model": "m1", "query": "q", "documents": ["a"]}).encode()
    source = upstream(script)
    got = martlet(source, kind="llamacpp").ask("POST", "/v1/rerank", body)
    assert got.status == 400 and "--reranking" in got.json["error"]["message"] and len(source.requests) == 1
    other = upstream()
    got = martlet(other, kind="lmstudio", wait=False).ask("POST", "/v1/rerank", body)
    assert got.status == 400 and "no route for rerank" in got.json["error"]["message"] and other.requests == []


def test_the_real_engine_embeds(martlet, launcher, sdk, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (tmp_path / "engine.log").open("wb") as log:
        process = subprocess.Popen(
            [*launcher, "--model", str(engine.WEIGHTS), "--host", "127.0.0.1", "--port", str(port), "-t", "1",
             "--embeddings", "--pooling", "mean"], stdout=log, stderr=log)
    try:
        def ready():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
            except OSError:
                return False

        until(ready, "the engine", within=60)
        server = martlet(config={"upstreams": {"up": {"url": f"http://127.0.0.1:{port}", "kind": "llamacpp"}},
                                 "models": {"aliases": {"ada": "up/tiny-chat"}}})
        client = sdk(server, timeout=60)
        packed = client.embeddings.create(model="ada", input=["The cat", "The dog"])
        plain = client.embeddings.create(model="ada", input=["The cat", "The dog"], encoding_format="float")
        assert [float32(one.embedding) for one in plain.data] == [float32(one.embedding) for one in packed.data]
        assert len(plain.data) == 2 and plain.data[0].embedding != plain.data[1].embedding
        assert plain.model == "ada" and plain.usage.prompt_tokens > 0
        assert len(client.embeddings.create(model="ada", input=[[1, 2, 3]]).data) == 1
        ranking = server.ask("POST", "/v1/rerank", b'{"model":"ada","query":"q","documents":["a"]}')
        assert ranking.status == 400 and "reranking" in ranking.json["error"]["message"]
    finally:
        process.terminate()
        process.wait(20)
