"""Embedding models on the real engine: vectors in every form, whole batches, and clear words for what they do not do."""

import base64
import hashlib
import json
import math
import os
import struct

import openai
import pytest
from langchain_openai import OpenAIEmbeddings

from support import chat, engine
from support.server import Martlet

MODEL = "tiny-embed"
NUMBERS = 64
WINDOW = 128  # tokens it was trained for, two of them its own
TEXTS = ["the cat sat on the mat", "a kitten sleeps on the mat with the cat", "stock market prices fell"]


@pytest.fixture(scope="module")
def server(tiny_models):
    made = Martlet(engines=engine.engines(), environment={"MARTLET_ENGINE_THREADS": "1"})
    engine.give_model(made)
    engine.give_model(made, tiny_models / "tiny-embed.gguf", MODEL)
    made.start()
    yield made
    wrong = made.stop()
    made.remove()
    assert not wrong, "; ".join(wrong)


@pytest.fixture
def client(server, sdk):
    return sdk(server, timeout=120)


def near(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def post(server, body, target="/v1/embeddings"):
    return server.ask("POST", target, json.dumps(body).encode())


def unpacked(text):
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def test_the_models_that_tests_make_are_always_the_same(tiny_models, tmp_path):
    again = engine.make_models(tmp_path)
    for path in tiny_models.iterdir():
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256((again / path.name).read_bytes()).digest()


def test_the_library_gets_vectors_as_it_asks_for_them_by_itself(server, client):
    packed = client.embeddings.create(model=MODEL, input=TEXTS)  # base64, which it unpacks
    plain = client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
    assert [one.index for one in packed.data] == [0, 1, 2] and packed.model == MODEL
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == plain.usage.prompt_tokens > 3 * 2
    for one, other in zip(packed.data, plain.data, strict=True):
        assert len(one.embedding) == NUMBERS and math.isclose(near(one.embedding, one.embedding), 1, abs_tol=1e-5)
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    first, second, third = (one.embedding for one in plain.data)
    assert near(first, second) > near(first, third) + 0.1, "texts of the same words are nearer to each other"
    [socket] = server.sockets()
    own = engine.get(socket, "/v1/embeddings", {"model": MODEL, "input": TEXTS})
    assert [one.embedding for one in plain.data] == [pytest.approx(one["embedding"], abs=1e-6) for one in own["data"]]


def test_both_forms_over_the_wire(server):
    packed = post(server, {"model": MODEL, "input": "the cat", "encoding_format": "base64"}).json["data"][0]["embedding"]
    plain = post(server, {"model": MODEL, "input": "the cat"}).json["data"][0]["embedding"]
    assert isinstance(packed, str) and unpacked(packed) == pytest.approx(plain, abs=1e-6)


def test_the_engine_is_started_for_it(server, client):
    client.embeddings.create(model=MODEL, input="the cat")
    _, words = engine.command(server)
    assert "--embeddings" in words and "--pooling" not in words, "the file says how"
    for flag in ("--batch-size", "--ubatch-size"):
        assert words[words.index(flag) + 1] == str(WINDOW), "a whole text is read at once"


def test_a_batch_larger_than_the_engines_slots_comes_in_order(client):
    texts = [f"the {word} and the {other}" for word in "cat dog house car tree".split() for other in "sun rain snow day night".split()]
    batch = client.embeddings.create(model=MODEL, input=texts).data
    assert [one.index for one in batch] == list(range(len(texts)))
    for index in (0, 7, len(texts) - 1):
        alone = client.embeddings.create(model=MODEL, input=texts[index]).data[0].embedding
        assert batch[index].embedding == pytest.approx(alone, abs=1e-3)


def test_tokens_are_taken_as_texts_are(server, client):
    [socket] = engine_socket(server, client)
    tokens = engine.get(socket, "/tokenize", {"content": "the cat sat", "add_special": True})["tokens"]
    made = client.embeddings.create(model=MODEL, input=[tokens])
    assert made.usage.prompt_tokens == len(tokens)
    assert made.data[0].embedding == pytest.approx(
        client.embeddings.create(model=MODEL, input="the cat sat").data[0].embedding, abs=1e-5)


def engine_socket(server, client):
    client.embeddings.create(model=MODEL, input="a")
    return server.sockets()


def test_another_length_of_vectors_is_not_to_be_had(client):
    assert len(client.embeddings.create(model=MODEL, input="the cat", dimensions=NUMBERS).data[0].embedding) == NUMBERS
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=MODEL, input="the cat", dimensions=8)
    assert caught.value.param == "dimensions" and "64 numbers and not 8" in caught.value.message


