"""What a model says, as an upstream of Responses writes it: whole or streamed, every member there, as OpenAI's own."""

from . import chat
from .answer import SEAL, Call, Sealed, Text, Thinking, named, pieces

IDENTITY = "resp_" + "0a1b2c3d" * 6
# What of a request is repeated in the response, and what stands there when nothing was said.
ECHOED = {
    "instructions": None, "previous_response_id": None, "max_output_tokens": None, "max_tool_calls": None,
    "safety_identifier": None, "prompt_cache_key": None, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True,
    "truncation": "disabled", "text": {"format": {"type": "text"}}, "reasoning": {"effort": None, "summary": None},
    "metadata": {}, "service_tier": "default", "store": True, "background": False, "temperature": 1, "top_p": 1,
    "presence_penalty": 0, "frequency_penalty": 0, "top_logprobs": 0,
}


def response(request, status="in_progress", output=(), **more):
    """A Response object."""
    echoed = {name: request.get(name, unsaid) for name, unsaid in ECHOED.items()}
    echoed["tools"] = [{"description": None, "strict": True} | tool for tool in echoed["tools"]]
    return {"id": IDENTITY, "object": "response", "created_at": 1767225600, "completed_at": None, "status": status,
            "error": None, "incomplete_details": None, "model": chat.MODEL, "output": list(output), "usage": None} | echoed | more


def _item(number, part, is_done):
    status = "completed" if is_done else "in_progress"
    if isinstance(part, Call):
        return {"id": f"fc_{number:048}", "type": "function_call", "status": status, "call_id": part.id, "name": part.name,
                "arguments": part.arguments if is_done else ""}
    if isinstance(part, Thinking):
        sealed = {"encrypted_content": SEAL} if isinstance(part, Sealed) else {}
        return {"id": f"rs_{number:048}", "type": "reasoning", "status": status,
                "summary": [{"type": "summary_text", "text": part}] if is_done else []} | sealed
    return {"id": f"msg_{number:048}", "type": "message", "status": status, "role": "assistant",
            "content": [_text(part)] if is_done else []}


def _text(value):
    return {"type": "output_text", "text": value, "annotations": [], "logprobs": []}


def whole(answer, request):
    """The finished Response."""
    fresh, output, cached, written, thinking = answer.usage
    prompt = fresh + cached + written
    is_cut = answer.end in ("length", "refusal")
    reason = {"reason": "max_output_tokens" if answer.end == "length" else "content_filter"}
    return response(
        request, "incomplete" if is_cut else "completed",
        [_item(number, part, True) for number, part in enumerate(answer.parts)], completed_at=1767225601,
        incomplete_details=reason if is_cut else None, usage={
            "input_tokens": prompt, "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "output_tokens": output, "output_tokens_details": {"reasoning_tokens": thinking}, "total_tokens": prompt + output})


def _streamed(number, part):
    """The events of one item."""
    place = {"item_id": _item(number, part, False)["id"], "output_index": number}
    yield {"type": "response.output_item.added", "output_index": number, "item": _item(number, part, False)}
    if isinstance(part, Call):
        for piece in pieces(part.arguments):
            yield {"type": "response.function_call_arguments.delta"} | place | {"delta": piece}
        yield {"type": "response.function_call_arguments.done"} | place | {"arguments": part.arguments, "name": part.name}
    elif isinstance(part, Thinking):
        place |= {"summary_index": 0}
        yield {"type": "response.reasoning_summary_part.added"} | place | {"part": {"type": "summary_text", "text": ""}}
        for piece in pieces(part):
            yield {"type": "response.reasoning_summary_text.delta"} | place | {"delta": piece}
        yield {"type": "response.reasoning_summary_text.done"} | place | {"text": part}
        yield {"type": "response.reasoning_summary_part.done"} | place | {"part": {"type": "summary_text", "text": part}}
    else:
        assert isinstance(part, Text)
        place |= {"content_index": 0}
        yield {"type": "response.content_part.added"} | place | {"part": _text("")}
        for piece in pieces(part):
            yield {"type": "response.output_text.delta"} | place | {"delta": piece, "logprobs": []}
        yield {"type": "response.output_text.done"} | place | {"text": part, "logprobs": []}
        yield {"type": "response.content_part.done"} | place | {"part": _text(part)}
    yield {"type": "response.output_item.done", "output_index": number, "item": _item(number, part, True)}


def stream(answer, request):
    """The events of a stream."""
    begun, ended = response(request), whole(answer, request)
    events = [{"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun}]
    for number, part in enumerate(answer.parts):
        events += _streamed(number, part)
    events.append({"type": f"response.{ended['status']}", "response": ended})
    return b"".join(named(event | {"sequence_number": number}) for number, event in enumerate(events)) + chat.DONE


def script(answer):
    """Answers a request, streamed or whole as it asks."""
    def run(exchange):
        request = exchange.request.json
        if request.get("stream"):
            exchange.stream(stream(answer, request), cut=61)
        else:
            exchange.json(whole(answer, request))
    return run
