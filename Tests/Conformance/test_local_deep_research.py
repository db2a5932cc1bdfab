"""Local Deep Research's LM Studio provider, step by step as it takes them: is it there, which models are there, then a chat."""

import os
import threading
import time

os.environ |= {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"}

import openai
import pytest
import requests
from langchain_openai import ChatOpenAI

from fake_lmstudio import FakeLMStudio, Model
from support import chat, engine
from support.waiting import until

WRITER, SMALL = "acme/writer-8b", "acme/small-1b"


class Provider:
    """What its provider does, with its own times and defaults."""

    def __init__(self, url, key=None):
        self.base = url if url.endswith("/v1") else f"{url}/v1"
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.key = key or "not-needed"

    def is_available(self):
        try:
            return requests.get(f"{self.base}/models", headers=self.headers, timeout=1.0).status_code == 200
        except requests.RequestException:
            return False

    def models(self):
        client = openai.OpenAI(base_url=self.base, api_key="dummy-key-for-models-list", timeout=30, max_retries=0)
        with client:
            return [(model.id, model.object, model.created, model.owned_by) for model in client.models.list()]

    def chat(self, model, streaming, limit=16):
        asks = ChatOpenAI(model=model, base_url=self.base, api_key=self.key, temperature=0.7, max_tokens=limit,
                          streaming=streaming, max_retries=2, request_timeout=60)
        return asks.invoke("Say something.")


@pytest.fixture
def studio(martlet):
    """`studio(…)`: a provider that asks a server before a fake LM Studio, and the fake."""
    made = []

    def make(**options):
        made.append(FakeLMStudio(models=[Model(WRITER), Model(SMALL, loaded=False)], **options))
        server = martlet(None, "--upstream", made[-1].url, "--kind", "lmstudio")
        server.wait_for_model(WRITER)
        return Provider(server.url), made[-1]

    yield make
    for fake in made:
        fake.close()


def check(provider, model, streaming):
    assert provider.is_available()
    listed = provider.models()
    assert model in [entry[0] for entry in listed]
    assert all(kind == "model" and isinstance(created, int) and owner for _, kind, created, owner in listed)
    reply = provider.chat(model, streaming)
    assert reply.content
    # It asks no stream for its usage.
    assert streaming or reply.usage_metadata["output_tokens"] > 0
    return reply


@pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "whole"])
def test_it_researches_with_the_engine(tiny, streaming):
    check(Provider(tiny.url), engine.MODEL, streaming)


@pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "whole"])
def test_it_researches_with_lm_studio(studio, streaming):
    provider, fake = studio()
    assert check(provider, WRITER, streaming).content == "Hello, I am a fake."
    sent = fake.requests[-1].json
    assert (sent["model"], sent["temperature"], sent.get("max_tokens") or sent.get("max_completion_tokens")) == (WRITER, 0.7, 16)


def test_a_model_that_is_not_there_is_an_error_it_can_show(studio):
    provider, _ = studio()
    with pytest.raises(openai.NotFoundError, match="not installed or served"):
        provider.chat("acme/none", False)


def test_any_key_will_do_while_none_is_asked_for(studio):
    provider, _ = studio()
    with_key = Provider(provider.base, key="lm-studio")
    assert with_key.is_available() and with_key.chat(WRITER, True).content


def test_it_is_available_within_a_second_while_a_model_loads(local):
    server = local(load_seconds=3)
    provider = Provider(server.url)
    asking = threading.Thread(target=lambda: server.chat(chat.body(model=engine.MODEL, max_tokens=1)))
    asking.start()
    until(lambda: engine.loading(server), "the model was loading")
    assert provider.is_available() and engine.MODEL in [entry[0] for entry in provider.models()]
    assert engine.loading(server), "all that while"
    asking.join()


def test_it_is_available_within_a_second_whatever_the_upstream_does(studio):
    provider, fake = studio()
    hung = []

    def hang(exchange):
        hung.append(exchange)
        exchange.wait_gone()

    fake.get = hang
    answers = []
    until(lambda: answers.append(provider.is_available()) or hung, "the lists were read anew", 20)
    assert all(answers), "its lists hang"
    fake.stop_listening()
    assert provider.is_available() and WRITER in [entry[0] for entry in provider.models()], "nobody is there"


def test_a_long_silence_is_none_for_it(studio):
    """Its only limit is how long nothing comes: a load must not look like silence."""
    provider, _ = studio(load_seconds=6.5)
    began = time.monotonic()
    with requests.post(f"{provider.base}/chat/completions", stream=True, timeout=(5, 6), json={
            "model": SMALL, "stream": True, "messages": chat.MESSAGES}) as reply:
        pieces = [(time.monotonic() - began, piece) for piece in reply.iter_content(None)]
    assert pieces[0][0] < 6 and pieces[0][1].startswith(b":"), "a sign of life"
    assert b"".join(piece for _, piece in pieces).endswith(chat.DONE)
