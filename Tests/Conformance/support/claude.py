"""The real Claude Code, pointed at a server and cut off from everything else."""

import json
import os
import pathlib
import subprocess
import threading

from . import chat


def program():
    """The binary that Scripts/check has unpacked from its wheel."""
    path = os.environ.get("MARTLET_TEST_CLAUDE")
    assert path and pathlib.Path(path).exists(), \
        "MARTLET_TEST_CLAUDE names no program: run these by Scripts/check --only conformance"
    return path


def home_in(folder):
    """Where it works, and keeps its own things."""
    home = folder / "claude-home"
    home.mkdir(exist_ok=True)
    return home


def _start(server, folder, model, *arguments, stdin=subprocess.DEVNULL, **environment):
    home = home_in(folder)
    return subprocess.Popen(
        [program(), "-p", *arguments],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "ANTHROPIC_BASE_URL": server.url,
             "ANTHROPIC_AUTH_TOKEN": chat.CLIENT_KEY, "ANTHROPIC_MODEL": model, "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
             "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "200"} | environment,
        cwd=home, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start(server, folder, model, *arguments, prompt="hi", **environment):
    """Starts `claude -p` with a home of its own; its standard output is one JSON object."""
    return _start(server, folder, model, prompt, "--output-format", "json", *arguments,
                  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1", **environment)


def run(server, folder, model, *arguments, within=60, **options):
    """Runs it to its end; its result."""
    process = start(server, folder, model, *arguments, **options)
    try:
        output, complaints = process.communicate(timeout=within)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, f"claude ended with {process.returncode}: {output}\n{complaints}"
    result = json.loads(output)
    assert not result["is_error"], result
    return result


def converse(server, folder, model, *arguments, prompt="hi", within=60, **environment):
    """One turn as its SDK drives it: its result, and the title that it found for the conversation."""
    process = _start(server, folder, model, "--input-format", "stream-json", "--output-format", "stream-json", "--verbose",
                     *arguments, stdin=subprocess.PIPE, CLAUDE_CODE_ENTRYPOINT="sdk-py", **environment)
    watchdog = threading.Timer(within, process.kill)
    watchdog.start()
    try:
        for message in ({"type": "control_request", "request_id": "1", "request": {"subtype": "initialize"}},
                        {"type": "user", "message": {"role": "user", "content": prompt}, "session_id": "default"}):
            process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        seen = []
        for line in process.stdout:
            seen.append(json.loads(line))
            if seen[-1]["type"] == "result":
                break
        assert seen and seen[-1]["type"] == "result", f"claude said no result: {seen[-3:]}"
        process.communicate(timeout=within)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
    assert not seen[-1]["is_error"], seen[-1]
    return seen[-1], _title(folder)


def _title(folder):
    """The title in what it has stored of the conversation; None where there is none."""
    for path in (home_in(folder) / ".claude/projects").glob("*/*.jsonl"):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if record["type"] == "ai-title":
                return record["aiTitle"]
    return None
