"""Fixtures: `upstream(script)` makes a scripted upstream, `martlet(...)` starts a server in front of it.

After each test every server is stopped, and the test fails when a process, a socket or a port is left or a secret is in the log.
"""

import os

import openai
import pytest

from support import chat, engine, hub as hubs
from support.matrix import Matrix
from support.server import Martlet
from support.tools import WebServers
from support.upstream import Upstream


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures know whether the test itself failed."""
    report = yield
    setattr(item, f"report_{report.when}", report)
    return report


@pytest.fixture
def upstream():
    """`upstream(script, models=…)`: a scripted upstream; a mistake in the script fails the test."""
    made = []

    def make(script=None, **options):
        made.append(Upstream(script or (lambda exchange: exchange.json(chat.completion())), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def hub():
    """A stand-in for Hugging Face, which has the tiny model: `hub.environment` leads a program to it."""
    made = hubs.Hub()
    made.add(hubs.REPOSITORY, {hubs.FILE: engine.WEIGHTS.read_bytes(), "README.md": b"# Tiny"})
    yield made
    made.close()


@pytest.fixture
def martlet(request):
    """`martlet(upstream, kind=…, mode=…)` or `martlet(config={…})`: a running server that lists the upstream's models.

    `before` is called with the server before it starts, to put things into its home.
    """
    made = []

    def make(upstream=None, *arguments, kind="openai-compatible", mode=None, wait=True, before=None, **options):
        if upstream is not None and "config" not in options:
            arguments += ("--upstream", upstream.url, "--kind", kind)
            if mode:
                arguments += ("--mode", mode)
        made.append(Martlet(*arguments, **options))
        if before:
            before(made[-1])
        made[-1].start()
        if upstream is not None and wait:
            for model in upstream.models:
                made[-1].wait_for_model(model)
        return made[-1]

    yield make
    wrong = []
    for server in made:
        if hasattr(server, "process"):
            wrong += server.stop()
    failed = getattr(request.node, "report_call", None)
    if wrong or (failed and failed.failed):
        for server in made:
            print(f"---- log of martlet {' '.join(server.arguments)}\n{server.log()[-6000:]}")
    for server in made:
        server.remove()
    assert not wrong, "; ".join(wrong)


@pytest.fixture
def sdk():
    """`sdk(server)`: the official OpenAI client for a server. It does not retry, so that a test sees every failure."""
    made = []

    def make(server, **options):
        made.append(openai.OpenAI(
            base_url=f"{server.url}/v1", api_key=chat.CLIENT_KEY, **({"max_retries": 0, "timeout": 30} | options)))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def web():
    """`web("json", token="…")`: the address of a real MCP server over HTTP."""
    made = WebServers()
    yield made.start
    made.stop()


@pytest.fixture(scope="session")
def matrix():
    """One server before an upstream of each kind, for all tests that need no server of their own."""
    made = Matrix()
    yield made
    wrong = made.close()
    assert not wrong, "; ".join(wrong)


@pytest.fixture(scope="session")
def launcher():
    """The command that starts the installed engine, as Martlet itself runs it."""
    server = Martlet(engines=engine.engines())
    engine.give_model(server)
    try:
        assert server.start().chat(chat.body(model=engine.MODEL, max_tokens=1), timeout=120).status == 200, server.log()
        _, words = engine.command(server)
        home = str(server.home / "engines")  # a link into the folder of engines, which stays
        return [word.replace(home, str(engine.engines())) for word in words[:words.index("--model")]]
    finally:
        wrong = server.stop()
        server.remove()
        assert not wrong, wrong


@pytest.fixture(scope="session")
def tiny():
    """One server with the tiny model, for all tests that only ask it."""
    server = Martlet(engines=engine.engines(), environment={"MARTLET_ENGINE_THREADS": "1"})
    engine.give_model(server)
    server.start()
    yield server
    wrong = server.stop()
    server.remove()
    assert not wrong, "; ".join(wrong)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """The folder with the tiny models that make vectors, rank and see."""
    return engine.make_models(tmp_path_factory.mktemp("tiny-models"))


@pytest.fixture
def local(martlet, launcher, tmp_path):
    """`local(load_seconds=…)`: a running server with the tiny model and the engine on PATH."""

    def make(load_seconds=0, weights=engine.WEIGHTS, **options):
        engine.write_wrapper(tmp_path, launcher, load_seconds)
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        # One thread: on a machine with other work, threads that wait for each other take many times as long.
        environment = {"PATH": path, "MARTLET_ENGINE_THREADS": "1"}
        return martlet(before=lambda server: engine.give_model(server, weights), environment=environment, **options)

    return make


@pytest.fixture(params=["exact", "repair"])
def mode(request):
    """Both ways of relaying a reply in its own dialect."""
    return request.param
