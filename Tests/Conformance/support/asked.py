"""What a model is asked: a request's body in each dialect of upstreams, read as strictly as an API of that dialect reads it, and
in one form for all. What no such API would take is an assertion that fails.
"""

import dataclasses
import json
import re
import typing

from .answer import SEAL, SIGNATURE, Call, Thinking
from .chat import dumps

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# The members of a request that a kind of upstream knows.
CHAT = {"model", "messages", "max_tokens", "temperature", "top_p", "tools", "tool_choice", "response_format", "stream",
        "stream_options"}
LLAMA = {"return_progress", "parallel_tool_calls", "chat_template_kwargs"}
KNOWN = {
    "openai-compatible": CHAT, "lmstudio": CHAT | {"reasoning_effort"}, "vllm": CHAT | {"chat_template_kwargs"},
    "llamacpp": CHAT | LLAMA,
    "anthropic": {"model", "messages", "max_tokens", "system", "tools", "tool_choice", "stream", "thinking", "output_config",
                  "metadata", "context_management", "temperature", "top_p"},
    "openai": {"model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "store", "stream",
               "include", "prompt_cache_key", "text", "max_output_tokens", "client_metadata"},
}
# The member of an assistant's message in which a kind of Chat upstream takes reasoning back.
REASONING = {"llamacpp": "reasoning_content", "lmstudio": "reasoning_content", "vllm": "reasoning"}


class Said(typing.NamedTuple):
    """A text of `user`, `assistant`, or, where it does not lead, `system`."""

    role: str
    text: str


class Result(typing.NamedTuple):
    """What a tool answered."""

    id: str
    text: str


class Picture(typing.NamedTuple):
    """An image, by its address or `data:` URL."""

    url: str


@dataclasses.dataclass
class Asked:
    """`turns` holds `Said`, `Thinking`, `Call`, `Result` and `Picture` in their order, where the picture of a result follows it;
    `tools` are the schemas of functions by name.
    """

    system: str
    turns: list
    tools: dict
    schema: dict | None  # of the reply's text
    body: dict

    def said(self, role):
        """All texts of a role."""
        return "\n".join(turn.text for turn in self.turns if isinstance(turn, Said) and turn.role == role)

    def instructions(self):
        """All that is said in the system's name, leading or not."""
        return f"{self.system}\n{self.said('system')}"

    def of(self, kind):
        """The turns that are of a kind."""
        return [turn for turn in self.turns if isinstance(turn, kind)]

    def result(self, identity):
        """What the tool answered to a call; None when it was not asked yet."""
        found = [result.text for result in self.of(Result) if result.id == identity]
        assert len(found) <= 1, "a call is answered once"
        return found[0] if found else None


def read(kind, body):
    """Reads a request to a kind of upstream."""
    unknown = set(body) - KNOWN[kind]
    assert not unknown, f"{kind} knows no {unknown}"
    reader = {"anthropic": _messages, "openai": _responses}.get(kind, _chat)
    asked = reader(body, kind)
    text = json.dumps(body)
    assert "gw1." not in text, "a mark of this gateway is nothing for an upstream"
    calls = [call.id for call in asked.of(Call)]
    assert len(calls) == len(set(calls)), "ids of calls are unique"
    assert {result.id for result in asked.of(Result)} == set(calls), "each call has its answer, and each answer its call"
    for name, schema in asked.tools.items():
        assert NAME.fullmatch(name), name
        assert schema["type"] == "object"
    return asked


def _offer(tools, name, schema):
    assert name not in tools, f"{name} is offered twice"
    tools[name] = schema


def _text(content, kind="text"):
    """A string, or parts of a type that has a text."""
    text, pictures = _parts(content, kind)
    assert not pictures
    return text


def _parts(content, kind="text"):
    """The texts of a string, or of parts of a type, and the pictures between them."""
    if isinstance(content, str):
        return content, []
    texts, pictures = [], []
    for part in content:
        if part["type"] == kind:
            assert part["text"], "the APIs refuse empty texts"
            texts.append(part["text"])
        elif part["type"] == "image":
            assert kind == "text" and part["source"]["type"] == "base64"
            pictures.append(Picture(f"data:{part['source']['media_type']};base64,{part['source']['data']}"))
        elif part["type"] == "tool_reference":
            texts.append(f"Tool loaded: {part['tool_name']}")
        else:
            assert (kind, part["type"]) in (("text", "image_url"), ("input_text", "input_image")), part
            pictures.append(Picture(part["image_url"]["url"] if kind == "text" else part["image_url"]))
    return "\n\n".join(texts), pictures


