"""A stand-in for LM Studio's server, which cannot run where the tests do: greeting, model lists, chat completions, and its own
chat API.

Its misbehaviours are those that users have reported of the real one. Each is a field of `Quirks`, says where the LM Studio notes
have it, and can be switched off; `Quirks.none()` is the server that one would wish for. Try it by hand:

    python fake_lmstudio.py [PORT]
"""

import dataclasses
import json
import sys
import threading
import time

from support import chat
from support.studio_models import Model, ModelRoutes
from support.upstream import Upstream

__all__ = ["FakeLMStudio", "Model", "Quirks"]


@dataclasses.dataclass
class Quirks:
    """What the server gets wrong, as the real one does. The comments name the section of the LM Studio notes."""

    # "Unknown routes": any unknown path or wrong method is answered 200 with a bare-string error.
    unknown_route_is_200: bool = True
    # "Model resolution": a model that nobody knows is answered by the only loaded one, silently.
    substitutes_model: bool = True
    # "Chat completions, errors": with nothing loaded the answer is 404 "No models loaded", even when one could be loaded.
    refuses_when_nothing_is_loaded: bool = False
    # "Error body families": validation errors are bare strings, `{"error":"text"}`.
    errors_are_strings: bool = True
    # "Models, OpenAI-compatible": entries have three fields, no `created`, no context length.
    bare_model_entries: bool = True
    # "Chat completions, response": an empty `tool_calls` list stands in every message.
    empty_tool_calls: bool = True
    # "Chat completions, streaming chunk": the role is repeated in every delta.
    role_in_every_delta: bool = True
    # "Tools": the object form of `tool_choice` is refused.
    refuses_named_tool_choice: bool = True
    # "Structured output": `json_object` is refused.
    refuses_json_object: bool = True
    # "Chat completions, messages": images by http(s) are refused.
    refuses_image_urls: bool = True
    # "Chat completions, messages": the role `developer` was refused once.
    refuses_developer: bool = True
    # "Chat completions, request": efforts it does not know are refused.
    refuses_efforts: bool = True
    # "Native v1, stream": the socket stays open behind `chat.end`.
    native_stream_stays_open: bool = True
    # "Tools": ids of calls are nine-digit strings.
    numeric_call_ids: bool = True
    # "Tools": a call that cannot be parsed comes back as ordinary text with finish reason `stop`.
    leaks_calls_as_text: bool = False
    # "Structured output": the JSON of a model that reasons lands in its reasoning, and the text stays empty.
    json_in_reasoning: bool = False
    # "Reasoning": where it is written, `reasoning_content`, `reasoning` or `think_tags`.
    reasoning: str = "reasoning_content"
    # "Context overflow": `event` (an error event in a 200 stream), `empty` (a 200 stream without a word), `string` (400 with a bare
    # string) or `engine` (400 with the engine's words); `honest` is what one would wish for.
    overflow: str = "event"
    # "Error body families": errors of the routes of models come with 200.
    management_errors_are_200: bool = True
    # Versions before 0.4 have no API of their own; older ones not even the list before it.
    has_native_api: bool = True
    has_legacy_api: bool = True
    # "Lifecycle": with loading on demand switched off OpenAI's list holds what is loaded, and nothing else.
    lists_loaded_only: bool = False
    # "Headers, CORS": OPTIONS falls through to the route and complains of missing messages.
    options_fall_through: bool = True

    @classmethod
    def none(cls):
        """A server without any of them."""
        kept = ("has_native_api", "has_legacy_api")
        return cls(**{field.name: field.name in kept for field in dataclasses.fields(cls) if field.type is bool},
                   overflow="honest")


class Refused(Exception):
    """A request that is answered by an error."""

    def __init__(self, status, body):
        super().__init__(body)
        self.status, self.body = status, body


