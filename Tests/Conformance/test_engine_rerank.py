"""Models that rank documents on the real engine."""

import json

import pytest

from support import chat, engine
from support.server import Martlet

MODEL = "tiny-rerank"
QUERY = "where does the cat sleep"
DOCUMENTS = ["stock market prices fell", "the cat sleeps on the mat", "a red car on the road", "the king and the queen"]


@pytest.fixture(scope="module")
def server(tiny_models):
    made = Martlet(engines=engine.engines(), environment={"MARTLET_ENGINE_THREADS": "1"})
    engine.give_model(made, tiny_models / "tiny-rerank.gguf", MODEL)
    made.start()
    yield made
    wrong = made.stop()
    made.remove()
    assert not wrong, "; ".join(wrong)


def rank(server, target="/v1/rerank", **more):
    body = {"model": MODEL, "query": QUERY, "documents": DOCUMENTS} | more
    return server.ask("POST", target, json.dumps(body).encode())


@pytest.mark.parametrize("target", ["/v1/rerank", "/rerank"])
def test_documents_come_best_first_with_the_engines_own_scores(server, target):
    reply = rank(server, target)
    assert reply.status == 200, reply.body
    assert reply.json["model"] == MODEL and reply.json["usage"]["prompt_tokens"] > len(DOCUMENTS)
    results = reply.json["results"]
    assert sorted(one["index"] for one in results) == [0, 1, 2, 3]
    scores = [one["relevance_score"] for one in results]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 4
    [socket] = server.sockets()
    own = engine.get(socket, "/v1/rerank", {"model": MODEL, "query": QUERY, "documents": DOCUMENTS})["results"]
    assert {one["index"]: one["relevance_score"] for one in results} == {
        one["index"]: pytest.approx(one["relevance_score"], abs=1e-4) for one in own}
    _, words = engine.command(server)
    assert "--rerank" in words


def test_only_the_best_with_their_texts(server):
    every = rank(server).json["results"]
    best = rank(server, top_n=2, return_documents=True).json["results"]
    assert [one["index"] for one in best] == [one["index"] for one in every[:2]]
    assert [one["document"]["text"] for one in best] == [DOCUMENTS[one["index"]] for one in best]
    assert "document" not in every[0]


def test_documents_may_be_objects(server):
    assert rank(server, documents=[{"text": text} for text in DOCUMENTS]).json["results"] == rank(server).json["results"]


def test_a_document_that_is_too_long_is_refused_with_the_numbers(server):
    reply = rank(server, documents=["short", "cat " * 300])
    assert reply.status == 400 and reply.json["error"]["code"] == "context_length_exceeded"
    assert "128 tokens" in reply.json["error"]["message"]


@pytest.mark.parametrize("wrong, member", [({"query": ""}, "query"), ({"documents": []}, "documents"), ({"top_n": 0}, "top_n")])
def test_what_is_wrong_is_named(server, wrong, member):
    reply = rank(server, **wrong)
    assert reply.status == 400 and reply.json["error"]["param"] == member


def test_it_neither_chats_nor_embeds_and_says_so(server):
    reply = server.chat(chat.body(model=MODEL))
    assert reply.status == 400 and "tiny-rerank ranks documents (POST /v1/rerank) and writes no text" in reply.json["error"]["message"]
    reply = server.ask("POST", "/v1/embeddings", json.dumps({"model": MODEL, "input": "a"}).encode())
    assert reply.status == 400 and "makes no embeddings" in reply.json["error"]["message"]
