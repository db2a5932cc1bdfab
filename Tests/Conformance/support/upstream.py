"""A scripted HTTP upstream made of plain sockets, so that a test decides about every byte, every pause and every end.

A script is a function that is called with an `Exchange` for each POST, or a list of such functions, taken in turn (the last one
stays). GET requests (model lists, probes) are answered aside and never reach the script.
"""

import dataclasses
import json
import select
import socket
import ssl
import struct
import threading
import time

from . import chat


@dataclasses.dataclass
class Received:
    """A request as it arrived."""

    method: str
    target: str
    head: bytes  # with the blank line
    headers: list  # of (lower-cased name, value)
    body: bytes = b""  # without chunk framing
    connection: int = 0  # number of the connection that brought it, from 0

    def header(self, name):
        """The header's value; None when it is absent; several are joined by a comma."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    @property
    def json(self):
        return json.loads(self.body)


class Gone(Exception):
    """The gateway closed its connection."""


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, upstream, connection, request):
        self.upstream, self.connection, self.request = upstream, connection, request
        self.sent = 0  # bytes that the kernel has taken
        self.gone_at = None  # when the gateway was seen to have closed
        self.is_closed = False  # by the script: what arrives from then on is not read

    def send(self, data):
        """Sends bytes as they are. Raises `Gone` when the gateway has closed."""
        view = memoryview(data)
        try:
            while view:
                count = self.connection.send(view[:65536])
                self.sent += count
                view = view[count:]
        except OSError as error:
            self.gone_at = time.monotonic()
            raise Gone from error

    def send_cut(self, data, cut):
        """Sends bytes in pieces of `cut`, a moment apart, so that most pieces are reads of their own."""
        for start in range(0, len(data), cut):
            self.send(data[start:start + cut])
            time.sleep(0.0003)

    def head(self, status=200, reason="OK", **headers):
        """Sends a status line and headers; `content_type="a/b"` becomes `content-type: a/b`."""
        lines = [f"HTTP/1.1 {status} {reason}"] + [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n")

    def json(self, value, status=200, reason="OK", **headers):
        """Sends a whole JSON reply; bytes are taken as they are."""
        data = value if isinstance(value, bytes) else chat.dumps(value)
        self.head(status, reason, content_type="application/json", content_length=len(data), **headers)
        self.send(data)

    def stream_head(self, **headers):
        """Sends the head of a chunked event stream."""
        self.head(content_type="text/event-stream", transfer_encoding="chunked", **headers)

    def chunked(self, data):
        """Sends one chunk of a chunked body."""
        self.send(b"%x\r\n" % len(data) + data + b"\r\n")

    def end_chunks(self):
        self.send(b"0\r\n\r\n")

    def stream(self, data, framing="chunked", cut=None):
        """Sends a whole event stream: `chunked`, with its `length`, or ended by the connection's end (`eof`).

        `cut` is the size of the chunks (`chunked`) or of the writes (else); without it everything leaves at once.
        """
        pieces = [data] if cut is None else [data[start:start + cut] for start in range(0, len(data), cut)]
        if framing == "chunked":
            self.stream_head()
            for piece in pieces:
                self.chunked(piece)
            self.end_chunks()
        elif framing == "length":
            self.head(content_type="text/event-stream", content_length=len(data))
            self.send_cut(data, cut or len(data))
        else:
            self.head(content_type="text/event-stream", connection="close")
            self.send_cut(data, cut or len(data))
            self.close()

    def wait_gone(self, within=15.0):
        """Waits until the gateway closes the connection; says when, on the monotonic clock."""
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        assert poll.poll(within * 1000), f"the gateway kept its connection for {within} s"
        self.gone_at = time.monotonic()
        return self.gone_at

    def gone(self, within):
        """Whether the script has seen the gateway close, or sees it within so many seconds."""
        end = time.monotonic() + within
        while self.gone_at is None and time.monotonic() < end:
            time.sleep(0.01)
        return self.gone_at is not None

    def close(self):
        """Ends the connection in the regular way. A request that came before the end did is lost, as with a real server."""
        self.is_closed = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def reset(self):
        """Ends the connection by a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Upstream:
    """The listening side. `requests` are the POSTs in order of arrival, `probes` everything else."""

    def __init__(self, script, models=(chat.MODEL,), send_buffer=None, port=0, tls=None):
        self.script, self.models, self._tls = script, list(models), tls  # tls: an ssl.SSLContext
        self.requests, self.probes, self.exchanges = [], [], []
        self.mistakes = []  # of scripts: raised again when the test ends
        self.connections = 0
        self._lock = threading.Lock()
        self._open = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        if send_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def request(self):
        """The only POST that arrived."""
        assert len(self.requests) == 1, f"expected one request upstream, there were {len(self.requests)}"
        return self.requests[0]

    def stop_listening(self):
        """From now on connections are refused; open ones are closed."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.stop_listening()
        if self.mistakes:
            raise self.mistakes[0]

    def get(self, exchange):
        """Answers what the gateway asks by itself: whatever is no POST, and Ollama's `/api/show`. A test may put another function in its place."""
        if exchange.request.target.split("?")[0] in ("/v1/models", "/models"):
            entries = [{"id": model, "object": "model", "created": 1767225600, "owned_by": "me"} for model in self.models]
            exchange.json({"object": "list", "data": entries})
        else:
            exchange.json({"error": {"message": "no such route", "type": "invalid_request_error"}}, 404, "Not Found")

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                number = self.connections
                self.connections += 1
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        buffer, plain = bytearray(), connection
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while request := self._read(connection, buffer):
                request.connection = number
                exchange = Exchange(self, connection, request)
                if request.method != "POST" or request.target == "/api/show":
                    self.probes.append(request)
                    self.get(exchange)
                    continue
                with self._lock:
                    turn = len(self.requests)
                    self.requests.append(request)
                    self.exchanges.append(exchange)
                script = self.script[min(turn, len(self.script) - 1)] if isinstance(self.script, list) else self.script
                script(exchange)
                if exchange.is_closed:
                    return
        except (Gone, ConnectionError, ssl.SSLError):
            pass
        except Exception as mistake:  # noqa: BLE001, whatever a script does wrong must fail its test
            self.mistakes.append(mistake)
        finally:
            with self._lock:
                self._open.discard(plain)
            connection.close()

    @staticmethod
    def _read(connection, buffer):
        """The next request; None when the peer ended the connection instead."""

        def more():
            try:
                data = connection.recv(1 << 20)
            except OSError:
                data = b""
            buffer.extend(data)
            return bool(data)

        def take(count):
            while len(buffer) < count:
                if not more():
                    raise Gone
            data = bytes(buffer[:count])
            del buffer[:count]
            return data

        def line():
            while (end := buffer.find(b"\r\n")) < 0:
                if not more():
                    raise Gone
            return take(end + 2)

        while (end := buffer.find(b"\r\n\r\n")) < 0:
            if not more():
                return None
        head = take(end + 4)
        first, *rest = head.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = first.split(" ", 2)
        headers = [(name.strip().lower(), value.strip()) for name, value in (entry.split(":", 1) for entry in rest)]
        request = Received(method, target, head, headers)
        if "chunked" in (request.header("transfer-encoding") or ""):
            while size := int(line().split(b";")[0], 16):
                request.body += take(size)
                take(2)
            while line() != b"\r\n":
                pass
        elif length := request.header("content-length"):
            request.body = take(int(length))
        return request
