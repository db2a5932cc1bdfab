"""Responses over a WebSocket, by the `websockets` package."""

import json

from websockets.sync.client import connect

from . import chat
from .grammar_responses import read_responses

TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")


def open_socket(server, path="/v1/responses", **options):
    """A WebSocket to a server; closed as a context manager."""
    return connect(f"ws://127.0.0.1:{server.port}{path}", **options)


def say(socket, **request):
    socket.send(json.dumps({"type": "response.create", **request}))


def hear(socket, within=30):
    """The events up to the one that ends a reply."""
    events = []
    while not events or events[-1]["type"] not in TERMINAL:
        events.append(json.loads(socket.recv(timeout=within)))
    return events


def response(events):
    """The whole response, once the events have been found to be as over HTTP."""
    assert events[-1]["type"] != "error" or "sequence_number" in events[-1], events[-1]
    frames = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    return read_responses(("".join(frames) + "data: [DONE]\n\n").encode())


def ask(socket, **request):
    """The response that a request gets."""
    say(socket, **{"model": chat.MODEL} | request)
    return response(hear(socket))


def refused(socket, **request):
    """The error that a request gets, with its status."""
    say(socket, **{"model": chat.MODEL} | request)
    [event] = hear(socket)
    assert set(event) == {"type", "status", "error"} and event["type"] == "error", event
    assert {"type", "code", "message"} <= set(event["error"]), event
    return event["status"], event["error"]
