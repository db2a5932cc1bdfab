"""A client that sends exactly the bytes it is given, and reads replies with the standard library's parser."""

import dataclasses
import http.client
import io
import json
import socket
import struct
import threading

from . import chat


@dataclasses.dataclass
class Reply:
    """A reply, read to its end."""

    status: int
    headers: dict  # lower-cased names
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    def events(self):
        """The data of each event of a stream, in order; comments are left out."""
        frames = self.body.decode().split("\n\n")
        return [line.removeprefix("data:").strip() for frame in frames for line in frame.split("\n") if line.startswith("data:")]


def failed_by_length(reply):
    """Checks a stream of Responses that says nothing but that the prompt is too long."""
    assert reply.status == 200, reply.body
    *_, last, done = reply.events()
    event = json.loads(last)
    assert (event["type"], done) == ("response.failed", "[DONE]")
    assert event["response"]["error"]["code"] == "context_length_exceeded" and event["response"]["output"] == []


class Connection:
    """One connection to Martlet."""

    def __init__(self, port, timeout=30.0, receive_buffer=None):
        self.port = port
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_aside(self, data):
        """Sends from a thread of its own, so that a reply that comes before the end of a long request is seen."""

        def run():
            try:
                self.socket.sendall(data)
            except OSError:
                pass

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def open_reply(self, method="POST"):
        """Reads a reply's head; the caller reads the body from what this returns."""
        response = http.client.HTTPResponse(_Kept(self._file), method=method)
        response.begin()
        return response

    def reply(self, method="POST"):
        """Reads a whole reply. A body that is cut short raises `http.client.IncompleteRead`."""
        response = self.open_reply(method)
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def ask(self, method, target, body=None, **headers):
        """Sends a request with the usual headers and reads the whole reply."""
        self.send(request(method, target, body, port=self.port, **headers))
        return self.reply(method)

    def chat(self, body=None, **headers):
        """Posts a chat request, the usual one when no body is given."""
        return self.ask("POST", "/v1/chat/completions", chat.body() if body is None else body, **headers)

    def is_closed(self):
        """Waits for the peer's end of the connection; False when it sends something instead."""
        try:
            return self._file.read(1) == b""
        except OSError:
            return True

    def close(self):
        self._file.close()
        self.socket.close()

    def reset(self):
        """Leaves without a word, as a killed client does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class _Kept(io.RawIOBase):
    """Keeps the parser from closing the connection after a reply."""

    def __init__(self, file):
        self._kept = file

    def makefile(self, _):
        return self

    def readline(self, *size):
        return self._kept.readline(*size)

    def read(self, *size):
        return self._kept.read(*size)

    def read1(self, *size):
        return self._kept.read1(*size)

    def readinto(self, buffer):
        return self._kept.readinto(buffer)

    def peek(self, *size):
        return self._kept.peek(*size)

    def close(self):
        pass


def request(method, target, body=None, port=0, **headers):
    """A request's bytes. `host` and `content_length` are added unless they are given; None leaves one out."""
    fields = {"host": f"127.0.0.1:{port}"}
    if body is not None:
        fields |= {"content-type": "application/json", "content-length": len(body)}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")
