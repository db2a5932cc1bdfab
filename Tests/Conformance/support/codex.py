"""The real Codex, pointed at a server and cut off from everything else."""

import os
import pathlib
import subprocess

from . import chat


def program():
    """The binary that Scripts/check has unpacked from its wheel."""
    path = os.environ.get("MARTLET_TEST_CODEX")
    assert path and pathlib.Path(path).exists(), \
        "MARTLET_TEST_CODEX names no program: run these by Scripts/check --only conformance"
    return path


def run(server, folder, *arguments, prompt="hi", model=chat.MODEL, within=60):
    """Runs `codex exec` with a home of its own to its end; its last message."""
    home, work, last = folder / "codex-home", folder / "work", folder / "last"
    for made in (home, work):
        made.mkdir(exist_ok=True)
    (home / "config.toml").write_text(f"""
model = "{model}"
model_provider = "gateway"
[model_providers.gateway]
name = "Gateway"
base_url = "{server.url}/v1"
wire_api = "responses"
env_key = "GATEWAY_KEY"
request_max_retries = 0
stream_max_retries = 0
""")
    process = subprocess.Popen(
        [program(), "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
         "--output-last-message", str(last), *arguments, prompt],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "CODEX_HOME": str(home),
             "GATEWAY_KEY": chat.CLIENT_KEY, "LANG": "C.UTF-8"},
        cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, complaints = process.communicate(timeout=within)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, f"codex ended with {process.returncode}: {output}\n{complaints}"
    return last.read_text()