def _chat(body, kind):
    """One leading system message, users and assistants in turn, and behind calls their results in the order of the calls."""
    first, *rest = body["messages"]
    assert first["role"] == "system" and set(first) == {"role", "content"} and isinstance(first["content"], str)
    turns, pending, before = [], [], None
    for message in rest:
        role = message["role"]
        if role == "tool":
            assert set(message) == {"role", "tool_call_id", "content"}
            assert message["tool_call_id"] == pending.pop(0)
            turns.append(Result(message["tool_call_id"], _text(message["content"])))
        elif role == "user":
            assert not pending and before != "user" and set(message) == {"role", "content"}
            text, pictures = _parts(message["content"])
            turns += [Said("user", text), *pictures]
        else:
            assert role == "assistant" and not pending and before in ("user", "tool")
            assert set(message) - {"role", "content", "tool_calls", REASONING.get(kind)} == set()
            turns += [Thinking(message[name]) for name in message if name == REASONING.get(kind)]
            turns += [Said(role, message["content"])] if message["content"] is not None else []
            for call in message.get("tool_calls", []):
                assert set(call) == {"id", "type", "function"} and call["type"] == "function"
                pending.append(call["id"])
                turns.append(Call(call["id"], call["function"]["name"], call["function"]["arguments"]))
        before = role
    assert not pending and before in ("user", "tool")
    tools = {}
    for tool in body.get("tools", []):
        assert set(tool) == {"type", "function"} and tool["type"] == "function"
        assert set(tool["function"]) <= {"name", "description", "parameters"}
        _offer(tools, tool["function"]["name"], tool["function"]["parameters"])
    form = body.get("response_format")
    assert form is None or form["type"] == "json_schema" and set(form) == {"type", "json_schema"}
    return Asked(first["content"], turns, tools, form and form["json_schema"]["schema"], body)


def _messages(body, kind):
    """Users and assistants in turn, results first and in the turn behind their calls, thinking only with its own signature."""
    turns, pending, before = [], set(), None
    for place, message in enumerate(body["messages"]):
        role, content = message["role"], message["content"]
        content = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if role == "system":
            after = [later["role"] for later in body["messages"][place + 1:place + 2]]
            assert before == "user" and after in ([], ["assistant"]), "it follows a user and leads to the assistant"
        else:
            assert role == ("user" if before in (None, "assistant") else "assistant")
        answered = False  # whether something other than a result was said
        for block in content:
            kind_of = block["type"]
            if kind_of == "text":
                assert block["text"].strip(), "the API refuses blank texts"
                turns.append(Said(role, block["text"]))
            elif kind_of == "thinking":
                assert role == "assistant" and block["signature"] == SIGNATURE
                turns.append(Thinking(block["thinking"]))
            elif kind_of == "tool_use":
                assert role == "assistant" and isinstance(block["input"], dict)
                pending.add(block["id"])
                turns.append(Call(block["id"], block["name"], dumps(block["input"]).decode()))
            else:
                assert (kind_of, role, answered) == ("tool_result", "user", False), block
                pending.remove(block["tool_use_id"])
                text, pictures = _parts(block["content"])
                turns += [Result(block["tool_use_id"], text), *pictures]
            answered = answered or kind_of != "tool_result"
        assert not (pending and role == "user"), f"not answered: {pending}"
        before = role
    assert not pending and before != "assistant"
    tools = {}
    for tool in body.get("tools", []):
        if "type" in tool and tool["type"] != "custom":
            tools[tool["name"]] = {"type": "object"}  # a tool of the API's own has no schema
        else:
            _offer(tools, tool["name"], tool["input_schema"])
    system = body.get("system", [])
    assert body["max_tokens"] > body.get("thinking", {}).get("budget_tokens", 0)
    form = body.get("output_config", {}).get("format")
    return Asked(_text(system), turns, tools, form and form["schema"], body)


def _responses(body, kind):
    """Items, each call with its output, reasoning only with its own seal and before what it led to."""
    assert body["store"] is False and "reasoning.encrypted_content" in body["include"]
    turns, system, before = [], [body["instructions"]] if "instructions" in body else [], None
    for item in body["input"]:
        kind_of = item["type"]
        assert before != "reasoning" or kind_of == "function_call" or item.get("role") == "assistant", \
            "the API refuses reasoning without the item that it led to"
        if kind_of == "message":
            role = item["role"]
            text = _text(item["content"], "output_text" if role == "assistant" else "input_text")
            if role in ("developer", "system"):
                system += [] if turns else [text]
                turns += [Said("system", text)] if turns else []
            else:
                turns.append(Said(role, text))
        elif kind_of == "reasoning":
            assert item["encrypted_content"] == SEAL and all(part["type"] == "summary_text" for part in item["summary"])
            turns.append(Thinking("".join(part["text"] for part in item["summary"])))
        elif kind_of in ("function_call", "custom_tool_call"):
            name = "__".join(item[part] for part in ("namespace", "name") if part in item)
            turns.append(Call(item["call_id"], name, item["arguments" if kind_of == "function_call" else "input"]))
        else:
            assert kind_of in ("function_call_output", "custom_tool_call_output"), item
            text, pictures = _parts(item["output"], "input_text")
            turns += [Result(item["call_id"], text), *pictures]
        before = kind_of
    tools = {}
    for tool in body.get("tools", []):
        if tool["type"] == "namespace":
            for inner in tool["tools"]:
                _offer(tools, f"{tool['name']}__{inner['name']}", inner["parameters"])
        elif tool["type"] == "function":
            _offer(tools, tool["name"], tool["parameters"])
        elif tool["type"] == "custom":
            _offer(tools, tool["name"], {"type": "object"})
    form = body.get("text", {}).get("format")
    assert form is None or form["type"] == "json_schema" and NAME.fullmatch(form["name"])
    return Asked("\n\n".join(system), turns, tools, form and form["schema"], body)
