"""The real engine under test: the tiny model, a `llama-server` of our own making on PATH, and what the engine itself says."""

import http.client
import json
import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys

from .server import REPOSITORY

MODEL = "tiny-chat"
WEIGHTS = REPOSITORY / "Tests/Fixtures/tiny-chat.gguf"


def engines():
    """The folder of engines that Scripts/check has installed."""
    home = os.environ.get("MARTLET_TEST_ENGINE_HOME")
    assert home, "MARTLET_TEST_ENGINE_HOME is not set: run these by Scripts/check --only conformance"
    return pathlib.Path(home) / "engines"


def give_model(server, weights=WEIGHTS, name=MODEL, projector=None):
    """Puts a model into a server's home, before it starts; beside it what makes it see, if it does."""
    folder = server.home / "models/martlet" / name
    folder.mkdir(parents=True)
    shutil.copy(weights, folder / f"{name}.gguf")
    if projector:
        shutil.copy(projector, folder / projector.name)


def model_files(home):
    """The paths of all files in the folder of models, without those in which Martlet keeps the names of models."""
    models = pathlib.Path(home) / "models"
    paths = [str(path.relative_to(models)) for path in models.rglob("*") if not path.is_dir()]
    return sorted(path for path in paths if not path.startswith(".martlet/"))


def make_models(folder):
    """The other tiny models, made by their script: `tiny-embed.gguf`, `tiny-rerank.gguf`, `mmproj-tiny-vision.gguf`."""
    subprocess.run([sys.executable, REPOSITORY / "Tests/Fixtures/make_tiny_models.py", folder], check=True)
    return folder


def words_of(pid):
    """A process's command line; empty when it has just ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def command(server):
    """The command line of the engine process that a server runs."""
    for pid in server.processes():
        words = words_of(pid)
        if "--model" in words and not words[0].endswith("sh"):
            return pid, words
    return None


def loading(server):
    """The process that is to become the engine, while `write_wrapper` makes it wait."""
    for pid in server.processes():
        words = words_of(pid)
        if "--model" in words and words[0].endswith("sh") and words[1].endswith("llama-server"):
            return pid
    return None


def write_wrapper(folder, launcher, load_seconds=0):
    """A `llama-server` that starts the real one with the command line that Martlet gives it. Loading may take its time."""
    program = folder / "llama-server"
    program.write_text(
        "#!/bin/sh\n"
        f'case " $* " in *" --model "*) sleep {load_seconds} >/dev/null 2>&1;; *) exec {shlex.join(launcher)} "$@";; esac\n'
        f'exec {shlex.join(launcher)} "$@"\n')
    program.chmod(0o755)


def write_mortal(folder, launcher):
    """A `llama-server` that dies of its first task. `launches()` says how often it was started."""
    program = folder / "llama-server"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, signal, subprocess, sys\n"
        f"command = {launcher!r} + sys.argv[1:]\n"
        "if '--model' not in command:\n"
        "    os.execv(command[0], command)\n"
        f"open({str(folder / 'launches')!r}, 'a').write('one\\n')\n"
        "engine = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)\n"
        "for line in engine.stdout:\n"
        "    os.write(2, line)\n"
        "    if b'launch_slot' in line:\n"
        "        engine.kill()\n"
        "        os.write(2, b'CUDA error: out of memory\\n')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n")
    program.chmod(0o755)


def launches(folder):
    return len((folder / "launches").read_text().splitlines())


def get(path, target, body=None):
    """What the engine itself answers on its private socket; to a POST if there is a body."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(str(path))
    try:
        if body is None:
            connection.request("GET", target)
        else:
            connection.request("POST", target, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def busy_slots(server):
    """How many of the engine's slots are at work; None while the engine does not answer."""
    sockets = server.sockets()
    if not sockets:
        return None
    try:
        return sum(slot["is_processing"] for slot in get(sockets[0], "/slots"))
    except (OSError, ValueError, TypeError):  # it is not there, or says that it is loading
        return None
