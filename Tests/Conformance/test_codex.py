"""The real Codex through Martlet: on scripted upstreams of every kind, and one answer by the engine."""

import json

import pytest

from support import agents, chat, codex, engine
from support.answer import Answer, Call, Sealed, Text, Thinking, Usage
from support.asked import Result, Said

# The prompt is some thousand tokens of the tiny model, read by a processor that may have other work. Seconds.
ENGINE_WITHIN = 300
SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"], "additionalProperties": False}
ECHO = Call("call_1", "exec_command", '{"cmd":"echo martlet-$((40+2)) \\"é\\""}')
CAT = Call("call_2", "exec_command", '{"cmd":"cat notes.txt"}')
PATCH = '*** Begin Patch\n*** Add File: bird.txt\n+"martlet" \\ é\n*** End Patch\n'
HELPER = Call("call_3", "multi_agent_v1__spawn_agent", '{"message":"Name a bird.","agent_type":"default"}')
# How hard a model is asked to think, where there is a way to ask.
THINKS = {
    "llamacpp": {"chat_template_kwargs": {"enable_thinking": True}},
    "vllm": {"chat_template_kwargs": {"enable_thinking": True}},
    "lmstudio": {"reasoning_effort": "high"},
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 15360}, "max_tokens": 20480},
    "openai": {"reasoning": {"effort": "high", "summary": "auto"}},
}
TOO_LONG = {
    "llamacpp": {"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 4096,
                           "message": "the request exceeds the available context size"}},
    "anthropic": {"type": "error", "error": {"type": "invalid_request_error",
                                             "message": "prompt is too long: 9000 tokens > 4096 maximum"}},
}


def instructed(asked):
    """Whether nothing of what Codex says in the system's name is lost."""
    return all(words in asked.instructions() for words in (
        "You are a coding agent", "<skills_instructions>", "<permissions instructions>"))


@pytest.mark.parametrize("kind", agents.KINDS)
def test_a_whole_task(martlet, upstream, tmp_path, kind):
    """B19, F1: Reasoning, a text, two commands at once, and an answer by a schema."""
    (codex.work_in(tmp_path) / "notes.txt").write_text("canary-in-the-file")
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))

    def say(asked):
        if not asked.of(Result):
            return Answer([Sealed("two at once"), Text("Let me look."), ECHO, CAT], "calls")
        return Answer([Sealed("found it"), Text('{"word":"martlet"}')], usage=Usage(30, 7, 60, thinking=3))

    model = agents.Model(kind, say)
    ran = codex.run(martlet(upstream(model), kind=kind), tmp_path, "--output-schema", str(schema),
                    "-c", 'model_reasoning_effort="high"', prompt=f"Look. {chat.PROMPT}")
    assert json.loads(ran.answer) == {"word": "martlet"}
    assert ran.texts("agent_message") == ["Let me look.", '{"word":"martlet"}']
    assert ran.texts("reasoning") == ["two at once", "found it"]
    assert sorted(ran.commands()) == ["canary-in-the-file", "martlet-42 é"], "both really ran"
    assert ran.usage["input_tokens"] == 99 and ran.usage["cached_input_tokens"] == 60
    assert ran.usage["output_tokens"] == 11 and ran.usage["reasoning_output_tokens"] == 3

    first, second = model.asked
    assert instructed(first) and second.system == first.system
    assert "<environment_context>" in first.said("user") and first.said("user").endswith(f"Look. {chat.PROMPT}")
    assert {"exec_command", "view_image", "multi_agent_v1__spawn_agent"} <= first.tools.keys()
    assert list(second.tools.items()) == list(first.tools.items())
    assert first.schema == second.schema == SCHEMA
    for asked in model.asked:
        assert {name: asked.body[name] for name in THINKS.get(kind, {})} == THINKS.get(kind, {})
    assert second.turns[:len(first.turns)] == first.turns, "the first turn is a prefix: caches hold"
    *said, echoed, read = second.turns[len(first.turns):]
    thought = [Thinking("two at once")] if kind in agents.REMEMBERING else []
    assert said == [*thought, Said("assistant", "Let me look."), ECHO, CAT]
    assert echoed.id == "call_1" and echoed.text.endswith("martlet-42 é\n")
    assert read.id == "call_2" and read.text.endswith("canary-in-the-file")


