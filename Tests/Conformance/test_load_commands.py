"""`load`, `unload`, `ps` and `chat`, with the real engine, and on a terminal with a server that is slow where it shall be."""

import json
import subprocess
import threading

import pytest

from support import chat, engine
from support.server import binary
from support.terminal import Terminal


def environment(url, **more):
    return {"PATH": "/nonexistent", "HOME": "/nonexistent", "MARTLET_HOME": "/nonexistent", "MARTLET_HOST": url,
            "TERM": "xterm", "LANG": "C.UTF-8"} | more


def run(url, *words, stdin="", **more):
    return subprocess.run(
        [binary(), *words], capture_output=True, text=True, timeout=90, input=stdin, env=environment(url, **more))


@pytest.fixture
def terminal():
    """`terminal(url, "chat", …)`: a command on a terminal."""
    made = []

    def make(url, *words, columns=80, **more):
        made.append(Terminal(*words, environment=environment(url, **more), columns=columns))
        return made[-1]

    yield make
    for one in made:
        one.close()


def event(name, **payload):
    return f"event: {name}\ndata: {json.dumps({'type': name} | payload)}\n\n".encode()


class Slow:
    """A server that loads, reads and answers step by step: each `go()` lets one more step out."""

    def __init__(self, upstream, steps):
        self.gate = threading.Semaphore(0)
        self.steps = steps
        self.server = upstream(self._answer)
        self.server.get = self._get
        self.url = self.server.url

    def go(self, count=1):
        self.gate.release(count)

    def _get(self, exchange):
        target = exchange.request.target
        if target == "/health/live":
            return exchange.json({"status": "ok"})
        assert target == "/admin/v1/residents", target
        exchange.json({"residents": [{
            "id": "writer", "model": "writer", "state": "idle", "users": 0, "queued": 0, "parallel": 2, "context": 4096,
            "bytes": 1_500_000_000, "ttl_ms": None, "last_used": 0, "pinned": False,
            "settings": {"context_length": {"value": 4096, "origin": "request"},
                         "parallel": {"value": 2, "origin": "configuration"}}}]})

    def _answer(self, exchange):
        exchange.stream_head()
        for step in self.steps(exchange.request):
            assert self.gate.acquire(timeout=30)
            exchange.chunked(step)
        exchange.end_chunks()


LOAD = [event("model_load.start", model_instance_id="writer"),
        event("model_load.progress", model_instance_id="writer", progress=0.5),
        event("model_load.end", model_instance_id="writer", load_time_seconds=2.5)]


# With the engine

def test_a_model_is_loaded_listed_and_unloaded(tiny):
    loaded = run(tiny.url, "load", engine.MODEL, "--context", "2048", "--parallel", "2", "--identifier", "mine")
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.startswith("loaded as mine in "), loaded.stdout
    assert " s: context 2048 (request), parallel 2 (request)" in loaded.stdout
    assert f"loading {engine.MODEL}: " in loaded.stderr and "\x1b" not in loaded.stderr
    head, row = run(tiny.url, "ps").stdout.splitlines()[0], next(
        line for line in run(tiny.url, "ps").stdout.splitlines() if line.startswith("mine "))
    assert head.split() == ["IDENTIFIER", "MODEL", "STATUS", "SIZE", "CONTEXT", "PARALLEL", "TTL"]
    assert row.split()[:3] == ["mine", engine.MODEL, "IDLE"] and row.split()[-3:] == ["2048", "2", "-"]
    [entry] = [entry for entry in json.loads(run(tiny.url, "ps", "--json").stdout) if entry["id"] == "mine"]
    assert (entry["context"], entry["settings"]["parallel"]) == (2048, {"value": 2, "origin": "request"})
    again = run(tiny.url, "load", engine.MODEL, "--identifier", "other", "--ttl", "600", "--json")
    report = json.loads(again.stdout)
    assert (report["status"], report["instance_id"], report["context"] > 0) == ("loaded", "other", True)
    assert report["settings"]["ttl"] == {"value": 600, "origin": "request"}
    gone = run(tiny.url, "unload", "mine")
    assert (gone.returncode, gone.stdout) == (0, "mine is unloaded\n"), gone.stderr
    assert "mine" not in run(tiny.url, "ps").stdout.split()
    assert run(tiny.url, "unload", "--all").returncode == 0
    assert run(tiny.url, "ps").stdout == "" and "nothing is loaded" in run(tiny.url, "ps").stderr


