"""The real Codex, pointed at a server and cut off from everything else."""

import dataclasses
import json
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


@dataclasses.dataclass
class Ran:
    """A run that has ended well."""

    answer: str  # its last message
    items: list  # what it shows of the turn: messages, reasoning, commands, changed files
    usage: dict
    work: pathlib.Path  # the folder it worked in

    def texts(self, kind):
        return [item["text"] for item in self.items if item["type"] == kind]

    def commands(self):
        return [item["aggregated_output"].strip() for item in self.items if item["type"] == "command_execution"]


def work_in(folder):
    """Where it works."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return work


def run(server, folder, *arguments, prompt="hi", model=chat.MODEL, oss=False, resumes=False, within=60):
    """Runs `codex exec` with a home of its own to its end. With `oss` it takes the server for an LM Studio; with `resumes` it goes
    on with the conversation before.
    """
    home, work, last = folder / "codex-home", work_in(folder), folder / "last"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text("" if oss else f"""
model = "{model}"
model_provider = "gateway"
model_reasoning_summary = "auto"
[model_providers.gateway]
name = "Gateway"
base_url = "{server.url}/v1"
wire_api = "responses"
env_key = "GATEWAY_KEY"
request_max_retries = 0
stream_max_retries = 0
""")
    provider = ["--oss", "--local-provider", "lmstudio", "-m", model] if oss else []
    process = subprocess.Popen(
        [program(), "exec", *(["resume", "--last"] if resumes else []), "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json",
         "--output-last-message", str(last), *provider, *arguments, prompt],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "CODEX_HOME": str(home),
             "CODEX_OSS_BASE_URL": f"{server.url}/v1", "GATEWAY_KEY": chat.CLIENT_KEY, "LANG": "C.UTF-8"},
        cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, complaints = process.communicate(timeout=within)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, f"codex ended with {process.returncode}: {output}\n{complaints}"
    events = [json.loads(line) for line in output.splitlines()]
    assert events[-1]["type"] == "turn.completed", events[-1]
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    return Ran(last.read_text(), items, events[-1]["usage"], work)