class FakeLMStudio(ModelRoutes, Upstream):
    """The server. `answer`, `thinking` and `calls` (name, arguments) are what every chat says; a test may change them."""

    def __init__(self, quirks=None, models=None, answer=("Hello, ", "I am ", "a fake."), thinking="", calls=(), load_seconds=0.0,
                 port=0):
        self.quirks = quirks or Quirks()
        self.catalogue = {model.key: model for model in models or [Model("acme/writer-8b")]}
        self.answer, self.thinking, self.calls, self.load_seconds = answer, thinking, list(calls), load_seconds
        self.break_after = None  # events after which a stream fails with an `event: error`
        self.jobs = {}
        self._loading = threading.Lock()
        super().__init__(self._post, models=list(self.catalogue), port=port)

    # Everything that is not a POST

    def get(self, exchange):
        method, path = exchange.request.method, exchange.request.target.split("?")[0]
        if method == "OPTIONS" and self.quirks.options_fall_through and path == "/v1/chat/completions":
            return exchange.json({"error": "'messages' field is required"}, 400, "Bad Request")
        lists = {"/lmstudio-greeting": lambda: {"lmstudio": True}, "/v1/models": self._openai_list,
                 "/api/v1/models": self._native_list, "/api/v0/models": self._legacy_list}
        if path == "/api/v1/models" and not self.quirks.has_native_api or path == "/api/v0/models" and not self.quirks.has_legacy_api:
            return self._unknown(exchange)
        if path.startswith("/api/v1/models/download/status/") and method == "GET":
            return self.download_status(exchange, path.rpartition("/")[2])
        if method != "GET" or path not in lists:
            return self._unknown(exchange)
        exchange.json(lists[path](), x_powered_by="Express")

    def _openai_list(self):
        extra = {} if self.quirks.bare_model_entries else {"created": 1767225600}
        return {"data": [{"id": key, "object": "model", "owned_by": "organization_owner"} | extra for key, model in self.catalogue.items()
                         if model.loaded or not self.quirks.lists_loaded_only],
                "object": "list"}

    def _native_list(self):
        return {"models": [model.native for model in self.catalogue.values()]}

    def _legacy_list(self):
        return {"object": "list", "data": [model.legacy for model in self.catalogue.values()]}

    def _unknown(self, exchange):
        text = f"Unexpected endpoint or method. ({exchange.request.method} {exchange.request.target.split('?')[0]})"
        if self.quirks.unknown_route_is_200:
            exchange.json({"error": text})
        else:
            exchange.json({"error": {"message": text, "type": "invalid_request_error"}}, 404, "Not Found")

    # Chat completions

    def _post(self, exchange):
        path = exchange.request.target.split("?")[0]
        if path == "/api/v1/chat" and self.quirks.has_native_api:
            return self._native(exchange)
        if self.manage(exchange, path):
            return
        if path not in ("/v1/chat/completions", "/api/v0/chat/completions"):
            return self._unknown(exchange)
        try:
            asked = self._checked(exchange.request)
            model = self._resolved(asked.get("model"))
            self._check_length(asked, model, exchange)
        except Refused as refusal:
            return exchange.json(refusal.body, refusal.status, "Refused", x_powered_by="Express")
        if exchange.sent:
            return  # an overflow that was answered by a stream
        if asked.get("stream"):
            self._stream(exchange, asked, model)
        else:
            exchange.json(self._whole(exchange, asked, model), x_powered_by="Express")

    def _refusal(self, text, status=400, **more):
        if self.quirks.errors_are_strings and not more:
            return Refused(status, {"error": text})
        return Refused(status, {"error": {"message": text, "type": "invalid_request_error", "param": None, "code": None} | more})

    def _checked(self, request):
        try:
            asked = json.loads(request.body)
        except ValueError:
            raise self._refusal("Unexpected token in JSON") from None
        if not asked.get("messages"):
            raise self._refusal("'messages' field is required")
        if self.quirks.refuses_named_tool_choice and isinstance(asked.get("tool_choice"), dict):
            raise self._refusal("Invalid tool_choice type: 'object'. Supported string values: none, auto, required")
        if self.quirks.refuses_json_object and (asked.get("response_format") or {}).get("type") == "json_object":
            raise self._refusal("'response_format.type' must be 'json_schema' or 'text'")
        if self.quirks.refuses_efforts and asked.get("reasoning_effort") not in (None, "none", "low", "medium", "high"):
            raise self._refusal("Invalid reasoning_effort")
        for message in asked["messages"]:
            if self.quirks.refuses_developer and message["role"] == "developer":
                raise self._refusal("Invalid 'role' in message: developer")
            for part in message["content"] if isinstance(message.get("content"), list) else []:
                url = (part.get("image_url") or {}).get("url", "data:image/png;")
                if self.quirks.refuses_image_urls and not url.startswith(("data:image/png;", "data:image/jpeg;")):
                    raise self._refusal("'url' field must be a base64 encoded image.")
        return asked

    def _resolved(self, name):
        """The model that answers: the one that was named, loaded now if need be, or silently another."""
        named = (name or "").split("@")[0]
        model = self.catalogue.get(named) or next((one for one in self.catalogue.values() if named in one.instances), None)
        loaded = [one for one in self.catalogue.values() if one.loaded and not one.embedding]
        if model is None and self.quirks.substitutes_model and len(loaded) == 1:
            return loaded[0]
        if not loaded and self.quirks.refuses_when_nothing_is_loaded:
            raise self._refusal("No models loaded. Please load a model in the developer page.", 404, param="model")
        if model is None:
            raise self._refusal(f'Model "{name}" not found.', 404, param="model", code="model_not_found")
        with self._loading:
            if not model.loaded:
                time.sleep(self.load_seconds)  # not a byte is sent while it loads
                model.load()
        return model

    def _check_length(self, asked, model, exchange):
        tokens = len(json.dumps(asked["messages"])) // 4
        if tokens <= model.context:
            return
        engine = f"request ({tokens} tokens) exceeds the available context size ({model.context} tokens)"
        manner = self.quirks.overflow
        if manner in ("event", "empty") and asked.get("stream"):
            text = "Input does not fit in context length. Try again with a shorter input."
            event = b"event: error\ndata: " + chat.dumps({"error": {"message": text}, "message": text}) + b"\n\n"
            exchange.stream(event if manner == "event" else b"")
        elif manner == "honest":
            raise self._refusal(engine, code="context_length_exceeded")
        elif manner == "engine":
            raise Refused(400, {"error": engine})
        else:
            raise Refused(400, {"error": f"The initial prompt is too long: n_keep ({tokens}) >= n_ctx ({model.context})"})

    def _base(self, kind, model):
        return {"id": "chatcmpl-7d2k9w0p4m6x1c8v3b5nq", "object": kind, "created": 1767225600, "model": model.key,
                "system_fingerprint": model.key}

    def _pieces(self, asked):
        """What is said: reasoning, text pieces, calls, finish reason."""
        if self.quirks.json_in_reasoning and asked.get("response_format"):
            return '{"city":"Oslo"}', [], [], "stop"
        calls = self.calls if asked.get("tools") and asked.get("tool_choice") != "none" else []
        text = [] if calls else list(self.answer)
        thinking = self.thinking
        if thinking and self.quirks.reasoning == "think_tags":
            text.insert(0, f"<think>{thinking}</think>")
            thinking = ""
        if calls and self.quirks.leaks_calls_as_text:
            name, arguments = calls[0]
            return thinking, [f'[TOOL_REQUEST]{{"name":"{name}","arguments":{arguments}}}[END_TOOL_REQUEST]'], [], "stop"
        return thinking, text, calls, "tool_calls" if calls else "stop"

    def _call(self, index, name, arguments):
        identity = str(481516234 + index) if self.quirks.numeric_call_ids else f"call_{index}"
        return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _usage(self):
        return {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30,
                "completion_tokens_details": {"reasoning_tokens": 5 if self.thinking else 0}}

    def _whole(self, exchange, asked, model):
        thinking, text, calls, finish = self._pieces(asked)
        message = {"role": "assistant", "content": "".join(text)}
        if thinking:
            message[self.quirks.reasoning] = thinking
        if calls or self.quirks.empty_tool_calls:
            message["tool_calls"] = [self._call(index, *call) for index, call in enumerate(calls)]
        choice = {"index": 0, "logprobs": None, "finish_reason": finish, "message": message}
        return self._base("chat.completion", model) | {"choices": [choice], "usage": self._usage(), "stats": {}} | (
            self.extras(exchange, model, finish))

    def _stream(self, exchange, asked, model):
        thinking, text, calls, finish = self._pieces(asked)
        deltas = [{self.quirks.reasoning: thinking}] if thinking else []
        deltas += [{"content": piece} for piece in text]
        for index, (name, arguments) in enumerate(calls):
            deltas.append({"tool_calls": [{"index": index} | self._call(index, name, "")]})
            half = len(arguments) // 2
            deltas += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]}
                       for part in (arguments[:half], arguments[half:])]
        exchange.stream_head(cache_control="no-cache", x_powered_by="Express")
        base = self._base("chat.completion.chunk", model)
        for number, delta in enumerate(deltas):
            if number == self.break_after:
                error = {"error": {"message": "The model has crashed."}, "message": "The model has crashed."}
                exchange.chunked(b"event: error\ndata: " + chat.dumps(error) + b"\n\n")
                return exchange.end_chunks()
            role = {"role": "assistant"} if self.quirks.role_in_every_delta or number == 0 else {}
            exchange.chunked(chat.event(base | {"choices": [
                {"index": 0, "delta": role | delta, "logprobs": None, "finish_reason": None}]}))
        last = [base | {"choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish}]}]
        if (asked.get("stream_options") or {}).get("include_usage"):
            last.append(base | {"choices": [], "usage": self._usage()})
        last[-1] |= self.extras(exchange, model, finish)
        exchange.chunked(b"".join(map(chat.event, last)))
        exchange.chunked(chat.DONE)
        exchange.end_chunks()


    # Its own API

    NATIVE_KEYS = {"model", "input", "system_prompt", "integrations", "stream", "temperature", "top_p", "top_k", "min_p",
                   "repeat_penalty", "max_output_tokens", "reasoning", "context_length", "store", "previous_response_id"}

    def _native(self, exchange):
        try:
            asked = self._checked_native(exchange.request)
            model = self._resolved(asked.get("model"))
        except Refused as refusal:
            body = refusal.body if isinstance(refusal.body["error"], dict) else {
                "error": {"type": "invalid_request", "message": refusal.body["error"]}}
            return exchange.json(body, refusal.status, "Refused", x_powered_by="Express")
        tokens = len(json.dumps(asked["input"])) // 4
        failure = None
        if tokens > model.context:
            failure = {"type": "internal_error",
                       "message": f"request ({tokens} tokens) exceeds the available context size ({model.context} tokens)"}
        if asked.get("stream"):
            return self._native_stream(exchange, model, failure)
        if failure:
            return exchange.json({"error": failure}, 500, "Internal Server Error")
        exchange.json(self._native_whole(model), x_powered_by="Express")

    def _checked_native(self, request):
        asked = json.loads(request.body)
        unknown = sorted(set(asked) - self.NATIVE_KEYS)
        if unknown:
            text = "Unrecognized key(s) in object: " + ", ".join(f"'{key}'" for key in unknown)
            raise Refused(400, {"error": {"type": "invalid_request", "message": text, "code": "unrecognized_keys"}})
        if "input" not in asked:
            raise Refused(400, {"error": {"type": "invalid_request", "message": '"input" is required', "param": "input"}})
        for item in asked["input"] if isinstance(asked["input"], list) else []:
            if item["type"] not in ("text", "image"):
                raise Refused(400, {"error": {"type": "invalid_request", "message": "Invalid input", "code": "invalid_union"}})
        return asked

    def _native_whole(self, model):
        output = [{"type": "reasoning", "content": self.thinking}] if self.thinking else []
        output.append({"type": "message", "content": "".join(self.answer)})
        return {"model_instance_id": model.key, "output": output, "stats": {
            "input_tokens": 21, "total_output_tokens": 9, "reasoning_output_tokens": 5 if self.thinking else 0,
            "tokens_per_second": 50.5, "time_to_first_token_seconds": 0.2}}

    def _native_stream(self, exchange, model, failure):
        def event(type, **more):
            exchange.chunked(f"event: {type}\ndata: ".encode() + chat.dumps({"type": type} | more) + b"\n\n")

        def block(kind, pieces):
            event(f"{kind}.start")
            for piece in pieces:
                event(f"{kind}.delta", content=piece)
            event(f"{kind}.end")

        exchange.stream_head(cache_control="no-cache", x_powered_by="Express")
        event("chat.start", model_instance_id=model.key)
        event("prompt_processing.start")
        event("prompt_processing.progress", progress=0.5)
        if failure:
            event("error", error=failure)
        else:
            event("prompt_processing.end")
            if self.thinking:
                block("reasoning", [self.thinking])
            block("message", self.answer)
        event("chat.end", result=self._native_whole(model) | ({"output": []} if failure else {}))
        if self.quirks.native_stream_stays_open:
            exchange.wait_gone()
        else:
            exchange.end_chunks()


if __name__ == "__main__":
    fake = FakeLMStudio(port=int(sys.argv[1]) if len(sys.argv) > 1 else 1234)
    print(f"fake LM Studio on {fake.url}", flush=True)
    threading.Event().wait()
