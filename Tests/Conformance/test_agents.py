"""Claude Code and Codex alike: what they do with pictures, and conversations that go on with another kind of upstream."""

import base64
import json
import struct
import zlib

import pytest

from support import agents, chat, claude, codex
from support.answer import Answer, Call, Sealed, Text, Thinking
from support.asked import Picture, Result

AGENTS = {"claude": claude.home_in, "codex": codex.work_in}  # and where each works
COMMANDS = {"claude": ("Bash", '{"command":"echo martlet-$((40+2))"}'), "codex": ("exec_command", '{"cmd":"echo martlet-$((40+2))"}')}


def ask(agent, server, folder, model, prompt, goes_on=False):
    """One turn; what the agent says at its end."""
    if agent == "claude":
        return claude.run(server, folder, model, "--allowedTools", "Bash,Read", *(["--continue"] if goes_on else []),
                          prompt=prompt)["result"]
    return codex.run(server, folder, model=model, prompt=prompt, resumes=goes_on).answer


def png():
    """A picture of 8 by 8 red points."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    points = zlib.compress((b"\0" + b"\xff\0\0" * 8) * 8)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", points) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["lmstudio", "anthropic", "openai"])
@pytest.mark.parametrize("agent", AGENTS)
def test_a_picture_that_a_tool_shows(martlet, upstream, tmp_path, agent, kind):
    file = AGENTS[agent](tmp_path) / "red.png"
    file.write_bytes(png())
    call = Call("call_1", "Read", json.dumps({"file_path": str(file)})) if agent == "claude" else \
        Call("call_1", "view_image", json.dumps({"path": str(file)}))
    model = agents.Model(kind, lambda asked: Answer([Text("It is red.")]) if asked.of(Result) else Answer([call], "calls"))
    assert ask(agent, martlet(upstream(model), kind=kind), tmp_path, chat.MODEL, "What is it?") == "It is red."
    picture, = model.asked[-1].of(Picture)
    assert picture.url.startswith("data:image/png;base64,")
    assert base64.b64decode(picture.url.partition(",")[2]).startswith(b"\x89PNG")


@pytest.mark.parametrize("agent", AGENTS)
def test_a_conversation_that_goes_on_elsewhere(martlet, upstream, tmp_path, agent):
    """What one upstream has signed or sealed goes back to no other, and to itself as it was; the strict readers look after that.
    Nothing else of the conversation is lost.
    """
    name, arguments = COMMANDS[agent]

    def say(kind):
        def answer(asked):
            if isinstance(asked.turns[-1], Result):
                return Answer([Sealed(f"{kind} ends"), Text("Done.")])
            number = len(asked.of(Call))
            return Answer([Sealed(f"{kind} {number}"), Text("Let me look."), Call(f"call_{number}", name, arguments)], "calls")
        return answer

    kinds = ("vllm", "anthropic", "openai")
    models = {kind: agents.Model(kind, say(kind)) for kind in kinds}
    sources = {kind: upstream(model) for kind, model in models.items()}
    server = martlet(wait=False, config={"upstreams": {
        kind: {"kind": kind, "url": source.url, "api_key": chat.UPSTREAM_KEY} for kind, source in sources.items()}})
    turns = [*kinds, "anthropic", "vllm"]
    for place, kind in enumerate(turns):
        assert ask(agent, server, tmp_path, f"{kind}/m1", f"Turn {place}.", goes_on=place > 0) == "Done."
        asked = models[kind].asked[-1]
        assert [call.id for call in asked.of(Call)] == [f"call_{number}" for number in range(place + 1)]
        assert all("martlet-42" in result.text for result in asked.of(Result))
        assert all(f"Turn {before}." in asked.said("user") for before in range(place + 1))
        assert asked.said("assistant").count("Let me look.") == place + 1
        thoughts = asked.of(Thinking)
        assert thoughts[-1] == f"{kind} {place}", "the loop that is not ended has its thinking"
        if kind != "vllm":
            assert all(thought.startswith(kind) for thought in thoughts), "others' thinking cannot be vouched for"