def test_an_alias_is_loaded_and_unloaded_as_its_model(martlet):
    config = {"discovery": "off", "models": {"aliases": {"gpt-x": [f"local/{engine.MODEL}"]}}}
    server = martlet(before=engine.give_model, config=config, engines=engine.engines())
    there = run(server.url, "load", "gpt-x")
    assert there.returncode == 0 and there.stdout.startswith(f"loaded as {engine.MODEL} in "), there
    gone = run(server.url, "unload", "gpt-x")
    assert (gone.returncode, gone.stdout) == (0, "gpt-x is unloaded\n"), gone.stderr
    assert run(server.url, "ps").stdout == ""


def test_what_cannot_be_loaded_or_unloaded_says_why(tiny):
    for words, reason in ((["load", "no-such-model"], "no-such-model"), (["unload", "no-such-model"], "no-such-model"),
                          (["load", engine.MODEL, "--context", "999999999"], "trained for"),
                          (["load", engine.MODEL, "--cache-type-k", "q9"], "cache_type_k")):
        done = run(tiny.url, *words)
        assert (done.returncode, done.stdout) == (1, "") and reason in done.stderr, (words, done.stderr)
        assert done.stderr.startswith("martlet: ") and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_command_line_that_cannot_be_meant_ends_with_2_and_no_server_with_69():
    nowhere = "http://127.0.0.1:9"
    for words in (["load"], ["load", "m", "--parallel", "many"], ["unload"], ["unload", "m", "--all"],
                  ["load", "m", "--flash-attention", "perhaps"], ["load", "m", "--gpu-layers", "many"]):
        assert run(nowhere, *words).returncode == 2, words
    for words in (["load", "m"], ["unload", "m"], ["unload", "--all"], ["ps"], ["chat", "hello"]):
        done = run(nowhere, *words)
        assert (done.returncode, done.stdout) == (69, "") and "martlet serve" in done.stderr, done.stderr


def test_an_estimate_needs_no_server(tiny):
    home = {"MARTLET_HOME": str(tiny.home), "PATH": tiny.environment["PATH"]}
    done = run("http://127.0.0.1:9", "load", engine.MODEL, "--estimate-only", "--json", **home)
    assert done.returncode == 0, done.stderr
    small = json.loads(done.stdout)
    assert (small["model"], small["fits"]) == (engine.MODEL, True) and small["total_memory_bytes"] > 1_000_000
    large = json.loads(run("http://127.0.0.1:9", "load", engine.MODEL, "--estimate-only", "--json", "--context", "131072",
                           "--parallel", "64", **home).stdout)
    assert large["context_length"] == 131072 and large["total_memory_bytes"] > small["total_memory_bytes"]
    text = run("http://127.0.0.1:9", "load", engine.MODEL, "--estimate-only", **home).stdout
    assert text.startswith(f"model: {engine.MODEL}\ncontext: ") and "total memory: " in text


def test_one_question_and_its_answer(tiny):
    done = run(tiny.url, "chat", "-m", engine.MODEL, "--max-tokens", "8", "hello")
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
    assert done.stdout.endswith("\n") and "\x1b" not in done.stdout + done.stderr
    piped = run(tiny.url, "chat", "-m", engine.MODEL, "--max-tokens", "4", "sum this up:", stdin="a long text")
    assert piped.returncode == 0 and piped.stdout.strip(), piped.stderr
    none = run(tiny.url, "chat", "-m", "no-such-model", "hello")
    assert (none.returncode, none.stdout.strip()) == (1, "") and "no-such-model" in none.stderr
    assert run(tiny.url, "chat").returncode == 2


