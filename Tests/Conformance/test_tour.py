"""The tour of docs/TOUR.md, taken anew: every command in it is run, and prints what stands there, but for ids, times and sizes.

`MARTLET_REWRITE_DOCS=1` writes what was printed into the page.
"""

import os
import pathlib
import re
import subprocess

import pytest

from support import engine
from support.hub import Hub
from support.server import REPOSITORY, binary
from support.waiting import until

PAGE = REPOSITORY / "docs/TOUR.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
# Room for one of the two models with the context they get, and not for both.
MEMORY = "140MiB"


@pytest.fixture
def shell(martlet, tmp_path):
    """Runs a command line as the page shows it, in one home, and returns what a reader of a terminal would see."""
    hub = Hub()
    weights = engine.WEIGHTS.read_bytes()
    hub.add("acme/Tiny-Chat-GGUF", {"tiny-chat-F16.gguf": weights})
    hub.add("acme/Tiny-Two-GGUF", {"tiny-two-F16.gguf": weights + bytes(32)})
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "martlet").symlink_to(binary())
    server = None

    def run(line):
        nonlocal server
        if line.startswith("martlet serve"):
            server = martlet(
                home=home, config={"discovery": "off", "engine": {"memory": MEMORY, "threads": 1, "context": 2048}},
                environment=environment)
            until(lambda: len(server.output) >= 1, "it was ready")
            return "".join(server.output).replace(str(server.port), "3000")
        if server:
            environment["MARTLET_HOST"] = server.url
        done = subprocess.run(
            ["bash", "-c", line.replace("127.0.0.1:3000", f"127.0.0.1:{server.port}") if server else line],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, stdin=subprocess.DEVNULL, cwd=tmp_path)
        assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}"
        seen = done.stdout
        return seen.replace(str(server.port), "3000") if server else seen

    home = tmp_path / "home"
    home.mkdir()
    (home / "engines").symlink_to(engine.engines())
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "MARTLET_HOME": str(home),
        "LANG": "C.UTF-8", "HF_ENDPOINT": hub.url,
    }
    yield run
    hub.close()


def shape(line, text):
    """What has to be the same from one run to the next of a command line."""
    # What the model says to `martlet chat`, which asks for no particular luck.
    text = re.sub(r"^(.* is loaded, in .*\n).*\n", r"\1ANSWER\n", text, flags=re.MULTILINE)
    text = re.sub(r"^.*\b(\d|[1-9]\d)%.*\n", "", text, flags=re.MULTILINE)  # how often it is told is a matter of time
    text = re.sub(r"\b(chatcmpl|cmpl|msg|resp|rs|job)[-_][A-Za-z0-9]+", r"\1_ID", text)
    text = re.sub(r"\d+(\.\d+)?", "N", text)
    text = re.sub(r"[ ]+", " ", text).strip()
    # Of two commands at the same time, either may print first.
    return sorted(text.split("\n")) if " & " in line else text


def steps(page):
    """The command lines of the page's blocks, each with what stands below it."""
    for block in BLOCK.finditer(page):
        for step in re.split(r"^\$ ", block[1], flags=re.MULTILINE)[1:]:
            line, _, printed = step.partition("\n")
            while line.endswith("\\"):
                more, _, printed = printed.partition("\n")
                line = line[:-1] + more.strip()
            yield line, printed


def test_the_tour_is_as_the_page_shows_it(shell):
    page = PAGE.read_text()
    rewrites = os.environ.get("MARTLET_REWRITE_DOCS") == "1"
    taken = []
    for line, printed in steps(page):
        seen = shell(line)
        taken.append((line, seen))
        if not rewrites:
            assert shape(line, seen) == shape(line, printed), line
    assert taken, "the page shows a tour"
    if rewrites:
        blocks = iter(BLOCK.findall(page))
        answers = iter(taken)

        def rewritten(match):
            lines = [step[0] for step in steps(f"```console\n{next(blocks)}```")]
            shown = "".join(f"$ {line}\n{next(answers)[1].rstrip()}\n" for line in lines)
            return f"```console\n{re.sub(chr(10) + '{3,}', chr(10) * 2, shown)}```"

        PAGE.write_text(BLOCK.sub(rewritten, page))
