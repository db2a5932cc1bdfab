"""The program under the name `lms`: the command lines that other tools run, their output to the byte where programs read it."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from support import engine
from support.server import binary
from support.terminal import Terminal
from support.waiting import until
from support.wire import Connection

SECRET = "tok-lms-1d7f"


class LMS:
    """`lms("ls", "--json")`: the finished command, with a home of its own. What it starts is ended with the test."""

    def __init__(self, folder):
        self.home = folder / "home"
        self.home.mkdir()
        self.program = folder / "lms"
        self.program.symlink_to(binary())
        (folder / "run").mkdir(mode=0o700)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "MARTLET_HOME": str(self.home), "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(folder / "run"), "TMPDIR": str(folder / "run"), "MARTLET_ENGINE_THREADS": "1",
            "MARTLET_DISCOVERY": "off"}

    def __call__(self, *words, stdin="", **environment):
        return subprocess.run(
            [self.program, *words], capture_output=True, text=True, timeout=90, input=stdin,
            env=self.environment | environment)

    def json(self, *words, **environment):
        done = self(*words, "--json", **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("\n") == 1, "one document on one line"
        return json.loads(done.stdout)

    def give(self, weights=engine.WEIGHTS, name=engine.MODEL):
        engine.give_model(self, weights, name)
        (self.home / "engines").symlink_to(engine.engines())

    def serve(self):
        """A server with a model, at the port that is returned."""
        self.give()
        port = free_port()
        started = self("server", "start", "-p", str(port))
        assert started.returncode == 0, started.stderr
        return port

    @property
    def process(self):
        return self.json("daemon", "status").get("pid")

    def end(self):
        if process := self.process:
            assert self("server", "stop").returncode == 0
            assert not pathlib.Path(f"/proc/{process}/exe").exists()


@pytest.fixture
def lms():
    # A short path: a Unix socket's name may have about 100 bytes.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lms-", dir="/tmp"))
    made = LMS(folder)
    yield made
    made.end()
    shutil.rmtree(folder)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# The server

def test_the_server_is_started_found_and_stopped(lms):
    port = free_port()
    assert lms.json("server", "status", "--port", str(port)) == {"running": False}
    started = lms("server", "start", "-p", str(port))
    assert (started.returncode, started.stdout) == (0, ""), started.stderr
    assert started.stderr == f"Success! Server is now running on port {port}\n"
    with Connection(port) as connection:
        assert connection.ask("GET", "/lmstudio-greeting").json == {"lmstudio": True}
    # The port is remembered, so that the next commands find it.
    status = lms("server", "status", "--json", "--quiet")
    assert (status.returncode, status.stdout) == (0, '{"running":true,"port":%d}\n' % port)
    process = lms.process
    assert lms.json("daemon", "status") == {"status": "running", "pid": process, "isDaemon": True}
    assert pathlib.Path(f"/proc/{process}/exe").resolve() == binary().resolve()
    # Who runs already is not started again, and not elsewhere.
    assert lms("server", "start").stderr == f"Success! Server is now running on port {port}\n"
    elsewhere = lms("server", "start", "--port", str(free_port()))
    assert elsewhere.returncode == 1 and f"runs already, on port {port}" in elsewhere.stderr
    assert lms.process == process
    shown = lms("status")
    assert (shown.returncode, shown.stdout) == (
        0, f"Server: ON (port: {port})\n\nLoaded Models\n  · No Models Loaded\n")
    stopped = lms("server", "stop")
    assert (stopped.returncode, stopped.stderr) == (0, f"Stopped the server on port {port}.\n")
    assert not pathlib.Path(f"/proc/{process}").exists() or until(
        lambda: not pathlib.Path(f"/proc/{process}/exe").exists(), "it was gone")
    again = lms("server", "stop")
    assert (again.returncode, again.stderr) == (1, "lms: The server is not running.\n")
    assert lms("status").stdout.startswith("Server: OFF\n")


def test_only_what_lms_started_is_stopped(lms, martlet):
    server = martlet(None, "--upstream", "mock:")
    (lms.home / "lms-server.json").write_text(json.dumps({"port": server.port}))
    # Even where a file names a process, for numbers are given again.
    (lms.home / "lms-server.pid").write_text(f"{server.pid}\n")
    assert lms.json("server", "status") == {"running": True, "port": server.port}
    assert lms.json("daemon", "status") == {"status": "running", "isDaemon": False}
    done = lms("server", "stop")
    assert done.returncode == 1 and "was not started by lms server start, and is left alone" in done.stderr
    assert lms("server", "start").returncode == 0, "it answers"
    assert server.process.poll() is None and lms.process is None


def test_a_server_that_cannot_start_says_why(lms):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lms("server", "start", "-p", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"the server did not start: martlet: port {port} is taken" in done.stderr
    assert lms.process is None
    open_ = lms("server", "start", "--bind", "0.0.0.0", "-p", str(free_port()))
    assert open_.returncode == 1 and "token" in open_.stderr, open_.stderr
    assert lms("server", "start", "-p", "0").returncode == 1


def test_bind_host_and_cors(lms):
    port = free_port()
    for flag in (["--bind", "127.0.0.2"], ["--host", "127.0.0.2"]):
        assert lms("server", "start", "-p", str(port), *flag).returncode == 0
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.2", port)) == 0
        assert lms.json("server", "status", "--host", "127.0.0.2", "--port", str(port))["running"]
        # Without a flag all commands find it, and nobody is told that it could be started.
        for words in ([], ["--port", str(port)]):
            assert lms.json("server", "status", *words) == {"running": True, "port": port}
        assert lms.json("ps") == [] and lms("status").stdout.startswith(f"Server: ON (port: {port})\n")
        process = lms.process
        assert lms("server", "start").returncode == 0 and lms.process == process
        elsewhere = lms("server", "start", "--bind", "127.0.0.1")
        assert elsewhere.returncode == 1 and f"runs already, on port {port} of 127.0.0.2" in elsewhere.stderr
        assert lms("server", "stop").returncode == 0
        assert lms.json("server", "status") == {"running": False}
    assert lms("server", "start", "-p", str(port), "--cors").returncode == 0
    with Connection(port) as connection:
        reply = connection.ask("GET", "/v1/models", Origin="https://app.example")
    assert reply.status == 200 and reply.headers.get("access-control-allow-origin") in ("*", "https://app.example")


def test_a_daemon_is_the_same_server(lms):
    port = free_port()
    (lms.home / "lms-server.json").write_text(json.dumps({"port": port}))
    up = lms.json("daemon", "up")
    assert up == {"status": "running", "pid": lms.process, "isDaemon": True, "version": "0.1.0"}
    assert lms("server", "start").stderr == f"Success! Server is now running on port {port}\n"
    assert lms.json("daemon", "down") == {"status": "not-running"}
    assert lms.json("daemon", "status") == {"status": "not-running"}
    assert lms("daemon", "down").returncode == 0
    assert lms("daemon", "update").returncode == 1


# Models

def info(lms):
    return {
        "type": "llm", "modelKey": engine.MODEL, "format": "gguf", "displayName": lms.display, "publisher": "martlet",
        "path": f"martlet/{engine.MODEL}/{engine.MODEL}.gguf", "sizeBytes": engine.WEIGHTS.stat().st_size,
        "indexedModelIdentifier": engine.MODEL, "deviceIdentifier": None, "paramsString": "0.9M", "architecture": "llama",
        "quantization": {"name": "F16", "bits": 16}, "vision": False, "trainedForToolUse": True, "maxContextLength": 131072}


def test_ls_lists_what_is_here_in_the_sdks_words(lms):
    assert lms.json("ls") == []
    assert lms("ls").stderr.startswith("You have not downloaded any models yet.")
    lms.give()
    [model] = lms.json("ls")
    lms.display = model["displayName"]
    assert model == info(lms) and list(model) == list(info(lms))
    assert lms.json("ls", "--llm") == [model] and lms.json("ls", "--embedding") == []
    assert lms.json("ls", "--detailed", "tiny") == [model] and lms.json("ls", "other") == []
    for words in (["other"], ["--embedding"]):
        assert lms("ls", *words).stderr == "No model fits that. See all with: lms ls\n"
    assert lms.json("ls", "--variants") == [{"model": model, "variants": [model]}]
    folder = lms.home / f"models/martlet/{engine.MODEL}"
    shutil.copy(engine.WEIGHTS, folder / "tiny-UD-Q4_K_M.gguf")  # whose header says F16
    [other, _] = lms.json("ls", "--variants")
    assert [one["modelKey"] for one in other["variants"]] == [other["model"]["modelKey"]] == [f"{engine.MODEL}@q4_k_m"]
    assert lms("load", "--estimate-only", other["variants"][0]["modelKey"]).returncode == 0
    (folder / "tiny-UD-Q4_K_M.gguf").unlink()
    lines = lms("ls").stdout.splitlines()
    assert lines[0] == "You have 1 model, taking up 1.9 MB of disk space."
    assert lines[2].split() == ["LLM", "PARAMS", "ARCH", "SIZE", "DEVICE"]
    assert lines[3].split() == [engine.MODEL, "0.9M", "llama", "1.9", "MB", "Local"]


def test_a_model_is_loaded_listed_and_unloaded(lms):
    port = lms.serve()
    assert lms.json("ps") == []
    loaded = lms("load", engine.MODEL, "--gpu", "off", "-c", "4096", "--parallel", "2", "--ttl", "900", "-y", "--exact",
                 "--identifier", "mine")
    assert (loaded.returncode, loaded.stdout) == (0, ""), loaded.stderr
    assert "Model loaded successfully in " in loaded.stderr
    assert 'To use the model in the API/SDK, use the identifier "mine".\n' in loaded.stderr
    [entry] = lms.json("ps")
    lms.display = entry["displayName"]
    used = entry.pop("lastUsedTime")
    assert used is None or abs(used - time.time() * 1000) < 60_000
    assert entry == info(lms) | {
        "identifier": "mine", "ttlMs": 900_000, "contextLength": 4096, "status": "idle", "queued": 0, "parallel": 2}
    head, row = lms("ps").stdout.splitlines()
    assert head.split() == ["IDENTIFIER", "MODEL", "STATUS", "SIZE", "CONTEXT", "PARALLEL", "DEVICE", "TTL"]
    assert row.split() == ["mine", engine.MODEL, "IDLE", "1.9", "MB", "4096", "2", "Local", "15m", "/", "15m"] or "14m" in row
    assert lms("ls").stdout.splitlines()[3].endswith("✓ LOADED")
    assert f"  · mine - 1.9 MB\n" in lms("status").stdout
    # As a client of another machine would: by name and port.
    assert [one["identifier"] for one in lms.json("ps", "--host", "127.0.0.1", "--port", str(port))] == ["mine"]
    assert lms.json("ls", "--host", "127.0.0.1", "--port", str(port))[0]["modelKey"] == engine.MODEL
    # The only one need not be named.
    assert lms("load", engine.MODEL, "--identifier", "other").returncode == 0
    which = lms("unload")
    assert which.returncode == 1 and "name one of: mine, other; or say --all" in which.stderr
    gone = lms("unload", "mine")
    assert (gone.returncode, gone.stderr) == (0, 'Model "mine" unloaded.\n')
    gone = lms("unload")
    assert (gone.returncode, gone.stderr) == (0, 'Model "other" unloaded.\n')
    none = lms("unload")
    assert none.returncode == 1 and "no model is loaded" in none.stderr
    assert lms.json("ps") == [] and lms("unload", "-a").stderr == "No models to unload.\n"
    assert lms("load", "no-such").returncode == 1 and lms("unload", "no-such").returncode == 1
    # Nothing is said where nothing shall be, and no sentence sends anybody to another program.
    quiet = lms("load", info(lms)["path"], "--exact", "--quiet", "--identifier", "second")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    for words in (["load", "no-such"], ["chat", "no-such", "-p", "x"]):
        refused = lms(*words)
        assert refused.returncode == 1 and "martlet" not in refused.stderr and ": lms " in refused.stderr, refused.stderr


def test_an_estimate_and_what_a_load_cannot_have(lms):
    lms.give()
    done = lms("load", engine.MODEL, "--estimate-only", "--gpu", "0.5")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[:2] == [f"Model: {engine.MODEL}", "Estimated GPU Memory: 0 B"], done.stderr
    assert lines[2].startswith("Estimated Total Memory: ") and " fits into the " in lines[3]
    for words, reason in ((["--gpu", "2"], "--gpu takes off, max, or a number from 0 to 1"),
                          (["--speculative-draft-max-tokens", "4"], "cannot be set here"),
                          (["--speculative-draft-simple"], "needs a model: --speculative-draft-model")):
        refused = lms("load", engine.MODEL, *words)
        assert refused.returncode == 1 and reason in refused.stderr
    simple = lms("load", engine.MODEL, "--speculative-draft-simple", "--speculative-draft-model", "none", "--estimate-only")
    assert simple.returncode == 1 and 'model "none" is not installed' in simple.stderr, "the flags go together"
    assert f"name one of: {engine.MODEL}" in lms("load").stderr


def test_a_model_is_asked_once(lms):
    lms.serve()
    done = lms("chat", engine.MODEL, "-p", "hello", "-s", "Be brief.", "--stats", "--dont-fetch-catalog", "-y")
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
    assert " tokens/s" in done.stderr
    piped = lms("chat", engine.MODEL, stdin="what is this?")
    assert piped.returncode == 0 and piped.stdout.strip(), piped.stderr
    assert lms("chat", engine.MODEL).returncode == 1


def test_get_and_import(lms, hub):
    got = lms("get", "--yes", "--gguf", "acme/Tiny-Chat-GGUF@f16", "--host", "127.0.0.1", **hub.environment)
    assert (got.returncode, got.stdout) == (0, ""), got.stderr
    assert "tiny-chat is here, and checked\nnext: lms server start, and lms chat tiny-chat\n" in got.stderr
    assert [model["modelKey"] for model in lms.json("ls")] == ["tiny-chat"]
    away = lms("get", "acme/Tiny-Chat-GGUF", "--host", "models.example", "--port", "8080", **hub.environment)
    assert (away.returncode, away.stdout) == (1, "") and away.stderr == (
        "lms: lms get brings a model to this machine: run it at models.example, or ask the server there by POST "
        "http://models.example:8080/api/v1/models/download\n")
    mlx = lms("get", "acme/Tiny-Chat", "--mlx", **hub.environment)
    assert mlx.returncode == 1 and "leave it out to get GGUF" in mlx.stderr
    hub.add("acme/Tiny-Two-GGUF", {"Tiny-Two-F16.gguf": engine.WEIGHTS.read_bytes(), "Tiny-Two-Q4_K_M.gguf": b"GGUF"})
    choice = lms("get", "--select", "acme/Tiny-Two-GGUF", **hub.environment)
    assert choice.returncode == 1 and "1  Q4_K_M" in choice.stderr and "2  F16" in choice.stderr
    assert "name one, as in: lms get acme/Tiny-Two-GGUF:Q4_K_M, or leave --select out" in choice.stderr
    assert lms("get", "--select", "acme/Tiny-Chat-GGUF", **hub.environment).returncode == 0, "there is one only"
    asked = Terminal("get", "--select", "acme/Tiny-Two-GGUF", program=lms.program,
                     environment=lms.environment | hub.environment | {"TERM": "xterm"})
    with contextlib.closing(asked):
        asked.see("which one? [1-2, nothing for none] ").type("2\n")
        asked.see("tiny-two is here, and checked")
        assert asked.end() == 0
    assert (lms.home / "models/acme/Tiny-Two-GGUF/Tiny-Two-F16.gguf").exists()
    none = lms("get", "-y", "acme/Nothing", **hub.environment)
    assert (none.returncode, none.stdout) == (1, "") and none.stderr.startswith("lms: ")
    assert none.stderr.endswith("Look for its name with: lms get\n")
    hub.add("acme/Tiny-Other-GGUF", {"o.gguf": b"x"})
    few = lms("get", "-n", "1", "-a", "tiny", **hub.environment)
    assert few.returncode == 1 and "1  acme/Tiny-Chat-GGUF" in few.stderr and "Tiny-Other" not in few.stderr
    assert "name one, as in: lms get acme/Tiny-Chat-GGUF, or" in few.stderr
    file = lms.home / "other.gguf"
    shutil.copy(engine.WEIGHTS, file)
    dry = lms("import", str(file), "--user-repo", "me/mine", "--dry-run", "-y")
    assert (dry.returncode, dry.stdout) == (0, "") and "would come to me/mine, moved" in dry.stderr
    for flag, is_left in (("-c", True), ("-l", True)):
        done = lms("import", str(file), "--user-repo", f"me/mine{flag}", flag)
        assert done.returncode == 0 and file.exists() == is_left, done.stderr
    assert (lms.home / "models/me/mine-l/other.gguf").is_symlink()
    both = lms("import", "-l", "-L", str(file))
    assert both.returncode == 1 and "choose one of --copy, --hard-link and --symbolic-link" in both.stderr
    assert "Usage: lms import" in both.stderr and "martlet" not in both.stderr
    assert lms("import", str(file), "--user-repo", "me/moved").returncode == 0 and not file.exists()


# Logs

@contextlib.contextmanager
def log_stream(lms, source, *words, flag="-s"):
    """`lms log stream` of that source, which has begun to read; one that still does at the end is ended."""
    with subprocess.Popen([lms.program, "log", "stream", flag, source, *words], env=lms.environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as reading:
        try:
            assert reading.stderr.readline() == f"Streaming logs from the {source}\n"
            yield reading
        finally:
            reading.kill()


@contextlib.contextmanager
def log_of_a_chat(lms, source):
    """The lines of the stream, in JSON, as they come in a chat with a canary in its prompt. They end with ^C, and hold none."""
    lms.serve()
    with log_stream(lms, source, "--json") as reading:
        lines = []
        threading.Thread(target=lambda: lines.extend(reading.stdout), daemon=True).start()
        assert lms("chat", engine.MODEL, "-p", "a canary of a prompt").returncode == 0
        yield lines
        reading.send_signal(signal.SIGINT)
        assert reading.wait(10) == 0
    assert "canary" not in "".join(lines)


def test_the_servers_log_is_streamed_and_holds_no_prompt(lms):
    with log_of_a_chat(lms, "server") as lines:
        ended = until(lambda: [line for line in list(lines) if "exchange ended" in line], "the exchange was told")
    told = json.loads(ended[0])
    assert set(told) == {"timestamp", "data"} and abs(told["timestamp"] - time.time() * 1000) < 60_000
    assert set(told["data"]) == {"type", "content", "level"} and told["data"]["type"] == "server.log"
    assert told["data"]["level"] == "info" and "outcome=complete" in told["data"]["content"]
    # It ends with its reader, also while there is nothing to write.
    with log_stream(lms, "server") as left:
        left.stdout.close()
        assert left.wait(20) == 141
    # Who reads on does not keep the server from ending.
    with log_stream(lms, "server", flag="--source") as last:
        start = time.monotonic()
        assert lms("server", "stop").returncode == 0 and time.monotonic() - start < 10
        assert last.wait(10) == 0 and last.stderr.read() == "The server has ended.\n"


def test_what_the_engines_say_is_streamed_and_holds_no_prompt(lms):
    with log_of_a_chat(lms, "runtime") as lines:
        until(lambda: any("eval time" in line for line in list(lines)), "the engine told how long it took")
    told = json.loads(lines[0])
    assert set(told["data"]) == {
        "type", "level", "message", "engineName", "engineVersion", "engineType", "modelIdentifier"}
    assert (told["data"]["type"], told["data"]["modelIdentifier"]) == ("runtime.log", engine.MODEL)
    assert str(lms.home) not in "".join(lines)


def test_prompts_are_in_no_log(lms):
    done = lms("log", "stream")
    assert done.returncode == 1 and "store.capture" in done.stderr and "lms log stream --source server" in done.stderr
    assert lms("log", "stream", "-s", "server", "--stats").returncode == 1


# Everything else

def test_the_version(lms):
    assert lms.json("version") == {"version": "0.1.0"}
    assert lms("--version").stdout == "0.1.0\n"


@pytest.mark.parametrize("words", [["login"], ["push", "--yes"], ["runtime", "ls"], ["link", "status"], ["dev"], ["whoami"]],
                         ids=" ".join)
def test_what_is_not_here_says_so(lms, words):
    done = lms(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"lms {words[0]} is LM Studio's own, and Martlet does not have it" in done.stderr


@pytest.mark.parametrize("words", [["nonsense"], ["ls", "--nonsense"], ["ps", "--verbose", "--quiet"], ["load", "m", "-c", "x"],
                                   ["ps", "--host", "http://a:1"], ["ps", "--port", "70000"]], ids=" ".join)
def test_a_command_line_that_cannot_be_meant_ends_with_1(lms, words):
    done = lms(*words)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.strip()


@pytest.mark.parametrize("words", [["ps"], ["ps", "--json"], ["load", "m"], ["unload", "-a"], ["chat", "-p", "hi"],
                                   ["log", "stream", "-s", "server"]], ids=" ".join)
def test_without_a_server_it_says_what_to_do(lms, words):
    port = free_port()
    done = lms(*words, "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"lms: no server answers at 127.0.0.1:{port}. Start it with: lms server start --port {port}\n"


def test_a_token_is_taken_as_lm_studios_clients_have_it(lms, martlet):
    import hashlib
    digest = "sha256:" + hashlib.sha256(SECRET.encode()).hexdigest()
    server = martlet(config={"auth": {"tokens": [digest]}, "upstreams": {"m": {"kind": "mock"}}})
    place = ["--host", "127.0.0.1", "--port", str(server.port)]
    refused = lms("ps", *place)
    assert refused.returncode == 1 and "LM_API_TOKEN" in refused.stderr
    for name in ("LM_API_TOKEN", "LMSTUDIO_API_TOKEN", "MARTLET_API_KEY"):
        assert lms("ps", *place, **{name: SECRET}).returncode == 0


def test_a_talk_under_that_name(lms):
    lms.serve()
    shown = Terminal("chat", engine.MODEL, "--stats", program=lms.program, environment=lms.environment | {"TERM": "xterm"})
    with contextlib.closing(shown):
        shown.see("> ").type("hello\n")
        shown.see(" tokens/s", within=60).type("\x04")
        assert shown.end() == 0
