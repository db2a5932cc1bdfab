"""Models that see, on the real engine: images of every dialect reach a model that has its projector beside it."""

import base64
import json
import struct
import zlib

import pytest

from support import chat, engine
from support.pictures import WEBP, Pictures
from support.server import Martlet

MODEL = "tiny-vision"
IMAGE_TOKENS = 4  # what the projector makes of an image


def png(red, green, blue, side=32):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes((red, green, blue)) * side) * side
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def data_url(data, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


RED, BLUE = png(255, 0, 0), png(0, 0, 255)


@pytest.fixture(scope="module")
def server(tiny_models):
    made = Martlet(engines=engine.engines(), environment={"MARTLET_ENGINE_THREADS": "1"})
    engine.give_model(made)
    engine.give_model(made, name=MODEL, projector=tiny_models / "mmproj-tiny-vision.gguf")
    made.start()
    yield made
    wrong = made.stop()
    made.remove()
    assert not wrong, "; ".join(wrong)


def chat_body(*images, text="What is this?"):
    parts = [{"type": "image_url", "image_url": {"url": one}} for one in images]
    return {"messages": [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}], "max_tokens": 3}


def messages_body(*images, text="What is this?"):
    parts = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": one.split(",", 1)[1]}} for one in images]
    return {"messages": [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}], "max_tokens": 3}


def responses_body(*images, text="What is this?"):
    parts = [{"type": "input_image", "image_url": one} for one in images]
    return {"input": [{"role": "user", "content": [*parts, {"type": "input_text", "text": text}]}], "max_output_tokens": 16}


DIALECTS = {
    "chat": ("/v1/chat/completions", chat_body, "prompt_tokens"), "anthropic": ("/v1/messages", messages_body, "input_tokens"),
    "responses": ("/v1/responses", responses_body, "input_tokens"),
}


def ask(server, dialect, *images, model=MODEL, **more):
    target, body, _ = DIALECTS[dialect]
    return server.ask("POST", target, json.dumps(body(*images) | {"model": model} | more).encode())


def prompt(reply, dialect):
    """Its tokens, those that were read before among them."""
    assert reply.status == 200, reply.body
    usage = reply.json["usage"]
    return usage[DIALECTS[dialect][2]] + usage.get("cache_read_input_tokens", 0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_image_reaches_the_model(server, dialect):
    blind = prompt(ask(server, dialect), dialect)
    one = prompt(ask(server, dialect, data_url(RED)), dialect)
    two = prompt(ask(server, dialect, data_url(RED), data_url(BLUE)), dialect)
    assert one >= blind + IMAGE_TOKENS and two - one == one - blind, "each image is as many tokens"


@pytest.mark.parametrize("dialect", ["chat", "anthropic", "responses"])
def test_an_image_in_a_streamed_exchange(server, dialect):
    reply = ask(server, dialect, data_url(RED), stream=True)
    assert reply.status == 200 and reply.body.count(b"data:") > 2 and b"error" not in reply.body.lower().replace(b'"error":null', b"")


def test_it_is_the_images_own_bytes(server):
    """The engine knows what it has read before by its content."""
    def cached(image):
        return ask(server, "chat", data_url(image), seed=1).json["usage"]["prompt_tokens_details"]["cached_tokens"]

    green, yellow = png(0, 255, 0), png(255, 255, 0)
    cached(green)
    same, other = cached(green), cached(yellow)
    assert same >= other + IMAGE_TOKENS


def test_the_engine_is_started_with_the_projector_and_others_without(server):
    ask(server, "chat", data_url(RED))
    assert server.chat(chat.body(model=engine.MODEL, max_tokens=1)).status == 200
    lines = {}
    for pid in server.processes():
        words = engine.words_of(pid)
        if "--alias" in words and not words[0].endswith("sh"):
            lines[words[words.index("--alias") + 1]] = words
    assert lines[MODEL][lines[MODEL].index("--mmproj") + 1].endswith("mmproj-tiny-vision.gguf")
    assert "--mmproj" not in lines[engine.MODEL]


def test_the_lists_say_who_sees(server):
    abilities = {one["id"]: one["capabilities"] for one in server.ask("GET", "/v1/models").json["data"]}
    assert "vision" in abilities[MODEL] and "vision" not in abilities[engine.MODEL]
    native = {one["key"]: one["capabilities"]["vision"] for one in server.ask("GET", "/api/v1/models").json["models"]}
    assert native == {MODEL: True, engine.MODEL: False}
    legacy = {one["id"]: one["type"] for one in server.ask("GET", "/api/v0/models").json["data"]}
    assert legacy == {MODEL: "vlm", engine.MODEL: "llm"}


def test_a_model_without_eyes_refuses_as_before(server):
    reply = ask(server, "chat", data_url(RED), model=engine.MODEL)
    assert reply.status == 400 and "this model cannot see images" in reply.json["error"]["message"]
    with_words = prompt(ask(server, "anthropic", data_url(RED), model=engine.MODEL), "anthropic")
    assert with_words > prompt(ask(server, "anthropic", model=engine.MODEL), "anthropic") + IMAGE_TOKENS, "[image omitted: …]"


def test_the_engine_is_not_sent_to_fetch_anything(server):
    pictures = Pictures()
    try:
        reply = ask(server, "chat", pictures.url("/a.png"))
        assert reply.status == 400 and "images.fetch" in reply.json["error"]["message"]
        assert pictures.asked == []
    finally:
        pictures.close()


@pytest.mark.parametrize("image, words", [
    (data_url(WEBP, "image/webp"), "image/gif, image/jpeg, image/png, not image/webp"),
    (data_url(b"\x89PNG\r\n\x1a\n"), "Failed to load image"),
], ids=["webp", "broken"])
def test_what_it_cannot_read_is_said(server, image, words):
    reply = ask(server, "chat", image)
    assert reply.status == 400 and words in reply.json["error"]["message"], reply.body
