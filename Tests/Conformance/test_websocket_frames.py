"""The upgrade to a WebSocket, and its frames: by bytes as no client sends them."""

import json

import pytest

from support.talk import ask, open_socket
from test_responses import parrot

UPGRADE = {"upgrade": "websocket", "connection": "keep-alive, Upgrade", "sec_websocket_version": "13",
           "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ=="}


def test_only_who_may_gets_a_websocket(martlet, upstream):
    """Pages of any origin may open WebSockets: nothing but the server keeps them out."""
    server = martlet(upstream(parrot))
    for headers, code in (({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Host": "evil.example"}, 403),
                          ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Origin": server.url}, 101)):
        reply = server.ask("GET", "/v1/responses", **UPGRADE, **{name.lower().replace("-", "_"): value for name, value in headers.items()})
        assert reply.status == code, headers
    with open_socket(server, origin=server.url) as socket:
        assert ask(socket, input="one")["status"] == "completed"


@pytest.mark.parametrize("changed, status", [
    ({"upgrade": "h2c"}, 426), ({"sec_websocket_version": "8"}, 426), ({"sec_websocket_version": None}, 426),
    ({"sec_websocket_key": None}, 400), ({"sec_websocket_key": "short"}, 400), ({"connection": "keep-alive"}, 400)])
def test_an_upgrade_that_is_none_is_refused_at_once(martlet, upstream, changed, status):
    """D23: no client waits for an upgrade that does not come."""
    server = martlet(upstream(parrot))
    reply = server.ask("GET", "/v1/responses", **{name: value for name, value in (UPGRADE | changed).items() if value})
    assert reply.status == status and "WebSocket" in reply.json["error"]["message"]
    if status == 426:
        assert (reply.headers["upgrade"], reply.headers["sec-websocket-version"]) == ("websocket", "13")
    assert server.ask("GET", "/v1/chat/completions", **UPGRADE).status == 405


# Bytes

def frame(opcode, payload=b"", last=True, masked=True, mask=b"\1\2\3\4", reserved=0):
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big") if size < 1 << 16 else b"\x7f" + size.to_bytes(8, "big")
    head = bytes([opcode | 0x80 * last | reserved, length[0] | 0x80 * masked]) + length[1:]
    return head + (mask + bytes(byte ^ mask[place & 3] for place, byte in enumerate(payload)) if masked else payload)


@pytest.fixture
def raw(martlet, upstream):
    """A connection that has been upgraded."""
    server = martlet(upstream(parrot))
    connection = server.connect()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in UPGRADE.items())
    connection.send(f"GET /v1/responses HTTP/1.1\r\nHost: localhost:{server.port}\r\n{lines}\r\n".encode())
    reply = connection.open_reply("GET")
    assert reply.status == 101 and reply.getheader("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    yield connection
    connection.close()


def read_frame(connection):
    opcode, size = connection._file.read(2)
    size = int.from_bytes(connection._file.read(2), "big") if size == 126 else size
    return opcode & 15, connection._file.read(size)


@pytest.mark.parametrize("sent, code", [
    (frame(1, b"{}", masked=False), 1002), (frame(1, b"{}", reserved=0x40), 1002), (frame(3), 1002), (frame(0, b"x"), 1002),
    (frame(1, b"{", last=False) + frame(1, b"}"), 1002), (frame(9, b"x" * 126), 1002), (frame(9, last=False), 1002),
    (b"\x81\xfe\0\x05", 1002), (frame(2, b"{}"), 1003), (frame(1, b"\xff{}"), 1007),
    (frame(1, b"\xe2\x82", last=False) + frame(0, b"x"), 1007), (b"\x81\xff" + (33 << 20).to_bytes(8, "big") + b"\1\2\3\4", 1009),
    (frame(8, b"\3"), 1002), (frame(8, (1005).to_bytes(2, "big")), 1002), (frame(8, b"\3\xe8\xff"), 1007)])
def test_what_breaks_the_protocol_ends_it(raw, sent, code):
    raw.send(sent)
    opcode, payload = read_frame(raw)
    assert (opcode, int.from_bytes(payload[:2], "big")) == (8, code) and payload[2:].decode() or code < 1002
    raw.send(frame(8, payload))
    assert raw.is_closed()


def test_pings_are_answered_between_fragments(raw):
    raw.send(frame(1, b"{", last=False) + frame(9, b"are you there") + frame(0, b"", last=False) + frame(0, b"}"))
    assert read_frame(raw) == (10, b"are you there")
    opcode, payload = read_frame(raw)
    assert opcode == 1 and json.loads(payload)["error"]["param"] == "type"


def test_a_close_is_answered_with_its_code(raw):
    raw.send(frame(10, b"nobody asked") + frame(8, (3001).to_bytes(2, "big") + "ciao".encode()))
    opcode, payload = read_frame(raw)
    assert (opcode, payload[:2]) == (8, (3001).to_bytes(2, "big")) and raw.is_closed()


def test_frames_right_behind_the_request(martlet, upstream):
    """A client that does not wait for the answer to its upgrade."""
    server = martlet(upstream(parrot))
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in UPGRADE.items())
    with server.connect() as connection:
        connection.send(f"GET /v1/responses HTTP/1.1\r\nHost: localhost:{server.port}\r\n{lines}\r\n".encode() + frame(9, b"early"))
        assert connection.open_reply("GET").status == 101 and read_frame(connection) == (10, b"early")
