"""`engine install` when it cannot work: one sentence that says what to do, status 1, and nothing left behind."""

import http.server
import socket
import subprocess
import threading

import pytest

from support.server import binary

WHEEL = "xllamacpp-2026.10.11549-py3-none-any.whl"


@pytest.fixture
def install(tmp_path):
    """`install(…, PIP_INDEX_URL="…")`: the finished command, with a home of its own."""

    def go(*words, path="/usr/local/bin:/usr/bin:/bin", **environment):
        done = subprocess.run(
            [binary(), "engine", "install", *words], capture_output=True, text=True, timeout=120,
            env={"PATH": path, "HOME": str(tmp_path), "MARTLET_HOME": str(tmp_path / "home"), "PIP_CONFIG_FILE": "/dev/null",
                 "PIP_TIMEOUT": "5"} | environment)
        assert done.returncode == 1, done
        assert not list((tmp_path / "home/engines").glob("*")), "nothing is left behind"
        return done

    return go


@pytest.fixture
def index():
    """A package index that has the wheel under its right name, with other bytes in it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            is_file = self.path.endswith(".whl")
            body = b"not what was asked for" if is_file else f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode()
            self.send_response(200)
            self.send_header("content-type", "application/octet-stream" if is_file else "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def only_sentence(done):
    """What it says besides its progress: one line."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("getting ")]
    assert len(lines) == 1 and lines[0].startswith("martlet: "), done.stderr
    return lines[0]


def test_an_index_that_cannot_be_reached(install):
    sentence = only_sentence(install(PIP_INDEX_URL=f"http://127.0.0.1:{closed_port()}/simple"))
    assert "the package index cannot be reached" in sentence and "PIP_INDEX_URL" in sentence


def test_a_file_that_is_not_the_pinned_one(install, index):
    assert "(its SHA-256 differs), so it was not installed" in only_sentence(install(PIP_INDEX_URL=index))


def test_an_index_without_the_package(install, tmp_path):
    (tmp_path / "empty").mkdir()
    sentence = only_sentence(install(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "empty")))
    assert "has no wheel for Linux" in sentence and "engine install --source" in sentence


def test_no_python(install, tmp_path):
    (tmp_path / "sh").symlink_to("/bin/sh")
    assert "apt-get install -y python3 python3-pip" in only_sentence(install(path=str(tmp_path)))


def test_what_pip_said_is_shown_when_it_is_asked_for(install, index):
    assert "DO NOT MATCH THE HASHES" in install("--log-level", "debug", PIP_INDEX_URL=index).stderr
    assert "DO NOT MATCH THE HASHES" in install(PIP_INDEX_URL=index, MARTLET_LOG="debug").stderr


def test_a_disk_that_is_full(install, tmp_path):
    """pip's words are copied from a disk that was."""
    python = tmp_path / "bin/python3"
    python.parent.mkdir()
    python.write_text(
        '#!/bin/sh\ncase "$*" in *platform.system*) echo "python $0 3 11"; echo "platform Linux x86_64 glibc";;\n'
        '*"pip --version"*) echo pip;;\n'
        "*) echo \"ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device: '/x/y'\" >&2; "
        "exit 1;; esac\n")
    python.chmod(0o755)
    sentence = only_sentence(install(path=f"{python.parent}:/usr/bin:/bin"))
    assert "there is no room for xllamacpp" in sentence and "MARTLET_HOME" in sentence
