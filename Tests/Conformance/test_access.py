"""Who may ask: tokens, addresses beyond loopback, foreign hosts and origins on every route, and that no log tells a secret."""

import hashlib
import re
import subprocess

import anthropic
import openai
import pytest

from support import chat
from support.server import READY_WITHIN, Martlet, binary
from support.upstream import Upstream
from support.waiting import until

TOKEN, SECOND, WRONG = "canary-token-5b8e", "canary-token-77aa", "canary-wrong-0c3d"
BODY = chat.body(max_tokens=9)
# Every route there is, and one that is not.
ROUTES = [
    ("GET", "/"), ("GET", "/api/hello"), ("HEAD", "/"), ("GET", "/health"), ("GET", "/health/live"), ("GET", "/health/ready"),
    ("GET", "/v1/models"), ("GET", "/models"), ("GET", "/anthropic/v1/models"), ("GET", "/v1/models/m1"),
    ("POST", "/v1/chat/completions"), ("POST", "/chat/completions"), ("POST", "/v1/messages"), ("POST", "/anthropic/v1/messages"),
    ("POST", "/v1/responses"), ("POST", "/v1/responses/input_tokens"), ("GET", "/v1/responses/r"), ("DELETE", "/responses/r"),
    ("GET", "/v1/responses/r/input_items"), ("POST", "/v1/responses/r/cancel"),
    ("POST", "/v1/messages/count_tokens"), ("GET", "/nothing"), ("POST", "/v1/messages/nothing"), ("PUT", "/v1/models"),
]
OPEN = ("/", "/api/hello", "/health/live")
IDS = [f"{method}{target}" for method, target in ROUTES]


def digest(token):
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


@pytest.fixture(scope="module")
def guarded():
    """A server that knows two tokens, and its upstream."""
    source = Upstream(lambda exchange: exchange.json(chat.completion()))
    server = Martlet("--no-discovery", config={
        "auth": {"tokens": [digest(TOKEN), digest(SECOND).upper().replace("SHA256", "sha256")]},
        "upstreams": {"mine": {"kind": "openai-compatible", "url": source.url, "api_key": chat.UPSTREAM_KEY}}}).start()
    until(lambda: server.ask("GET", "/v1/models", x_api_key=TOKEN).json["data"], "the model was listed")
    yield server, source
    wrong = server.stop()
    log = server.log()
    source.close()
    server.remove()
    assert not wrong, wrong
    assert not [token for token in (TOKEN, SECOND, WRONG, digest(TOKEN)) if token in log]


def asked(server, method, target, **headers):
    return server.ask(method, target, BODY if method in ("POST", "PUT") else None, **headers)


def refused(reply, status=401):
    """The error's sentence, in the form of the route's dialect."""
    assert reply.status == status, reply.body
    error = reply.json["error"]
    if reply.json.get("type") == "error":
        assert error["type"] == "authentication_error" and reply.headers["request-id"]
    else:
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    return error["message"]


@pytest.mark.parametrize(("method", "target"), ROUTES, ids=IDS)
def test_a_route_wants_a_token(guarded, method, target):
    server, source = guarded
    source.requests.clear()
    headers = [{}, {"authorization": f"Bearer {WRONG}"}, {"x_api_key": WRONG}, {"authorization": f"Basic {TOKEN}"},
               {"authorization": TOKEN}, {"authorization": f"Bearer {digest(TOKEN)}"}, {"x_api_key": TOKEN[:-1]}]
    for sent in headers:
        reply = asked(server, method, target, **sent)
        if target in OPEN:
            assert reply.status == 200
        elif method == "HEAD":
            assert reply.status == 401
        else:
            refused(reply)
    assert source.requests == []


