"""VT Code's `lmstudio` provider, step by step as it takes them: probe, exact match, load, chat, unload, over both its ways."""

import json
import shutil
import time

import pytest
import requests

from fake_lmstudio import FakeLMStudio, Model
from support import engine
from test_lms import free_port, lms  # noqa: F401  (a fixture)

WRITER, SMALL = "acme/writer-8b", "acme/small-1b"


class LocalServerDown(Exception):
    pass


class LocalModelMissing(Exception):
    pass


class Provider:
    """What its provider does. `native`: as with LMSTUDIO_USE_NATIVE_API."""

    def __init__(self, base, native=False, key=""):
        self.base, self.root, self.native = base, base.removesuffix("/v1"), native
        self.headers = {"Authorization": f"Bearer {key or 'lm-studio'}"}
        self.ready = None  # the readiness it remembers, and until when

    def list(self):
        url = f"{self.root}/api/v0/models" if self.native else f"{self.base}/models"
        try:
            reply = requests.get(url, headers=self.headers, timeout=5)
            reply.raise_for_status()
        except requests.RequestException as error:
            raise LocalServerDown from error
        entries = reply.json().get("data")
        assert isinstance(entries, list), "No 'data' array in response"
        for entry in entries:
            assert isinstance(entry["id"], str)
            assert isinstance(entry.get("object", ""), str) and isinstance(entry.get("owned_by", ""), str)
            assert isinstance(entry.get("created", 0), int)
        return [entry["id"] for entry in entries]

    def check(self, model):
        """Before each request: the very id must be listed; none is ever swapped for another."""
        listed = self.list()
        if not model and len(listed) == 1:
            return listed[0]
        if model not in listed:
            raise LocalModelMissing(f"lms load {model}")
        return model

    def load(self, model):
        if self.native:
            reply = requests.post(f"{self.root}/api/v0/models/load", headers=self.headers, json={"model": model}, timeout=60)
        else:
            hello = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
            reply = requests.post(f"{self.base}/chat/completions", headers=self.headers, json=hello, timeout=60)
        assert reply.ok, reply.text
        return reply.json()

    def unload(self, model):
        assert self.native, "only there"
        return requests.post(f"{self.root}/api/v0/models/unload", headers=self.headers, json={"model": model}, timeout=60)

    def wait_until_ready(self, model):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                return self.check(model)
            except (LocalServerDown, LocalModelMissing):
                time.sleep(0.5)
        return self.check(model)

    def stream(self, model, text):
        body = {"model": self.check(model), "stream": True, "messages": [{"role": "user", "content": text}], "max_tokens": 8}
        pieces, last = [], None
        with requests.post(f"{self.base}/chat/completions", headers=self.headers, json=body, stream=True, timeout=60) as reply:
            assert reply.ok, reply.text
            for line in reply.iter_lines():
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    chunk = json.loads(line[6:])
                    for choice in chunk["choices"]:
                        pieces.append(choice["delta"].get("content") or "")
                        last = choice.get("finish_reason") or last
        return "".join(pieces), last


@pytest.fixture
def studio(martlet):
    """A server before a fake LM Studio with a loaded model and one that is not, and the fake."""
    fake = FakeLMStudio(models=[Model(WRITER), Model(SMALL, loaded=False)])
    server = martlet(None, "--upstream", fake.url, "--kind", "lmstudio")
    server.wait_for_model(WRITER)
    yield server, fake
    fake.close()


@pytest.fixture
def alone(martlet):
    """A server with the tiny model."""
    return martlet(before=engine.give_model, engines=engine.engines(), environment={"MARTLET_ENGINE_THREADS": "1"})


def states(server):
    return {entry["id"]: entry["state"] for entry in server.ask("GET", "/api/v0/models").json["data"]}


@pytest.mark.parametrize("native", [True, False], ids=["native", "openai"])
def test_its_sequence_with_the_engine(alone, native):
    provider = Provider(f"{alone.url}/v1", native)
    assert requests.get(f"{provider.root}/lmstudio-greeting", timeout=0.5).json() == {"lmstudio": True}, "`lms` asks this first"
    assert provider.wait_until_ready(engine.MODEL) == provider.check("") == engine.MODEL
    provider.load(engine.MODEL)
    assert states(alone) == {engine.MODEL: "loaded"}
    text, finish = provider.stream(engine.MODEL, "Hello!")
    assert text and finish in ("stop", "length")
    if native:
        assert provider.unload(engine.MODEL).ok
        assert states(alone) == {engine.MODEL: "not-loaded"}
        again = provider.unload(engine.MODEL)
        assert again.status_code == 404 and isinstance(again.json()["error"], str)