# On a terminal

def test_a_bar_shows_how_far_a_load_is(upstream, terminal):
    server = Slow(upstream, lambda request: LOAD)
    shown = terminal(server.url, "load", "writer", "--context", "4096", "--gpu-layers", "max")
    server.go(2)
    shown.see("\rloading writer  [###############               ]  50%")
    server.go()
    shown.see("loaded as writer in 2.50 s: context 4096 (request), parallel 2 (configuration)")
    assert shown.end() == 0
    assert b"\r\x1b[K" in shown.shown, "the bar has gone"
    assert server.server.request.json == {
        "model": "writer", "context_length": 4096, "gpu_layers": 10000, "echo_load_config": True, "stream": True}


def test_ctrl_c_ends_a_load_and_says_so(upstream, terminal):
    left = threading.Event()

    def answer(exchange):
        exchange.stream_head()
        exchange.chunked(LOAD[0])
        exchange.wait_gone()
        left.set()

    server = upstream(answer)
    shown = terminal(server.url, "load", "writer")
    shown.see("loading writer")
    shown.type("\x03")
    shown.see("martlet: cancelled; writer is not loaded")
    assert shown.end() == 130 and left.wait(10), "the server was told"


def native(request):
    turn = 2 if "previous_response_id" in request.json else 1
    yield event("chat.start", model_instance_id="writer")
    if turn == 1:
        yield from LOAD
    yield event("prompt_processing.start") + event("prompt_processing.progress", progress=0.25)
    yield event("prompt_processing.end") + event("reasoning.delta", content="Hm.")
    yield event("message.delta", content=f"Answer {turn}") + event("message.delta", content=".\x1b[31m")
    yield event("chat.end", result={
        "model_instance_id": "writer", "output": [], "response_id": f"resp_{turn}",
        "stats": {"input_tokens": 5, "total_output_tokens": 3, "reasoning_output_tokens": 1, "tokens_per_second": 30.0,
                  "time_to_first_token_seconds": 0.2}})


def test_a_talk_shows_bars_dims_reasoning_and_remembers(upstream, terminal):
    server = Slow(upstream, native)
    shown = terminal(server.url, "chat", "-m", "writer", "--system", "Be brief.")
    shown.see("> ")
    shown.type("Who are you?\n")
    server.go(3)
    shown.see("\rloading writer  [###############               ]  50%")
    server.go(2)
    shown.see("writer is loaded, in 2.50 s").see("\rreading the prompt  [#######")
    server.go(3)
    shown.see("\x1b[2mHm.\x1b[0m").see("Answer 1.[31m\r\n> ")
    shown.type("And again?\n")
    server.go(6)
    shown.see("Answer 2.")
    shown.type("/model\n/nonsense\n/help\n")
    shown.see("the model is writer").see("there is no command /nonsense").see("/new ")
    shown.type("/exit\n")
    assert shown.end() == 0
    first, second = (request.json for request in server.server.requests)
    assert first == {"model": "writer", "input": "Who are you?", "system_prompt": "Be brief.", "store": True, "stream": True}
    assert second == {"model": "writer", "input": "And again?", "previous_response_id": "resp_1", "store": True, "stream": True}


def test_without_colour_nothing_is_dimmed(upstream, terminal):
    server = Slow(upstream, native)
    shown = terminal(server.url, "chat", "-m", "writer", "--reasoning", "hello", NO_COLOR="1")
    server.go(20)
    shown.see("thinking: Hm.\r\n").see("Answer 1.")
    assert shown.end() == 0 and b"\x1b[2m" not in shown.shown


