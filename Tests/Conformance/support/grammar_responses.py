"""A strict reader of Responses streams and objects: OpenAI's grammar and, of each object, all that Open Responses requires."""

import json

from .grammar import Failed, frames

ITEM_STATUSES = ("in_progress", "completed", "incomplete")


# What a value has to be

def integer(value):
    return type(value) is int


def number(value):
    return type(value) in (int, float)


def string(value):
    return type(value) is str


def flag(value):
    return type(value) is bool


def mapping(value):
    return type(value) is dict


def word(*words):
    return lambda value: value in words


def null_or(check):
    return lambda value: value is None or check(value)


def members(**checks):
    """An object that has these members; more are allowed."""
    return lambda value: type(value) is dict and all(name in value and check(value[name]) for name, check in checks.items())


def all_of(check):
    return lambda value: type(value) is list and all(map(check, value))


def by_type(**kinds):
    """An object whose `type` chooses what else it has to have."""
    return lambda value: type(value) is dict and value.get("type") in kinds and kinds[value["type"]](value)


def optional(name, check):
    return lambda value: name not in value or check(value[name])


def both(*checks):
    return lambda value: all(check(value) for check in checks)


PART = by_type(
    output_text=members(text=string, annotations=all_of(mapping), logprobs=all_of(mapping)), refusal=members(refusal=string),
    summary_text=members(text=string), reasoning_text=members(text=string))
ITEM = both(members(id=lambda value: string(value) and value), by_type(
    message=members(status=word(*ITEM_STATUSES), role=word("assistant"), content=all_of(PART)),
    function_call=members(call_id=string, name=string, arguments=string, status=word(*ITEM_STATUSES)),
    reasoning=both(members(summary=all_of(PART)), optional("content", all_of(PART)), optional("encrypted_content", string)),
    custom_tool_call=members(call_id=string, name=string, input=string),
    compaction=members(encrypted_content=string)))
FUNCTION = members(name=string, description=null_or(string), parameters=null_or(mapping), strict=null_or(flag))


def a_tool(tool):
    return FUNCTION(tool) if tool["type"] == "function" else string(tool["type"])


USAGE = members(
    input_tokens=integer, input_tokens_details=members(cached_tokens=integer), output_tokens=integer,
    output_tokens_details=members(reasoning_tokens=integer), total_tokens=integer)
RESPONSE = {
    "id": string, "object": word("response"), "created_at": integer, "completed_at": null_or(integer),
    "status": word("queued", "in_progress", "completed", "incomplete", "failed", "cancelled"),
    "error": null_or(members(code=string, message=string)), "incomplete_details": null_or(members(reason=string)),
    "model": string, "output": all_of(ITEM), "usage": null_or(USAGE), "instructions": null_or(string),
    "previous_response_id": null_or(string), "max_output_tokens": null_or(integer), "max_tool_calls": null_or(integer),
    "safety_identifier": null_or(string), "prompt_cache_key": null_or(string), "tools": all_of(a_tool),
    "tool_choice": lambda value: value in ("none", "auto", "required") or (type(value) is dict and "type" in value),
    "parallel_tool_calls": flag, "truncation": word("auto", "disabled"), "text": members(format=members(type=string)),
    "reasoning": null_or(members(effort=null_or(string), summary=null_or(string))), "metadata": mapping,
    "service_tier": string, "store": flag, "background": flag, "temperature": number, "top_p": number,
    "presence_penalty": number, "frequency_penalty": number, "top_logprobs": integer,
}
# What events have, besides their type and number.
_ITEM = {"item_id": string, "output_index": integer}
_PART = _ITEM | {"content_index": integer}
_SUMMARY = _ITEM | {"summary_index": integer}
EVENTS = {
    "output_item.added": {"output_index": integer, "item": ITEM}, "output_item.done": {"output_index": integer, "item": ITEM},
    "content_part.added": _PART | {"part": PART}, "content_part.done": _PART | {"part": PART},
    "output_text.delta": _PART | {"delta": string, "logprobs": all_of(mapping)},
    "output_text.done": _PART | {"text": string, "logprobs": all_of(mapping)},
    "refusal.delta": _PART | {"delta": string}, "refusal.done": _PART | {"refusal": string},
    "function_call_arguments.delta": _ITEM | {"delta": string},
    "function_call_arguments.done": _ITEM | {"arguments": string},
    "custom_tool_call_input.delta": _ITEM | {"delta": string}, "custom_tool_call_input.done": _ITEM | {"input": string},
    "reasoning_summary_part.added": _SUMMARY | {"part": PART}, "reasoning_summary_part.done": _SUMMARY | {"part": PART},
    "reasoning_summary_text.delta": _SUMMARY | {"delta": string}, "reasoning_summary_text.done": _SUMMARY | {"text": string},
    "reasoning_text.delta": _PART | {"delta": string}, "reasoning_text.done": _PART | {"text": string},
    "compaction.compacting": _ITEM,
}
# Which texts an item of a type may have, and the member of the done event that holds it.
TEXTS = {"message": {"output_text": "text", "refusal": "refusal"}, "function_call": {"function_call_arguments": "arguments"},
         "custom_tool_call": {"custom_tool_call_input": "input"},
         "reasoning": {"reasoning_summary_text": "text", "reasoning_text": "text"}}