@pytest.mark.parametrize(("target", "headers", "looked_at"), [
    ("/v1/chat/completions", {"authorization": f"Bearer {WRONG}"}, "Authorization"),
    ("/v1/chat/completions", {"x_api_key": WRONG}, "x-api-key"),
    ("/v1/chat/completions", {"authorization": f"Bearer {WRONG}", "x_api_key": TOKEN}, "Authorization"),
    ("/v1/messages", {"authorization": f"Bearer {WRONG}"}, "Authorization"),
    ("/v1/messages", {"x_api_key": WRONG}, "x-api-key"),
    ("/v1/messages", {"authorization": f"Bearer {TOKEN}", "x_api_key": WRONG}, "x-api-key"),
    ("/v1/messages/count_tokens", {"authorization": f"Bearer {TOKEN}", "x_api_key": WRONG}, "x-api-key"),
])
def test_the_refusal_names_the_header_that_was_looked_at(guarded, target, headers, looked_at):
    server, source = guarded
    source.requests.clear()
    reply = asked(server, "POST", target, **headers)
    assert refused(reply) == f"the token in {looked_at} is not valid; auth.tokens holds the sha256 digests of those that are"
    assert (reply.json.get("type") == "error") == target.startswith("/v1/messages")
    assert WRONG.encode() not in reply.body and TOKEN.encode() not in reply.body
    assert source.requests == []


def test_without_a_token_the_refusal_says_how_to_send_one(guarded):
    server, _ = guarded
    for target in ("/v1/chat/completions", "/v1/messages"):
        assert refused(asked(server, "POST", target)) == (
            "this server wants a token: send it as Authorization: Bearer TOKEN or as x-api-key; "
            "who runs it adds tokens to auth.tokens")


@pytest.mark.parametrize(("target", "headers"), [
    ("/v1/chat/completions", {"authorization": f"Bearer {TOKEN}"}), ("/v1/chat/completions", {"authorization": f"bearer {SECOND}"}),
    ("/v1/chat/completions", {"x_api_key": TOKEN}), ("/v1/chat/completions", {"authorization": f"Bearer {TOKEN}", "x_api_key": WRONG}),
    ("/v1/messages", {"authorization": f"Bearer {TOKEN}"}), ("/v1/messages", {"x_api_key": SECOND}),
    ("/v1/messages", {"authorization": f"Bearer {WRONG}", "x_api_key": TOKEN}),
    ("/anthropic/v1/messages", {"x_api_key": TOKEN, "authorization": f"Bearer {WRONG}"}),
])
def test_either_header_opens_either_dialect(guarded, target, headers):
    server, source = guarded
    source.requests.clear()
    assert asked(server, "POST", target, **headers).status == 200
    assert not [value for _, value in source.request.headers if TOKEN in value or SECOND in value]
    assert source.request.header("authorization") == f"Bearer {chat.UPSTREAM_KEY}"


def test_the_libraries_send_tokens_that_are_taken(guarded):
    server, _ = guarded
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=TOKEN, max_retries=0) as client:
        assert client.chat.completions.create(model="m1", messages=chat.MESSAGES).choices
        with pytest.raises(openai.AuthenticationError, match="the token in Authorization is not valid"):
            client.with_options(api_key=WRONG).models.list()
    for options in ({"api_key": TOKEN}, {"auth_token": TOKEN}):
        with anthropic.Anthropic(base_url=server.url, max_retries=0, **options) as client:
            assert client.messages.create(model="m1", max_tokens=9, messages=chat.MESSAGES).content
    with anthropic.Anthropic(base_url=server.url, max_retries=0, api_key=WRONG) as client:
        with pytest.raises(anthropic.AuthenticationError, match="is not valid"):
            client.messages.count_tokens(model="m1", messages=chat.MESSAGES)


def test_a_connection_is_asked_each_time(guarded):
    """A token is remembered for a connection: another one, or none, is not."""
    server, _ = guarded
    with server.connect() as client:
        for headers, status in (({"x_api_key": TOKEN}, 200), ({}, 401), ({"x_api_key": WRONG}, 401), ({"x_api_key": SECOND}, 200),
                                ({"authorization": f"Bearer {WRONG}"}, 401), ({"authorization": f"Bearer {TOKEN}"}, 200)):
            assert client.chat(BODY, **headers).status == status, headers


