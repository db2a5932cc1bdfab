"""Routes, methods, probes, and who may ask: the surface around the exchanges."""

import pytest

from support import chat
from support.wire import request


def openai_error(reply):
    error = reply.json["error"]
    assert error["message"] and error["type"] and {"param", "code"} <= error.keys()
    return error


def anthropic_error(reply):
    assert reply.json["type"] == "error"
    assert reply.json["error"]["message"]
    return reply.json["error"]


def test_health_says_what_is_served(martlet, upstream):
    source = upstream()
    server = martlet(source)
    reply = server.ask("GET", "/health")
    assert reply.status == 200
    assert reply.json["status"]
    assert chat.UPSTREAM_KEY not in reply.body.decode()
    for probe in ("/health/live", "/health/ready"):
        assert server.ask("GET", probe).status == 200


def test_health_of_a_lost_upstream_still_answers(martlet, upstream):
    source = upstream()
    server = martlet(source)
    source.stop_listening()
    assert server.ask("GET", "/health").status == 200
    assert server.ask("GET", "/health/live").status == 200
    assert server.models() == ["m1"], "the last known list is kept"


def test_models_answer_without_any_upstream(martlet):
    reply = martlet().ask("GET", "/v1/models")
    assert reply.status == 200
    assert (reply.json["object"], reply.json["data"]) == ("list", [])


def test_models_serve_both_dialects(martlet, upstream):
    """D16: and Codex, which wants a list of its own beside theirs, and is served best by an empty one."""
    server = martlet(upstream())
    for headers in ({}, {"anthropic_version": "2023-06-01"}):
        reply = server.ask("GET", "/v1/models?limit=1000", **headers)
        entry = reply.json["data"][0]
        assert entry["id"] == "m1"
        assert reply.json["models"] == [], "Codex refuses entries without a system prompt, and a list that is not there"
        if headers:
            assert (entry["type"], reply.json["has_more"], reply.json["first_id"]) == ("model", False, "m1")
        else:
            assert (entry["object"], isinstance(entry["created"], int)) == ("model", True)


def test_routes_work_without_the_version(martlet, upstream):
    source = upstream()
    server = martlet(source)
    assert server.ask("GET", "/models").json["data"][0]["id"] == "m1"
    assert server.ask("POST", "/chat/completions", chat.body()).status == 200
    assert source.request.target == "/v1/chat/completions"


def test_query_strings_do_not_route_and_travel(martlet, upstream):
    source = upstream()
    assert martlet(source).ask("POST", "/v1/chat/completions?beta=true&x=%20", chat.body()).status == 200
    assert source.request.target == "/v1/chat/completions?beta=true&x=%20"


@pytest.mark.parametrize("target", ["/", "/health", "/v1/models", "/api/hello"])
def test_head_answers_like_get_without_a_body(martlet, upstream, target):
    server = martlet(upstream())
    with server.connect() as client:
        reply = client.ask("HEAD", target)
        assert (reply.status, reply.body) == (200, b"")
        assert client.ask("GET", "/health").status == 200, "the connection is still in step"


def test_root_answers_a_program_with_json(martlet, upstream):
    reply = martlet(upstream()).ask("GET", "/", accept="*/*")
    assert reply.status == 200
    assert isinstance(reply.json, dict)


def test_unknown_routes_are_404_in_the_clients_dialect(martlet, upstream):
    server = martlet(upstream())
    for target in ("/v1/nothing", "/nothing", "/v1/chat/completions/chatcmpl-1"):
        reply = server.ask("GET", target)
        assert reply.status == 404, target
        openai_error(reply)
    for target, headers in (("/v1/messages/nothing", {}), ("/v1/nothing", {"anthropic_version": "2023-06-01"})):
        reply = server.ask("POST", target, b"{}", **headers)
        assert reply.status == 404, target
        assert anthropic_error(reply)["type"] == "not_found_error"


def test_wrong_methods_are_405_and_say_which_are_right(martlet, upstream):
    server = martlet(upstream())
    for method, target, allowed in (("PUT", "/v1/chat/completions", "POST"), ("DELETE", "/v1/models", "GET"),
                                    ("POST", "/health", "GET")):
        reply = server.ask(method, target, b"{}")
        assert reply.status == 405, (method, target)
        assert allowed in reply.headers["allow"]
        openai_error(reply)


def test_options_names_the_methods(martlet, upstream):
    reply = martlet(upstream()).ask("OPTIONS", "/v1/chat/completions")
    assert reply.status in (200, 204, 405)
    assert "POST" in reply.headers["allow"]
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST", "127.0.0.1",
                                  "host.docker.internal:{port}"])
def test_hosts_of_this_machine_are_welcome(martlet, upstream, host):
    server = martlet(upstream())
    assert server.chat(host=host.format(port=server.port)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example",
                                  "2130706433.evil", "user@localhost", ""])
