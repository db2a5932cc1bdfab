"""The tour of docs/TOUR.md, taken anew: every command in it is run, and prints what stands there, but for what varies (`VARYING`).

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


# What is another in each run, and what stands for it.
VARYING = [
    # What the model says to `martlet chat`, which asks for no particular luck.
    (r"^(.* is loaded, in .*\n).*\n", r"\1ANSWER\n"),
    (r"\b(chatcmpl|cmpl|msg|resp|rs|job)[-_][A-Za-z0-9]+", r"\1_ID"),
    (r'("(?:created|created_at|completed_at)":)\d+', r"\1TIME"),
    (r'("(?:\w+_ms|\w+_per_second|time_to_first_token_seconds)":)[\d.e-]+', r"\1TIME"),
    (r"\bin [\d.]+ s\b", "in TIME"),
    # What is left of a TTL; the TTL itself is what was asked for.
    (r"(?:\d+[hms] )+/ ", "LEFT / "),
    # What a model counts for, which may be as measured.
    (r"\b(IDLE|GENERATING|held by [\w-]+) (\(?)[\d.]+ MB", r"\1 \2BYTES"),
]
PROGRESS = re.compile(r"(?P<what>.+): (?P<percent>\d+)%(?:  [\d.]+ [kMG]?B of (?P<total>[\d.]+ [kMG]?B)(?:  .*)?)?")


def without_steps(text):
    """The text without the steps of progress before the last: how many there are is a matter of time, but not that they rise to 100 %."""
    steps, kept = {}, []
    for line in text.split("\n"):
        if step := PROGRESS.fullmatch(line):
            steps.setdefault((step["what"], step["total"]), []).append(int(step["percent"]))
        if not step or step["percent"] == "100":
            kept.append(line)
    for (what, _), percents in steps.items():
        assert percents == sorted(set(percents)) and len(percents) > 1 and percents[-1] == 100, f"{what}: {percents}"
    return "\n".join(kept)


def shape(line, text):
    """What has to be the same from one run to the next of a command line."""
    text = re.sub(r"[ ]+", " ", without_steps(text)).strip() + "\n"
    for varying, name in VARYING:
        text = re.sub(varying, name, text, flags=re.MULTILINE)
    # Of two commands at the same time, either may print first.
    return sorted(text.split("\n")) if " & " in line else text


@pytest.mark.parametrize("other, is_same", [
    ({"65%": "12%", "0.15 s": "1.2 s", "Hello!": "Oh?", "91.4 MB": "93.0 MB", "59m 59s /": "2s /", '"prompt_ms":0.8': '"prompt_ms":1e-05'}, True),
    ({"loading m: 65%\n": ""}, True),
    ({"loading m: 0%\nloading m: 65%\n": ""}, False), ({"loading m: 100%\n": ""}, False), ({"65%": "101%"}, False),
    ({"loading m: 65%": "loading n: 65%"}, False), ({"loading m: 100%": "loading n: 100%"}, False), ({"loading m: 65%": "error at 65%"}, False),
    ({"0.9 MB of 1.9": "0.9 MB of 2.0"}, False), ({"100%  1.9 MB of 1.9": "100%  1.9 MB of 2.0"}, False),
    ({"2048": "4096"}, False), ({" 4  ": " 1  "}, False), ({"/ 1h": "/ 2h"}, False), ({'"prompt_n":9': '"prompt_n":8'}, False),
    ({"IDLE": "GENERATING"}, False)], ids=str)
def test_what_a_tour_may_differ_in(other, is_same):
    page = (
        "f.gguf: 0%  0 B of 1.9 MB\nf.gguf: 47%  0.9 MB of 1.9 MB  3.1 MB/s  0:01 left\nf.gguf: 100%  1.9 MB of 1.9 MB\n"
        "loading m: 0%\nloading m: 65%\nloading m: 100%\nm is loaded, in 0.15 s\nHello!\n"
        "MODEL  STATUS     SIZE  CONTEXT  PARALLEL  TTL\nm      IDLE    91.4 MB     2048         4  59m 59s / 1h\n"
        '{"id":"chatcmpl-a1","created":17,"timings":{"prompt_n":9,"prompt_ms":0.8}}\n')
    seen = page
    for old, new in other.items():
        assert old in seen
        seen = seen.replace(old, new)
    try:
        found = shape("", seen)
    except AssertionError:
        found = None
    assert (found == shape("", page)) == is_same


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