def test_a_token_stands_for_the_hosts_name_and_not_for_the_origin(guarded):
    server, _ = guarded
    assert asked(server, "POST", "/v1/chat/completions", x_api_key=TOKEN, host="gateway.example").status == 200
    assert asked(server, "POST", "/v1/chat/completions", x_api_key=WRONG, host="gateway.example").status == 403
    reply = asked(server, "POST", "/v1/chat/completions", x_api_key=TOKEN, origin="https://evil.example")
    assert reply.status == 403 and reply.json["error"]["code"] == "forbidden_origin"


@pytest.mark.parametrize(("method", "target"), ROUTES, ids=IDS)
@pytest.mark.parametrize(("header", "value", "words"), [
    ("host", "rebound.example:{port}", 'the Host "rebound.example:{port}" is not one of this server\'s names'),
    ("host", "127.0.0.1.nip.io", 'the Host "127.0.0.1.nip.io" is not one of this server\'s names'),
    ("origin", "https://evil.example", "pages from https://evil.example may not call this server"),
    ("origin", "null", "pages from null may not call this server"),
])
def test_no_route_answers_foreign_pages(matrix, method, target, header, value, words):
    server = matrix.server
    reply = asked(server, method, target, **{header: value.format(port=server.port)})
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers
    if method != "HEAD":
        assert words.format(port=server.port) in reply.json["error"]["message"]
        assert reply.json["error"]["type"] == "permission_error"


@pytest.mark.parametrize(("method", "target"), ROUTES, ids=IDS)
def test_a_preflight_of_a_foreign_page_gets_nothing(matrix, method, target):
    reply = matrix.server.ask("OPTIONS", target, origin="https://evil.example", access_control_request_method=method)
    assert reply.status == 403
    assert not [name for name in reply.headers if name.startswith("access-control-")]


def serve(tmp_path, *words, within=READY_WITHIN, **environment):
    """`martlet serve` until it ends, or is ready and told to end: its status and its two outputs."""
    process = subprocess.Popen(
        [binary(), "serve", "--port", "0", "--no-discovery", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PATH": "/nonexistent", "HOME": str(tmp_path), "MARTLET_HOME": str(tmp_path)} | environment)
    output = []
    for line in process.stdout:
        output.append(line)
        if "martlet ready" in line:
            process.terminate()
    complaints = process.stderr.read()
    return process.wait(within), "".join(output), complaints


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_loopback_it_refuses_to_start_without_a_token(tmp_path, host):
    status, output, complaints = serve(tmp_path, "--host", host)
    assert (status, output) == (1, "")
    assert complaints == (
        f"martlet: --host: server.host {host} can be reached from other machines and auth.tokens is empty. Add a token's digest to "
        "auth.tokens, or say that it is meant to be open: --allow-open or auth.required: off (MARTLET_AUTH_REQUIRED=off)\n")


@pytest.mark.parametrize(("words", "environment"), [
    (["--allow-open"], {}), ([], {"MARTLET_AUTH_REQUIRED": "off"})], ids=["flag", "variable"])
def test_beyond_loopback_it_starts_openly_when_told_so_and_warns(tmp_path, words, environment):
    status, output, complaints = serve(tmp_path, "--host", "0.0.0.0", *words, **environment)
    assert status == 0
    assert re.search(r"^martlet ready on http://[^ ]+:\d+$", output, re.MULTILINE)
    assert "martlet: anyone who reaches 0.0.0.0 can use this server: it asks for no token\n" in complaints


def test_beyond_loopback_it_starts_with_a_token_and_does_not_warn(tmp_path):
    (tmp_path / "martlet.yaml").write_text(f'auth:\n  tokens: ["{digest(TOKEN)}"]\n')
    status, output, complaints = serve(tmp_path, "--host", "0.0.0.0")
    assert status == 0 and "martlet ready" in output
    assert "anyone" not in complaints
