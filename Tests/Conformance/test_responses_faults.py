"""What can happen to the place where responses are kept: a full disk, a damaged file. Each is said, and opens nothing."""

import contextlib
import os
import resource
import sqlite3

import pytest

from support import chat
from support.waiting import until

from test_responses import SECOND, TOKEN, digest, parrot


def ask(server, token, target, body=None, method=None):
    return server.ask(method or ("POST" if body else "GET"), target, chat.dumps(body) if body else None,
                      authorization=f"Bearer {token}")


def guarded(martlet, source):
    """A server with two tokens."""
    return martlet(source, wait=False, config={
        "auth": {"tokens": [digest(TOKEN), digest(SECOND)]},
        "upstreams": {"mine": {"kind": "openai-compatible", "url": source.url}}})


def no_growth(server, size):
    """From now on no file of the server's may grow beyond so many bytes: every write beyond fails, as on a full disk."""
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("streams", [False, True])
def test_a_full_disk(martlet, upstream, streams):
    source = upstream(parrot)
    server = guarded(martlet, source)
    kept = ask(server, TOKEN, "/v1/responses", {"model": "m1", "input": "secret"}).json["id"]
    no_growth(server, 256 << 10)
    big = {"model": "m1", "input": "x" * (1 << 20), "stream": streams}
    refused = ask(server, TOKEN, "/v1/responses", big)
    if streams:
        assert b"response.failed" in refused.body and b"response.completed" not in refused.body
        assert b"martlet.db" in refused.body
    else:
        assert refused.status == 503 and "martlet.db" in refused.json["error"]["message"]
    made = ask(server, TOKEN, "/v1/responses", big | {"background": True, "stream": False})
    assert made.status == 503 and "martlet.db" in made.json["error"]["message"]
    # What was there is there, for its owner; and what needs no store is answered.
    assert ask(server, TOKEN, f"/v1/responses/{kept}").status == 200
    assert ask(server, SECOND, f"/v1/responses/{kept}").status == 404
    assert ask(server, SECOND, f"/v1/responses/{kept}", method="DELETE").status == 404
    assert ask(server, TOKEN, "/v1/responses", big | {"store": False, "stream": False}).status == 200
    no_growth(server, resource.RLIM_INFINITY)
    assert ask(server, TOKEN, "/v1/responses", big | {"stream": False}).status == 200
    assert ask(server, TOKEN, f"/v1/responses/{kept}").json["output"][0]["content"][0]["text"] == "1: secret"


def test_a_disk_that_is_full_when_a_response_in_the_background_ends(martlet, upstream):
    def script(exchange):
        no_growth(server, 4096)
        exchange.stream(chat.text_stream("y" * 20000, usage=(7, 3)))

    server = guarded(martlet, upstream(script))
    made = ask(server, TOKEN, "/v1/responses", {"model": "m1", "input": "x", "background": True}).json
    found = until(lambda: (found := ask(server, TOKEN, f"/v1/responses/{made['id']}").json)["status"]
                  not in ("queued", "in_progress") and found, "it has ended")
    assert found["status"] == "failed" and "martlet.db" in found["error"]["message"]
    assert ask(server, SECOND, f"/v1/responses/{made['id']}").status == 404
    no_growth(server, resource.RLIM_INFINITY)


def test_a_database_that_breaks_while_it_is_in_use(martlet, upstream):
    source = upstream(parrot)
    server = guarded(martlet, source)
    kept = [ask(server, TOKEN, "/v1/responses", {"model": "m1", "input": "secret " * 2000}).json["id"] for _ in range(8)]
    file = server.home / "martlet.db"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as pages:
        pages.seek(4096)
        pages.write(b"\x5a" * (os.path.getsize(file) - 4096))
    for token, identity in [(token, identity) for token in (TOKEN, SECOND) for identity in kept]:
        for target, method in ((f"/v1/responses/{identity}", "GET"), (f"/v1/responses/{identity}/input_items", "GET"),
                               (f"/v1/responses/{identity}", "DELETE"), (f"/v1/responses/{identity}/cancel", "POST")):
            reply = ask(server, token, target, method=method)
            assert reply.status == 503 and b"martlet.db" in reply.body, (target, reply.status, reply.body)
            assert b"secret" not in reply.body
    reply = ask(server, TOKEN, "/v1/responses", {"model": "m1", "input": "x"})
    assert reply.status == 503
    assert ask(server, TOKEN, "/v1/responses", {"model": "m1", "input": "x", "store": False}).status == 200