def test_a_text_that_is_too_long_is_refused_with_the_numbers(client):
    longest = client.embeddings.create(model=MODEL, input="cat " * (WINDOW - 2))
    assert longest.usage.prompt_tokens == WINDOW
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=MODEL, input=["short", "cat " * 300])
    assert caught.value.code == "context_length_exceeded"
    assert "maximum context length is 128 tokens" in caught.value.message and "302 tokens" in caught.value.message


@pytest.mark.parametrize("wrong", ["", [], [""], None, 7, [{"a": 1}], ["a", 1]], ids=json.dumps)
def test_what_is_no_text_is_named(server, wrong):
    reply = post(server, {"model": MODEL, "input": wrong})
    assert reply.status == 400 and reply.json["error"]["param"].startswith("input")


def test_langchain_embeds(server):
    made = OpenAIEmbeddings(
        model=MODEL, base_url=f"{server.url}/v1", api_key=chat.CLIENT_KEY, check_embedding_ctx_length=False)
    vectors = made.embed_documents(TEXTS)
    asked = made.embed_query("the cat on the mat")
    ranked = sorted(range(3), key=lambda place: -near(asked, vectors[place]))
    assert len(vectors) == 3 and ranked[-1] == 2


def test_who_names_no_model_gets_the_only_one_that_does_it(server):
    reply = post(server, {"input": "the cat"})
    assert reply.status == 200 and reply.json["model"] == MODEL and reply.headers["x-martlet-model"] == f"local/{MODEL}"
    reply = server.chat(chat.body(model="local-model", max_tokens=1))
    assert reply.status == 200 and reply.headers["x-martlet-model"] == f"local/{engine.MODEL}"


CHATS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/completions": {"prompt": "hi"},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5},
    "/v1/responses": {"input": "hi"},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("target", CHATS)
def test_it_does_not_chat_and_says_so(server, target, stream):
    reply = post(server, CHATS[target] | {"model": MODEL, "stream": stream}, target)
    assert reply.status == 400
    assert "tiny-embed makes embeddings (POST /v1/embeddings) and writes no text" in reply.json["error"]["message"]


def test_a_model_that_chats_makes_no_embeddings(server, client):
    before = len(server.sockets())
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=engine.MODEL, input="hi")
    assert "tiny-chat writes text and makes no embeddings; name a model that does" in caught.value.message
    reply = post(server, {"model": MODEL, "query": "q", "documents": ["d"]}, "/v1/rerank")
    assert reply.status == 400 and "ranks no documents" in reply.json["error"]["message"]
    assert len(server.sockets()) == before, "nothing was loaded for it"


def test_a_real_sentence_model_tells_what_is_near(martlet, sdk):
    weights = os.environ.get("MARTLET_TEST_MINILM")
    assert weights, "MARTLET_TEST_MINILM is not set: run these by Scripts/check --only conformance"
    server = martlet(
        before=lambda made: engine.give_model(made, weights, "all-minilm-l6-v2"), engines=engine.engines(),
        environment={"MARTLET_ENGINE_THREADS": "1"})
    made = sdk(server, timeout=120).embeddings.create(model="all-minilm-l6-v2", input=[
        "A cat sits outside in the sun.", "A kitten is resting in the sunshine.", "The stock market fell sharply today."])
    cat, kitten, market = (one.embedding for one in made.data)
    assert len(cat) == 384 and near(cat, kitten) > 0.5 > 0.3 > near(cat, market)
