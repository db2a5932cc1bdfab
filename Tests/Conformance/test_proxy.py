"""HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE, as every program on such a machine is told them."""

import pytest

from support import chat
from support.proxy import Authority, Proxy
from support.waiting import until

# A name that no resolver knows: what reaches it has gone through the proxy, which resolves names itself.
HOST = "models.invalid"
PASSWORD = "canary-proxy-3a6d0e"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, HOST)


@pytest.fixture
def behind(authority, upstream, martlet):
    """`behind(refusal=…, variable=…)`: a server, its upstream behind TLS, and the proxy between them."""
    made = []

    def make(script=None, refusal=None, user="", variable="HTTPS_PROXY", trusts=True, **environment):
        source = upstream(script, tls=authority.server)
        made.append(Proxy(source.port, refusal))
        environment[variable] = f"http://{user}127.0.0.1:{made[-1].port}"
        if trusts:
            environment["SSL_CERT_FILE"] = str(authority.file)
        server = martlet(environment=environment, config={"upstreams": {"far": {
            "kind": "openai-compatible", "url": f"https://{HOST}:{source.port}", "retries": 0}}})
        return server, source, made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_requests_and_probes_go_through_the_tunnel(behind, variable):
    server, source, proxy = behind(variable=variable, user=f"me:{PASSWORD}@")
    server.wait_for_model(chat.MODEL)
    reply = server.chat(chat.body(stream=False))
    assert reply.status == 200 and chat.ANSWER in reply.body.decode()
    assert len(source.requests) == 1
    for head in proxy.heads:
        assert head.startswith(f"CONNECT {HOST}:{source.port} HTTP/1.1\r\nhost: {HOST}:{source.port}\r\n")
        assert "proxy-authorization: Basic " in head
    assert all(name != "proxy-authorization" for name, _ in source.request.headers)
    assert PASSWORD not in server.log() + "".join(server.output)


def test_a_stream_goes_through_the_tunnel(behind):
    server, _, _ = behind(lambda exchange: exchange.stream(chat.text_stream("one", "two")))
    events = server.chat(chat.body(model=f"far/{chat.MODEL}", stream=True)).events()
    assert events[-1] == "[DONE]" and "two" in "".join(events)


@pytest.mark.parametrize("refusal, words", [
    ("407 Proxy Authentication Required", "wants a user and a password (407)"),
    ("403 Forbidden", "refuses to connect to"), ("502 Bad Gateway", "cannot reach"),
])
def test_a_refusal_names_the_proxy_and_its_variable(behind, refusal, words):
    server, source, proxy = behind(refusal=refusal)
    reply = server.chat(chat.body(model=f"far/{chat.MODEL}"))
    assert reply.status == 502
    message = reply.json["error"]["message"]
    assert f"the proxy 127.0.0.1:{proxy.port} (HTTPS_PROXY) {words}" in message
    assert source.requests == []
    assert f"(HTTPS_PROXY) {words}" in "".join(server.output), "said at start too"


def test_no_proxy_goes_around_it(behind):
    server, source, proxy = behind(NO_PROXY=f"other,{HOST}")
    reply = server.chat(chat.body(model=f"far/{chat.MODEL}"))
    assert reply.status == 502 and "proxy" not in reply.json["error"]["message"], "the name is looked up here, in vain"
    assert proxy.heads == [] and source.requests == []


def test_local_upstreams_have_no_proxy(martlet, upstream):
    source, proxy = upstream(), Proxy(1)
    address = f"http://127.0.0.1:{proxy.port}"
    names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY", "http_proxy")
    server = martlet(source, environment={name: address for name in names})
    assert server.chat().status == 200
    assert proxy.heads == []
    proxy.close()


def test_an_authority_nobody_named_is_not_trusted(behind):
    server, source, _ = behind(trusts=False)
    reply = server.chat(chat.body(model=f"far/{chat.MODEL}"))
    assert reply.status == 502 and "SSL_CERT_FILE" in reply.json["error"]["message"]
    assert source.requests == []


def test_a_file_of_authorities_that_is_none_is_said_at_start(behind, tmp_path):
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(AssertionError, match=r"SSL_CERT_FILE names .*empty\.pem, which is no PEM file"):
        behind(trusts=False, SSL_CERT_FILE=str(tmp_path / "empty.pem"))


def test_the_tunnel_ends_with_the_client(behind):
    def script(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})))
        exchange.wait_gone()

    server, source, _ = behind(script)
    client = server.connect()
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n"
                % len(body := chat.body(model=f"far/{chat.MODEL}", stream=True)) + body)
    assert b"data:" in client.open_reply().read1(65536)
    client.reset()
    until(lambda: source.exchanges[0].gone_at is not None, "the upstream saw it", within=2)
