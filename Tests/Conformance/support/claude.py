"""The real Claude Code, pointed at a server and cut off from everything else."""

import json
import os
import pathlib
import subprocess


def program():
    """The binary that Scripts/check has unpacked from its wheel."""
    path = os.environ.get("MARTLET_TEST_CLAUDE")
    assert path and pathlib.Path(path).exists(), \
        "MARTLET_TEST_CLAUDE names no program: run these by Scripts/check --only conformance"
    return path


def start(server, folder, model, *arguments, prompt="hi", **environment):
    """Starts `claude -p` with a home of its own; its standard output is one JSON object."""
    home = folder / "claude-home"
    home.mkdir(exist_ok=True)
    return subprocess.Popen(
        [program(), "-p", prompt, "--output-format", "json", "--no-session-persistence", *arguments],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "ANTHROPIC_BASE_URL": server.url,
             "ANTHROPIC_AUTH_TOKEN": "dummy", "ANTHROPIC_MODEL": model, "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
             "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "200"} | environment,
        cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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