@pytest.mark.parametrize("kind", ["lmstudio", "anthropic"])
def test_as_before_an_lm_studio(martlet, upstream, tmp_path, kind):
    """D18: `--oss` looks for the model in the list, has it loaded by a request with nothing in it, and works without a key."""
    model = agents.Model(kind, lambda asked: Answer([Text("ok")]) if asked.of(Result) else Answer([ECHO], "calls"))
    ran = codex.run(martlet(upstream(model), kind=kind), tmp_path, oss=True)
    assert (ran.answer, ran.commands()) == ("ok", ["martlet-42 é"])
    assert len(model.asked) == 2, "the load is answered without the model"


@pytest.mark.parametrize("kind", ["openai-compatible", "anthropic"])
def test_a_patch_as_a_tool_of_free_text(martlet, upstream, tmp_path, kind):
    """Models that Codex knows get a tool whose input is no JSON; other models are asked for that text in a JSON object."""
    patch = Call("call_1", "apply_patch", chat.dumps({"input": PATCH}).decode())
    model = agents.Model(kind, lambda asked: Answer([Text("Done.")]) if asked.of(Result) else Answer([patch], "calls"))
    source = upstream(model, models=("gpt-5.5",))
    ran = codex.run(martlet(source, kind=kind), tmp_path, model="gpt-5.5")
    assert ran.answer == "Done."
    assert (ran.work / "bird.txt").read_text() == '"martlet" \\ é\n'
    first, second = model.asked
    assert first.tools["apply_patch"]["required"] == ["input"]
    called, told = second.turns[len(first.turns):]
    assert called == patch and told.id == "call_1" and "A bird.txt" in told.text


@pytest.mark.parametrize("kind", ["openai-compatible", "anthropic"])
def test_an_agent_of_its_own(martlet, upstream, tmp_path, kind):
    """A tool of a namespace comes back with its namespace, and the agent that it starts asks for itself."""
    def say(asked):
        if asked.said("user").endswith("Name a bird."):
            return Answer([Text("A martlet.")])
        if not asked.of(Result):
            return Answer([HELPER], "calls")
        if len(asked.of(Result)) == 1:
            name = json.loads(asked.of(Result)[0].text)["agent_id"]
            return Answer([Call("call_4", "multi_agent_v1__wait_agent", json.dumps({"targets": [name]}))], "calls")
        return Answer([Text("It says: a martlet.")])

    model = agents.Model(kind, say)
    ran = codex.run(martlet(upstream(model), kind=kind), tmp_path)
    assert ran.answer == "It says: a martlet."
    assert "A martlet." in model.asked[-1].result("call_4")


@pytest.mark.parametrize("kind", ["llamacpp", "anthropic"])
def test_a_conversation_that_has_become_too_long(martlet, upstream, tmp_path, kind):
    """Codex is told in the way in which it understands it: when the conversation goes on, it is summed up first."""
    def script(exchange):
        text = exchange.request.body.decode()
        if "COMPACTION" in text or "It ran." in text:
            model.answer(exchange, Answer([Text("It ran.")]))
        elif "martlet-42" in text:
            exchange.json(TOO_LONG[kind], 400, "Bad Request")
        else:
            model.answer(exchange, Answer([ECHO], "calls"))

    model = agents.Model(kind, None)
    server = martlet(upstream(script), kind=kind)
    with pytest.raises(AssertionError, match="ran out of room"):
        codex.run(server, tmp_path, prompt="Run it.")
    assert codex.run(server, tmp_path, prompt="Well?", resumes=True).answer == "It ran."


def test_a_text_answer_by_the_engine(martlet, tmp_path):
    """With few instructions and tools: the whole prompt is some 20,000 tokens of the tiny model."""
    short = tmp_path / "instructions.md"
    short.write_text("You are a coding agent.")
    options = [f'model_instructions_file="{short}"', "features.multi_agent=false", "features.goals=false"]
    server = martlet(before=engine.give_model, engines=engine.engines())
    ran = codex.run(server, tmp_path, *(word for option in options for word in ("-c", option)), model=engine.MODEL,
                    within=ENGINE_WITHIN)
    assert ran.usage["input_tokens"] > 2000 and ran.usage["output_tokens"] > 0
