"""A strict reader of streams of LM Studio's own API."""

import json

# What each event holds besides its type.
MEMBERS = {
    "chat.start": "model_instance_id", "model_load.start": "model_instance_id",
    "model_load.progress": "model_instance_id progress", "model_load.end": "model_instance_id load_time_seconds",
    "prompt_processing.start": "", "prompt_processing.progress": "progress", "prompt_processing.end": "",
    "reasoning.start": "", "reasoning.delta": "content", "reasoning.end": "",
    "message.start": "", "message.delta": "content", "message.end": "",
    "tool_call.start": "tool provider_info", "tool_call.name": "tool_name", "tool_call.arguments": "tool arguments provider_info",
    "tool_call.success": "tool arguments output provider_info", "tool_call.failure": "reason metadata",
    "error": "error", "chat.end": "result",
}


class Told:
    """A stream: `types` of its events in their order, those that repeat the one before left out; `events`; `result`."""

    def __init__(self, body):
        self.events, self.types, self.items = [], [], []
        self._open, self._text, self._progress = None, "", 0.0
        for frame in body.decode().split("\n\n"):
            lines = [line for line in frame.split("\n") if line and not line.startswith(":")]
            if not lines:
                continue
            name, data = lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))
            assert len(lines) == 2 and data["type"] == name, frame
            self._take(name, data)
        assert self.types[0] == "chat.start" and self.types.count("chat.start") == 1
        assert self.types[-1] == "chat.end", self.types
        self.result = self.events[-1]["result"]
        if "error" not in self.types:
            assert self._open is None and self.result["output"] == self.items
        for name in ("input_tokens", "total_output_tokens", "reasoning_output_tokens", "tokens_per_second",
                     "time_to_first_token_seconds"):
            assert self.result["stats"][name] >= 0, name

    def _take(self, name, data):
        assert "chat.end" not in self.types, f"{name} behind chat.end"
        assert "error" not in self.types or name == "chat.end", f"{name} behind error"
        # A tool that nobody has, or the client itself, is nobody's; the client's calls have an id (ours).
        free = {"provider_info", "call_id"} if name.startswith("tool_call.") else set()
        assert (set(data) - {"type"} - free) == set(MEMBERS[name].split()) - free, f"{name} holds {set(data)}"
        if name.startswith("model_load"):
            assert not any(seen.startswith("prompt_processing") for seen in self.types), f"{name} behind the prompt"
        self.events.append(data)
        if not self.types or self.types[-1] != name:
            self.types.append(name)
        subject, _, step = name.partition(".")
        if name in ("chat.start", "chat.end", "error"):
            return
        if subject in ("message", "reasoning", "tool_call") and step == "start":
            read = [seen for seen in self.types if seen.startswith("prompt_processing")]
            assert read and read[-1] == "prompt_processing.end", f"{name} before the prompt is read"
        if step == "start":
            assert self._open is None, f"{name} within {self._open}"
            self._open, self._text, self._progress = subject, "", 0.0
        elif step == "progress":
            assert self._open == subject and self._progress <= data["progress"] <= 1, data
            self._progress = data["progress"]
        elif step == "delta":
            assert self._open == subject
            self._text += data["content"]
        elif step == "end":
            assert self._open == subject, f"{name} within {self._open}"
            self._open = None
            if subject in ("message", "reasoning"):
                self.items.append({"type": subject, "content": self._text})
        elif step == "success":
            assert self.items[-1]["tool"] == data["tool"] and isinstance(data["output"], str)
            self.items[-1] = data | {"type": "tool_call"}
        elif step == "failure" and self._open is None and self.types[-2] == "tool_call.arguments":
            self.items[-1] = data | {"type": "invalid_tool_call"}
        else:
            assert self._open == "tool_call" and step in ("arguments", "failure"), name
            self._open = None
            self.items.append(data | {"type": "tool_call" if step == "arguments" else "invalid_tool_call"})

    def of(self, name):
        return [event for event in self.events if event["type"] == name]