TERMINAL = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}


def check_response(response):
    """An object as it is sent outside of streams and in their last event."""
    for name, check in RESPONSE.items():
        assert name in response, f"the response has no {name}"
        assert check(response[name]), f"{name} is {json.dumps(response[name])}"
    status = response["status"]
    assert (response["error"] is not None) == (status == "failed"), response["error"]
    assert (response["incomplete_details"] is not None) == (status == "incomplete"), response["incomplete_details"]
    if usage := response["usage"]:
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], usage
    assert response["completed_at"] is None or status in ("completed", "incomplete"), status
    identities = [item["id"] for item in response["output"]]
    assert len(set(identities)) == len(identities), "items share an id"
    return response


class _Stream:
    """What has been read of a stream so far."""

    def __init__(self):
        self.response, self.items, self.error = None, [], None

    def read(self, event):
        kind = event["type"]
        if kind in ("response.created", "response.in_progress"):
            self._begin(event["response"])
        elif kind in TERMINAL:
            self._end(kind, event["response"])
        elif kind == "error":
            inner = event["error"]
            assert set(inner) >= {"type", "code", "message", "param"} and inner["message"], event
            assert all(event[name] == inner[name] for name in ("code", "message", "param")), "the two shapes differ"
            self.error = inner
        else:
            self._read_item(kind, event)

    def _begin(self, response):
        check_response(response)
        assert response["status"] == "in_progress" and response["output"] == [] and response["usage"] is None
        assert self.response in (None, response), "created and in_progress differ"
        self.response = response

    def _read_item(self, kind, event):
        name = kind.removeprefix("response.")
        assert name in EVENTS, f"no event is called {kind}"
        for member, check in EVENTS[name].items():
            assert member in event and check(event[member]), f"{member} of {event}"
        index = event["output_index"]
        if name == "output_item.added":
            self._add(index, event["item"])
            return
        assert index < len(self.items), f"{kind} of an item that was never added"
        item = self.items[index]
        assert item["done"] is None, f"{kind} behind its item's end"
        if name == "output_item.done":
            self._finish(item, event["item"])
            return
        assert event["item_id"] == item["added"]["id"], event
        if name.endswith(("part.added", "part.done")):
            self._read_part(item, name, event)
            return
        if name == "compaction.compacting":
            assert item["added"]["type"] == "compaction", event
            return
        text, _, step = name.rpartition(".")
        assert text in TEXTS[item["added"]["type"]], f"{kind} in a {item['added']['type']}"
        if "part" in item:
            assert item["part"] == self._number(event), f"{kind} outside of its part"
        if step == "delta":
            assert event["delta"] and item["said"] is None, "an empty delta, or one behind its end"
            item["text"] += event["delta"]
        else:
            item["said"] = event[TEXTS[item["added"]["type"]][text]]
            assert item["said"] == item["text"], f"{kind} is not the sum of its deltas"

    def _add(self, index, item):
        assert index == len(self.items), f"output_index {index} behind {len(self.items)} items"
        assert item.get("status") == (None if item["type"] == "compaction" else "in_progress"), item
        for name, empty in (("content", []), ("summary", []), ("arguments", ""), ("input", ""), ("encrypted_content", "")):
            assert item.get(name, empty) == empty, f"added with its {name}"
        self.items.append({"added": item, "done": None, "text": "", "said": None} | (
            {"part": None, "parts": []} if item["type"] in ("message", "reasoning") else {}))

    @staticmethod
    def _number(event):
        return ("summary", event["summary_index"]) if "summary_index" in event else ("content", event["content_index"])

    def _read_part(self, item, name, event):
        part = event["part"]
        text = part["refusal"] if part["type"] == "refusal" else part["text"]
        if name.endswith("added"):
            assert item["part"] is None and text == "", "a part in a part, or one that is not empty"
            list_name, number_ = item["part"] = self._number(event)
            assert number_ == sum(kept[0] == list_name for kept in item["parts"]), event
            item["text"], item["said"] = "", None
        else:
            assert item["part"] == self._number(event) and item["said"] == text == item["text"], event
            item["parts"].append((item["part"][0], part))
            item["part"] = None

    def _finish(self, item, done):
        self._same(item["added"], done)
        if done["type"] == "compaction":
            assert done["encrypted_content"], done
            item["done"] = done
            return
        assert done.get("status") in ("completed", "incomplete"), done
        if "parts" in item:
            assert item["part"] is None, "an open part"
            for name in ("content", "summary"):
                assert done.get(name, []) == [part for kind, part in item["parts"] if kind == name], f"{name} of {done}"
        else:
            assert item["said"] is not None, "a call without the end of its arguments"
            assert done["input" if done["type"] == "custom_tool_call" else "arguments"] == item["said"]
        item["done"] = done

    @staticmethod
    def _same(added, later):
        for name in ("id", "type", "role", "call_id", "name", "namespace"):
            assert added.get(name) == later.get(name), f"{name} was {added.get(name)} and is {later.get(name)}"

    def _end(self, kind, response):
        check_response(response)
        assert response["status"] == TERMINAL[kind], response["status"]
        for name in set(RESPONSE) - {"status", "completed_at", "output", "usage", "error", "incomplete_details"}:
            assert response[name] == self.response[name], f"{name} was {self.response[name]} and is {response[name]}"
        assert len(response["output"]) == len(self.items), "items that were not streamed, or are lost"
        for item, final in zip(self.items, response["output"]):
            self._same(item["added"], final)
            assert final == item["done"] or (item["done"] is None and kind == "response.failed"), "not the item that was streamed"
        assert (kind == "response.failed") == (self.error is not None)
        self.response = response


def read_responses(body):
    """A Responses stream; the response of its last event. Raises `Failed` with it where it failed."""
    found = frames(body)
    assert found[-1] == (None, "[DONE]"), "[DONE] ends the stream"
    events = [json.loads(data) for _, data in found[:-1]]
    stream = _Stream()
    for index, (event, (name, _)) in enumerate(zip(events, found)):
        assert name == event["type"], f"event {index} is named {name} and is {event['type']}"
        assert event["sequence_number"] == index, f"event {index} has the number {event['sequence_number']}"
        stream.read(event)
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"], kinds[:2]
    assert [kind for kind in kinds if kind in TERMINAL] == kinds[-1:], "one terminal event, the last"
    assert kinds.count("response.created") == kinds.count("response.in_progress") == 1
    if stream.error:
        raise Failed(stream.response)
    return stream.response
