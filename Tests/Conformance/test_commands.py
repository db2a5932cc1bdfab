"""`config show`, `config check` and `doctor`: what they print, and the exit status that scripts go by."""

import http.server
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


@pytest.mark.parametrize("words", [
    ["nonsense"], ["serve", "--nonsense"], ["serve", "--port", "many"], ["serve", "--port", "70000"], ["serve", "--kind", "foo"],
    ["serve", "--upstream", "mock:", "--kind", "foo"], ["serve", "--log-level", "loud"], ["config", "show", "x"],
    ["chat", "--max-tokens", "some", "hi"], ["chat"]], ids=" ".join)
def test_a_command_that_is_used_wrongly_ends_with_2(run, words):
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip()


def test_help_and_version_are_no_failures(run):
    for words in (["--help"], ["serve", "--help"], ["--version"], ["version"]):
        done = run(*words)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout
    assert "warning, error or critical" in " ".join(run("serve", "--help").stdout.split())


@pytest.fixture
def silent():
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("words", [["ls"], ["health"], ["chat", "hi"]], ids=" ".join)
def test_where_no_server_answers_commands_end_with_69_and_say_why(run, silent, words):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for host, reason in (
                (nobody, f"cannot reach {nobody}: is the server running?"),
                (silent, f"{silent} did not answer within "),
                ("http://nope.invalid", "there is no address for the name in http://nope.invalid")):
            done = run(*words, "--host", host)
            assert (done.returncode, done.stdout) == (69, "")
            assert reason in done.stderr


def test_another_program_at_the_address_is_called_that(run):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}"
        for words in (["ls"], ["chat", "hi"]):
            done = run(*words, "--host", url)
            assert done.returncode == 1
            assert f"{url} answers with HTTP 501, and not as Martlet does: does another program listen there?" in done.stderr
        other.shutdown()


def test_a_missing_token_names_the_variable(run, martlet):
    server = martlet(config={"auth": {"tokens": ["sha256:" + "0" * 64]}, "upstreams": {"m": {"kind": "mock"}}})
    done = run("ls", "--host", server.url)
    assert done.returncode == 1 and done.stderr.endswith("; put the token into MARTLET_API_KEY\n")


def test_an_interrupted_chat_says_so_and_cancels(tmp_path, martlet, upstream):
    def script(exchange):
        exchange.stream_head()
        exchange.chunked(chat.event(chat.chunk({"role": "assistant", "content": "first"})))
        exchange.wait_gone()

    source = upstream(script)
    server = martlet(source)
    process = subprocess.Popen(
        [binary(), "chat", "--host", server.url, "-m", "m1", "hi"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={"PATH": "/nonexistent", "HOME": str(tmp_path)})
    assert process.stdout.read(5) == "first"
    process.send_signal(signal.SIGINT)
    output, complaints = process.communicate(timeout=10)
    assert (process.returncode, complaints) == (130, "martlet: cancelled\n")
    assert source.exchanges[0].gone(within=5), "the upstream was not told"
    assert output == "\n", "the line is ended"


def test_without_discovery_and_models_it_says_that_nothing_is_served(martlet):
    server = martlet(None, "--no-discovery")
    text = "".join(server.output)
    assert "nothing to serve yet: no upstream is named, servers on this machine are not looked for" in text


def test_an_upstream_may_be_named_without_a_scheme(martlet, upstream):
    source = upstream()
    server = martlet(None, "--upstream", f"127.0.0.1:{source.port}", "--kind", "openai-compatible")
    assert server.wait_for_model(chat.MODEL).chat().status == 200


def test_weights_in_the_wrong_folder_are_named(martlet):
    def put(server):
        (server.home / "models").mkdir()
        (server.home / "models/stray.gguf").write_text("weights")
    server = martlet(None, "--upstream", "mock:", before=put)
    assert f"stray.gguf is passed over: models are looked for in {server.home}/models/<publisher>/<name>/" in "".join(
        server.output)


def test_the_next_step_fits_the_address(martlet):
    def put(server):
        (server.home / "models/p/m").mkdir(parents=True)
        (server.home / "models/p/m/m.gguf").write_text("weights")
    server = martlet(None, "--no-discovery", before=put, config={"auth": {"tokens": ["sha256:" + "0" * 64]}})
    [line] = [line for line in server.output if line.startswith("next: ")]
    assert line.startswith('next: MARTLET_API_KEY=TOKEN martlet chat --host http://127.0.0.1:')
