"""Images at addresses, before an upstream that takes bytes only: fetched where that is switched on, never from inside."""

import base64

import pytest

from fake_lmstudio import FakeLMStudio, Quirks
from support import chat
from support.pictures import PNG, Pictures

KEY = "acme/writer-8b"
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()


@pytest.fixture
def pictures():
    made = [Pictures(), Pictures()]
    yield made
    for one in made:
        one.close()


@pytest.fixture
def studio(martlet, pictures):
    """`studio(fetch=…, allowed=…)`: a server before a fake LM Studio, and the fake. The first server of pictures is allowed."""
    made = []

    def make(fetch=True, allowed=None):
        made.append(FakeLMStudio(Quirks()))
        allowed = [f"127.0.0.1:{pictures[0].port}"] if allowed is None else allowed
        config = {"upstreams": {"studio": {"kind": "lmstudio", "url": made[-1].url}},
                  "images": {"fetch": fetch, "allowed_hosts": allowed}}
        return martlet(made[-1], config=config), made[-1]

    yield make
    for one in made:
        one.close()


def ask(server, address, dialect="chat", **more):
    if dialect == "chat":
        parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": address}}]
        return server.chat(chat.body(model=KEY, messages=[{"role": "user", "content": parts}], **more))
    if dialect == "anthropic":
        parts = [{"type": "text", "text": "see"}, {"type": "image", "source": {"type": "url", "url": address}}]
        return server.ask("POST", "/v1/messages", chat.dumps(
            {"model": KEY, "max_tokens": 9, "messages": [{"role": "user", "content": parts}]}))
    parts = [{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": address}]
    return server.ask("POST", "/v1/responses", chat.dumps({"model": KEY, "input": [{"role": "user", "content": parts}]}))


@pytest.mark.parametrize("dialect", ["chat", "anthropic", "responses"])
def test_an_image_is_fetched(studio, pictures, dialect):
    server, fake = studio()
    reply = ask(server, pictures[0].url("/a.png"), dialect)
    assert reply.status == 200, reply.body
    assert fake.request.json["messages"][-1]["content"][1] == {"type": "image_url", "image_url": {"url": DATA}}
    path, headers = pictures[0].asked[0]
    assert path == "/a.png" and "authorization" not in {name.lower() for name in headers}


def test_what_is_kept_of_a_response_names_the_address(studio, pictures):
    server, _ = studio()
    kept = ask(server, pictures[0].url("/a.png"), "responses").json["id"]
    items = server.ask("GET", f"/v1/responses/{kept}/input_items").json["data"]
    assert items[0]["content"][1]["image_url"] == pictures[0].url("/a.png")


def test_a_redirect_is_followed(studio, pictures):
    server, fake = studio()
    pictures[0].redirects = {"/b.png": "c.png?sign=a:b", "/c.png?sign=a:b": pictures[0].url("/a.png")}
    assert ask(server, pictures[0].url("/b.png")).status == 200
    assert {headers.get("accept-encoding") for _, headers in pictures[0].asked} == {"identity"}
    assert fake.request.json["messages"][-1]["content"][1]["image_url"]["url"] == DATA


def refused(reply, words):
    assert reply.status == 400, reply.body
    assert words in reply.json["error"]["message"], reply.body


def test_it_is_off_unless_it_is_switched_on(studio, pictures):
    server, fake = studio(fetch=False)
    refused(ask(server, pictures[0].url("/a.png")),
            "messages[0].content[1].image_url: LM Studio takes no image addresses; send a data: URL, or set images.fetch: true")
    reply = ask(server, pictures[0].url("/a.png"), "anthropic")
    assert reply.status == 200 and reply.headers["x-translation-dropped"] == "content.image"
    assert not pictures[0].asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"])
def test_this_machine_is_not_asked(studio, pictures, host):
    server, fake = studio(allowed=[])
    refused(ask(server, pictures[1].url("/a.png", host)), "cannot be fetched: its host ")
    assert not pictures[1].asked and not fake.requests


@pytest.mark.parametrize("address", ["http://10.0.0.1/a.png", "http://169.254.169.254/latest/meta-data", "http://[fd00::1]/a.png"])
def test_nor_are_its_networks(studio, address):
    server, fake = studio(allowed=[])
    refused(ask(server, address), "its host is not on the open internet; images.allowed_hosts can name it")
    assert not fake.requests


def test_a_redirect_into_the_network_is_not_followed(studio, pictures):
    server, fake = studio()
    pictures[0].redirects = {"/b.png": pictures[1].url("/a.png")}
    refused(ask(server, pictures[0].url("/b.png")), "its host is not on the open internet")
    assert not pictures[1].asked and not fake.requests


def test_a_ring_of_redirects_ends(studio, pictures):
    server, _ = studio()
    pictures[0].redirects = {"/b.png": "/b.png"}
    refused(ask(server, pictures[0].url("/b.png")), "it is redirected more than 3 times")
    assert len(pictures[0].asked) == 4


@pytest.mark.parametrize("path, words", [
    ("/huge", "it is larger than 20 MiB"), ("/missing", "its host answers with HTTP 404"), ("/page", "is no PNG, JPEG, GIF or WebP"),
    ("/lies.png", "is image/webp, and LM Studio takes image/jpeg, image/png"),
    ("/packed", "cannot be fetched: it has a content-encoding nobody asked for"),
])
def test_what_is_no_image_for_it_is_refused(studio, pictures, path, words):
    server, fake = studio()
    refused(ask(server, pictures[0].url(path)), words)
    assert not fake.requests


@pytest.mark.parametrize("address", ["ftp://a.example/a.png", "file:///etc/passwd", "http://user:pw@127.0.0.1/a.png"])
def test_other_addresses_are_refused(studio, address):
    """The first two by LM Studio itself: nothing is fetched for them."""
    server, _ = studio()
    assert ask(server, address).status == 400


def test_webp_is_refused_with_a_sentence(studio):
    server, fake = studio()
    refused(ask(server, "data:image/webp;base64,UklGRg=="),
            "messages[0].content[1].image_url: LM Studio takes image/jpeg, image/png, not image/webp")
    assert not fake.requests