@pytest.mark.parametrize("damage", [
    "UPDATE response SET object = x'ff00'", "UPDATE response SET object = x''", "UPDATE response SET object = x'5b5d'"])
def test_a_row_that_is_no_response(martlet, upstream, damage):
    """SQLite finds nothing wrong with such a file; whoever reads the row does."""
    server = guarded(martlet, upstream(parrot))
    kept = ask(server, TOKEN, "/v1/responses", {"model": "m1", "input": "secret"}).json["id"]
    with contextlib.closing(sqlite3.connect(server.home / "martlet.db", isolation_level=None)) as database:
        database.execute(damage)
    for target, body in ((f"/v1/responses/{kept}", None), (f"/v1/responses/{kept}?stream=true", None),
                         (f"/v1/responses/{kept}/input_items", None),
                         ("/v1/responses", {"model": "m1", "input": "y", "previous_response_id": kept})):
        reply = ask(server, TOKEN, target, body)
        assert reply.status == 503 and b"martlet.db is damaged" in reply.body, (target, reply.status, reply.body)
    assert ask(server, TOKEN, "/v1/responses", {"model": "m1", "input": "z"}).status == 200


def test_a_database_that_others_can_read_is_closed_to_them(martlet, upstream):
    server = guarded(martlet, upstream(parrot))
    ask(server, TOKEN, "/v1/responses", {"model": "m1", "input": "secret"})
    server.stop()
    file = server.home / "martlet.db"
    file.chmod(0o666)
    server.start()
    assert ask(server, TOKEN, "/v1/responses", {"model": "m1", "input": "secret"}).status in (200, 404)
    assert {path.stat().st_mode & 0o777 for path in server.home.glob("martlet.db*")} == {0o600}
    assert "others could read the database" in server.log()


def test_two_servers_on_one_home(martlet, upstream):
    """The second leaves alone what the first is making."""
    source = upstream(lambda exchange: exchange.wait_gone())
    first = guarded(martlet, source)
    made = ask(first, TOKEN, "/v1/responses", {"model": "m1", "input": "x", "background": True}).json["id"]
    until(lambda: source.exchanges, "it is being made")
    second = martlet(source, wait=False, home=first.home, config={
        "auth": {"tokens": [digest(TOKEN), digest(SECOND)]},
        "upstreams": {"mine": {"kind": "openai-compatible", "url": source.url}}})
    assert ask(second, TOKEN, f"/v1/responses/{made}").json["status"] in ("queued", "in_progress")
    second.stop()
    assert ask(first, TOKEN, f"/v1/responses/{made}/cancel", method="POST").json["status"] == "cancelled"


def test_what_is_no_database_of_ours(martlet, upstream):
    server = guarded(martlet, upstream(parrot))
    with contextlib.closing(sqlite3.connect(server.home / "martlet.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE response (x)")
    reply = ask(server, TOKEN, "/v1/responses", {"model": "m1", "input": "x"})
    assert reply.status == 503 and "not one that Martlet made; move it away" in reply.json["error"]["message"]


def test_what_is_too_old_is_gone(martlet, upstream):
    source = upstream(parrot)
    server = martlet(source, config={
        "store": {"responses": "1s"}, "upstreams": {"mine": {"kind": "openai-compatible", "url": source.url}}})
    first = server.ask("POST", "/v1/responses", chat.dumps({"model": "m1", "input": "secret"})).json["id"]
    assert server.ask("GET", f"/v1/responses/{first}").status == 200
    until(lambda: server.ask("GET", f"/v1/responses/{first}").status == 404, "its time was over")
    reply = server.ask("POST", "/v1/responses", chat.dumps({"model": "m1", "input": "x", "previous_response_id": first}))
    assert (reply.status, reply.json["error"]["code"]) == (400, "previous_response_not_found")
    server.stop()
    server.start().wait_for_model("m1")
    server.ask("POST", "/v1/responses", chat.dumps({"model": "m1", "input": "next"}))

    def rows():
        with contextlib.closing(sqlite3.connect(server.home / "martlet.db")) as database:
            return database.execute("SELECT id FROM response").fetchall()

    until(lambda: (first,) not in rows(), "it was deleted from the disk")