@pytest.mark.parametrize("native", [True, False], ids=["native", "openai"])
def test_its_sequence_with_lm_studio(studio, native):
    server, fake = studio
    provider = Provider(f"{server.url}/v1", native)
    assert provider.wait_until_ready(SMALL) == SMALL
    provider.load(SMALL)
    assert fake.catalogue[SMALL].loaded and states(server)[SMALL] == "loaded"
    assert provider.stream(SMALL, "Hello!") == ("Hello, I am a fake.", "stop")
    if native:
        assert provider.unload(SMALL).ok
        assert not fake.catalogue[SMALL].loaded and fake.catalogue[WRITER].loaded


@pytest.mark.parametrize("native", [True, False], ids=["native", "openai"])
def test_the_model_of_its_documentation(martlet, native):
    """`default_model = "lmstudio-community/meta-llama-3.1-8b-instruct"`: the very id has to be listed."""
    name = "lmstudio-community/meta-llama-3.1-8b-instruct"

    def give(made):
        folder = made.home / "models/lmstudio-community/Meta-Llama-3.1-8B-Instruct-GGUF"
        folder.mkdir(parents=True)
        shutil.copy(engine.WEIGHTS, folder / "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf")

    server = martlet(before=give, engines=engine.engines(), environment={"MARTLET_ENGINE_THREADS": "1"})
    provider = Provider(f"{server.url}/v1", native)
    assert provider.list() == ["meta-llama-3.1-8b-instruct", name]
    provider.load(name)
    assert states(server) == dict.fromkeys(provider.list(), "loaded")
    assert provider.stream(name, "Hello!")[0]
    assert [entry["key"] for entry in server.ask("GET", "/api/v1/models").json["models"]] == ["meta-llama-3.1-8b-instruct"]


@pytest.mark.parametrize("native", [True, False], ids=["native", "openai"])
def test_no_name_but_the_very_one_is_listed(studio, native):
    server, _ = studio
    provider = Provider(f"{server.url}/v1", native)
    assert set(provider.list()) == {WRITER, SMALL}
    for wrong in ("writer-8b", "acme/Writer-8b", "acme/writer"):
        with pytest.raises(LocalModelMissing):
            provider.stream(wrong, "Hello!")


def test_a_server_that_is_gone_is_told_from_one_without_the_model(studio):
    server, fake = studio
    provider = Provider(f"{server.url}/v1", native=True)
    fake.stop_listening()
    assert provider.check(WRITER) == WRITER, "the last known list stays"
    server.stop()
    with pytest.raises(LocalServerDown):
        provider.check(WRITER)


def test_the_lines_it_runs(lms, hub):
    """`lms server status --json --quiet`, `server start`, `get --yes MODEL`, `server stop`; then its provider finds the model."""
    lms.give(name="other")
    base = f"http://127.0.0.1:{free_port()}/v1"
    port = base.split(":")[2].removesuffix("/v1")
    assert lms("server", "start", "-p", port).returncode == 0 and lms("server", "stop").returncode == 0
    status = lms("server", "status", "--json", "--quiet")
    assert (status.returncode, json.loads(status.stdout)["running"]) == (0, False)
    assert lms("server", "start").returncode == 0, "on the port it had"
    status = lms("server", "status", "--json", "--quiet")
    assert json.loads(status.stdout) == {"running": True, "port": int(port)}
    provider = Provider(base)
    with pytest.raises(LocalModelMissing):
        provider.check(engine.MODEL)
    got = lms("get", "--yes", "acme/Tiny-Chat-GGUF", **hub.environment)
    assert got.returncode == 0, got.stderr
    assert provider.wait_until_ready(engine.MODEL) == engine.MODEL
    text, last = provider.stream(engine.MODEL, "Hello")
    assert last in ("stop", "length") and isinstance(text, str)
    assert lms("server", "stop").returncode == 0
    with pytest.raises(LocalServerDown):
        provider.list()
