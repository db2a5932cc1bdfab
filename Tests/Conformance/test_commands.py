"""`config show`, `config check` and `doctor`: what they print, and the exit status that scripts go by."""

import json
import signal
import socket
import subprocess
import threading

import pytest

from fake_lmstudio import FakeLMStudio, Model
from support import chat
from support.server import binary

FILE = """\
server: { port: 0 }
upstreams:
  studio: { kind: lmstudio, url: "%s", api_key: "%s" }
models: { default: m1 }
"""


@pytest.fixture
def run(tmp_path):
    """`run("config", "check", file="…", NAME="…")`: the finished command, with a home of its own."""
    def go(*words, file=None, **environment):
        if file is not None:
            (tmp_path / "martlet.yaml").write_text(file)
        return subprocess.run(
            [binary(), *words], capture_output=True, text=True, timeout=30,
            env={"PATH": "/nonexistent", "HOME": str(tmp_path), "MARTLET_HOME": str(tmp_path)} | environment)
    return go


def test_show_names_the_origin_of_each_value(run):
    done = run("config", "show", "--json", file=FILE % ("http://a:1", chat.UPSTREAM_KEY), MARTLET_QUEUE_LENGTH="7")
    assert done.returncode == 0
    settings = {entry["key"]: entry for entry in json.loads(done.stdout)["settings"]}
    assert settings["queue.length"] == {"key": "queue.length", "value": "7", "origin": "MARTLET_QUEUE_LENGTH"}
    assert settings["upstreams.studio.url"]["origin"].endswith("martlet.yaml:3")
    assert settings["log.level"]["origin"] == "default"
    assert chat.UPSTREAM_KEY not in done.stdout
    text = run("config", "show").stdout
    assert "http://a:1" in text and chat.UPSTREAM_KEY not in text


def test_check_ends_with_0_or_1(run):
    assert run("config", "check", file="server: { port: 3001 }").returncode == 0
    bad = run("config", "check", file="server:\n  prot: 3001")
    assert bad.returncode == 1
    assert "martlet.yaml:2" in bad.stderr and "server.port" in bad.stderr
    report = json.loads(run("config", "check", "--json").stdout)
    assert report["ok"] is False and len(report["errors"]) == 1
    warned = run("config", "check", file="auth: { required: on }")
    assert warned.returncode == 0 and "every request will be refused" in warned.stderr


def test_doctor_of_what_works(run, upstream):
    done = run("doctor", "--json", file=FILE % (upstream().url, chat.UPSTREAM_KEY))
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (0, True), report
    found = {finding["about"]: finding for finding in report["findings"]}
    assert found["upstream studio"]["facts"]["models"] == [chat.MODEL]
    assert found["default model"]["text"] == "requests without a model go to studio/m1"
    assert chat.UPSTREAM_KEY not in done.stdout


def test_doctor_of_what_does_not(run, upstream):
    source = upstream()
    source.stop_listening()
    done = run("doctor", file=FILE % (source.url, chat.UPSTREAM_KEY))
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if "upstream studio" in line)
    assert line.startswith("BROKEN") and str(source.port) in line and "lms server start" in line
    assert run("doctor", file="nonsense: 1").returncode == 1


def about(done, subject):
    """The doctor's lines on a subject, without it."""
    lines = [line.partition(f"  {subject}: ") for line in done.stdout.splitlines()]
    return [(mark.strip(), text) for mark, found, text in lines if found]


def test_doctor_takes_upstreams_as_serve_does(run, upstream):
    source = upstream()
    done = run("doctor", "--upstream", f"far={source.url}", "--kind", "openai-compatible", "--port", "0")
    assert done.returncode == 0, done.stdout
    assert about(done, "upstream far")[0][1].startswith(f"the upstream at 127.0.0.1:{source.port}, 1 model (m1) in ")
    assert run("doctor", "--kind", "lmstudio").returncode == 1, "a kind without an upstream"


def test_doctor_of_lm_studio(run):
    fake = FakeLMStudio(models=[Model("acme/writer-8b", loaded=False)])
    try:
        done = run("doctor", "--upstream", fake.url, "--port", "0")
        assert done.returncode == 0, done.stdout
        assert ("hint", "no model is loaded. Load one (lms load NAME); else the first request waits for it, or fails where "
                "just-in-time loading is off") in about(done, "upstream upstream")
        fake.catalogue["acme/writer-8b"].loaded = True
        done = run("doctor", "--upstream", fake.url, "--port", "0")
        assert "8192 tokens" in done.stdout and "lms load acme/writer-8b --context-length 32768" in done.stdout
    finally:
        fake.close()


def test_doctor_of_another_protocol(run):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def greet():
            while True:
                try:
                    connection, _ = listener.accept()
                    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                except OSError:
                    return
        threading.Thread(target=greet, daemon=True).start()
        port = listener.getsockname()[1]
        done = run("doctor", "--upstream", f"http://127.0.0.1:{port}", "--port", "0")
        listener.shutdown(socket.SHUT_RDWR)
    assert done.returncode == 1
    [(mark, text)] = about(done, "upstream upstream")
    assert mark == "BROKEN" and "did not answer in HTTP" in text and "check the URL's port and path" in text


def test_a_port_that_is_taken_names_who_answers_there(run, martlet):
    server = martlet(None, "--upstream", "mock:")
    done = run("serve", "--port", str(server.port), "--upstream", "mock:")
    assert done.returncode == 1
    assert f"port {server.port} is taken: a Martlet runs there already" in done.stderr
    fake = FakeLMStudio()
    try:
        for done in (run("serve", "--port", str(fake.port), "--upstream", "mock:"),
                     run("doctor", "--port", str(fake.port), "--upstream", "mock:")):
            assert done.returncode == 1
            assert f"port {fake.port} is taken by another program (LM Studio answers there). Use --port N" in (
                done.stdout + done.stderr)
    finally:
        fake.close()


def test_health_is_an_exit_status(run, martlet):
    server = martlet(config={"auth": {"tokens": ["sha256:" + "0" * 64]}, "upstreams": {"m": {"kind": "mock"}}})
    assert run("health", "--host", server.url).returncode == 0, "it needs no token"
    assert run("health", MARTLET_HOST=f"127.0.0.1:{server.port}").returncode == 0
    server.signal(signal.SIGTERM)
    server.wait()
    assert run("health", "--host", server.url).returncode == 69


def test_variables_of_other_commands_are_known(run):
    done = run("config", "check", MARTLET_API_KEY="k", MARTLET_HOST="http://127.0.0.1:1", MARTLET_LOG="debug")
    assert (done.returncode, done.stderr) == (0, "")