def test_ctrl_c_cancels_an_answer_and_the_talk_goes_on(upstream, terminal):
    left = threading.Event()

    def answer(exchange):
        if exchange.request.target == "/v1/chat/completions":
            return exchange.stream(chat.text_stream("Fine."))
        exchange.stream_head()
        exchange.chunked(event("chat.start", model_instance_id="writer") + event("message.delta", content="Well, I"))
        exchange.wait_gone()
        left.set()

    server = upstream(answer)
    server.get = lambda exchange: exchange.json({"status": "ok"})
    shown = terminal(server.url, "chat", "-m", "writer")
    shown.see("> ")
    shown.type("Tell me all.\n")
    shown.see("Well, I")
    shown.type("\x03")
    shown.see("martlet: cancelled\r\n> ")
    assert left.wait(10), "the server was told"
    shown.type("Then be brief.\n")
    shown.see("Fine.\r\n> ")
    shown.type("\x03")
    assert shown.end() == 130, "at the prompt it leaves"
    assert server.requests[1].json["messages"] == [
        {"role": "user", "content": "Tell me all."}, {"role": "assistant", "content": "Well, I"},
        {"role": "user", "content": "Then be brief."}]
    again = terminal(server.url, "chat", "-m", "writer")
    again.see("> ").type("\x04")
    assert again.end() == 0


def test_who_reads_no_further_ends_the_answer(upstream):
    left = threading.Event()

    def answer(exchange):
        exchange.stream_head()
        exchange.chunked(event("chat.start", model_instance_id="writer") + event("message.delta", content="Well, I"))
        go.wait(20)
        exchange.chunked(event("message.delta", content=" would"))
        exchange.wait_gone()
        left.set()

    go = threading.Event()
    server = upstream(answer)
    server.get = lambda exchange: exchange.json({"status": "ok"})
    with subprocess.Popen([binary(), "chat", "-m", "writer", "hello"], env=environment(server.url), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as talk:
        assert talk.stdout.read(2) == "We"
        talk.stdout.close()
        go.set()
        assert talk.wait(10) == 141 and left.wait(10), "the server was told"


def test_reading_that_takes_its_time_is_told_in_a_pipe_too(upstream):
    server = upstream(lambda exchange: exchange.stream(b"".join(native(exchange.request))))
    done = run(server.url, "chat", "-m", "writer", "hello")
    assert done.stderr.endswith("writer is loaded, in 2.50 s\nreading the prompt: 25%\n"), done.stderr


def test_a_server_without_lm_studios_chat_is_talked_to_by_chat_completions(upstream):
    def answer(exchange):
        if exchange.request.target == "/v1/chat/completions":
            return exchange.stream(chat.text_stream("Hello.", finish="length"))
        # As LM Studio before 0.4 has it.
        exchange.json({"error": "Unexpected endpoint or method. (POST /api/v1/chat)"})

    server = upstream(answer)
    done = run(server.url, "chat", "hi")
    assert (done.returncode, done.stdout) == (0, "Hello.\n"), done.stderr
    assert done.stderr == "martlet: the answer was cut at the token limit\n"
    assert [request.target for request in server.requests] == ["/api/v1/chat", "/v1/chat/completions"]


def test_an_answer_that_fails_or_breaks_off_is_no_success(upstream):
    failing = upstream(lambda exchange: exchange.stream(
        event("chat.start", model_instance_id="m") + event("message.delta", content="Half")
        + event("error", error={"type": "internal_error", "message": "the engine died"}) + event("chat.end", result={})))
    done = run(failing.url, "chat", "hi")
    assert (done.returncode, done.stdout) == (1, "Half\n") and done.stderr == "martlet: the engine died\n"
    broken = upstream(lambda exchange: exchange.stream(event("message.delta", content="Half")))
    done = run(broken.url, "chat", "hi")
    assert (done.returncode, done.stdout) == (69, "Half\n") and "ended the answer early" in done.stderr
