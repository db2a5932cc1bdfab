"""`config show`, `config check` and `doctor`: what they print, and the exit status that scripts go by."""

import json
import subprocess

import pytest

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


def test_a_port_that_is_taken_names_who_answers_there(run, martlet):
    server = martlet(None, "--upstream", "mock:")
    done = run("serve", "--port", str(server.port), "--upstream", "mock:")
    assert done.returncode == 1
    assert f"port {server.port} is taken: a Martlet runs there already" in done.stderr