@pytest.mark.parametrize("target", ["/v1/models", "/health", "/", "/nothing"])
def test_foreign_hosts_are_refused_on_every_route(martlet, upstream, host, target):
    server = martlet(upstream())
    reply = server.ask("GET", target, host=host.format(port=server.port))
    assert reply.status in (400, 403), reply.body
    openai_error(reply)


def test_a_foreign_host_reaches_no_model(martlet, upstream):
    source = upstream()
    server = martlet(source)
    reply = server.chat(host="evil.example")
    assert reply.status == 403
    assert "evil.example" in openai_error(reply)["message"]
    assert source.requests == []


def test_a_request_without_a_host_is_refused(martlet, upstream):
    server = martlet(upstream())
    with server.connect() as client:
        client.send(request("GET", "/v1/models", port=server.port, host=None))
        assert client.reply().status in (400, 403)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1:1"])
def test_foreign_origins_are_refused(martlet, upstream, origin):
    source = upstream()
    server = martlet(source)
    reply = server.chat(origin=origin)
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers
    openai_error(reply)
    ahead = server.ask("OPTIONS", "/v1/chat/completions", origin=origin, access_control_request_method="POST")
    assert "access-control-allow-origin" not in ahead.headers
    assert source.requests == []


def test_our_own_origin_is_welcome(martlet, upstream):
    server = martlet(upstream())
    assert server.chat(origin=server.url).status == 200


def test_configured_hosts_and_origins_are_welcome(martlet, upstream):
    source = upstream()
    server = martlet(source, config={
        "server": {"allowed_hosts": ["gateway.example"], "allowed_origins": ["https://app.example"]},
        "upstreams": {"mine": {"kind": "openai-compatible", "url": source.url}}})
    assert server.chat(host="gateway.example").status == 200
    reply = server.chat(origin="https://app.example")
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    ahead = server.ask("OPTIONS", "/v1/chat/completions", origin="https://app.example",
                       access_control_request_method="POST", access_control_request_headers="authorization, x-private-network")
    assert ahead.status in (200, 204)
    assert ahead.headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in ahead.headers["access-control-allow-methods"]
    assert ahead.headers["access-control-allow-headers"] == "authorization, x-private-network"
    assert server.chat(origin="https://other.example").status == 403


def test_http_1_0_is_answered_and_closed(martlet, upstream):
    source = upstream(lambda exchange: exchange.stream(chat.text_stream("one"))
                      if exchange.request.json.get("stream") else exchange.json(chat.completion()))
    server = martlet(source)
    for stream in (False, True):
        with server.connect() as client:
            body = chat.body(stream=stream)
            client.send(request("POST", "/v1/chat/completions", body, port=server.port).replace(b"HTTP/1.1", b"HTTP/1.0"))
            response = client.open_reply()
            assert response.status == 200
            assert response.getheader("transfer-encoding") is None, "HTTP/1.0 knows no chunks"
            assert response.read()
            assert client.is_closed()


def test_replies_do_not_name_the_machine(martlet, upstream):
    server = martlet(upstream())
    for target in ("/", "/health", "/v1/models", "/nothing"):
        assert str(server.folder).encode() not in server.ask("GET", target).body


@pytest.mark.parametrize("target", ["/v1/models", "/v1/models/m1", "/health", "/", "/v1/messages/count_tokens", "/v1/models?limit=x"])
def test_every_reply_carries_the_requests_id(martlet, upstream, target):
    server = martlet(upstream())
    body = chat.body() if "count" in target else None
    for sent, expected in (({}, None), ({"x_request_id": "mine-1"}, "mine-1")):
        reply = server.ask("POST" if body else "GET", target, body, anthropic_version="2023-06-01", **sent)
        identity = reply.headers["x-request-id"]
        assert identity and reply.headers["request-id"] == identity
        assert expected in (None, identity)
    plain = server.ask("GET", "/v1/models")
    assert plain.headers["x-request-id"] and "request-id" not in plain.headers


def test_what_foreign_pages_load_without_an_origin_is_refused(martlet, upstream):
    server = martlet(upstream())
    for site, status in (("cross-site", 403), ("same-origin", 200), ("same-site", 200), ("none", 200)):
        reply = server.ask("GET", "/v1/models", sec_fetch_site=site)
        assert reply.status == status, site
    assert server.ask("POST", "/v1/chat/completions", chat.body(), sec_fetch_site="cross-site").status == 403


def test_the_model_list_comes_in_pages_when_asked(martlet, upstream):
    server = martlet(upstream(models=["m1", "m2", "m3"]))
    page = server.ask("GET", "/v1/models?limit=2").json
    assert ([entry["id"] for entry in page["data"]], page["has_more"], page["last_id"]) == (["m1", "m2"], True, "m2")
    page = server.ask("GET", "/v1/models?limit=2&after_id=m2").json
    assert ([entry["id"] for entry in page["data"]], page["has_more"]) == (["m3"], False)
