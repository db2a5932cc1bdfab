"""A stand-in for Hugging Face's HTTP API: repositories with files, redirects to where the bytes are, ranges, and faults.

`hub = Hub(); hub.add("acme/tiny-GGUF", {"tiny-Q4_K_M.gguf": data})`; a program finds it by `hub.environment`.
"""

import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse

COMMIT = "c" * 40
TOKEN = "hf_conformance_canary"
REPOSITORY = "acme/Tiny-Chat-GGUF"  # what the fixture `hub` has, with this file
FILE = "Tiny-Chat-F16.gguf"


class Hub:
    def __init__(self, tls=None):
        self.tls = tls  # an ssl.SSLContext
        self.repositories = {}  # "owner/name" → {path: bytes}
        self.gated = set()  # repositories that only a token opens
        self.private = set()  # repositories that nobody may see
        self.digests = {}  # path → what is listed in place of the right digest
        self.cuts = []  # after how many bytes of a body the connection breaks, one for each request for bytes
        self.cuts_of = {}  # the same for the bytes of one repository
        self.sizes = {}  # path → what is listed in place of the right size
        self.ranges = True  # False: whoever asks for a part gets all
        self.trickle = None  # seconds between two twentieths of a body
        self.bytes_at = ""  # address of the hub that redirects for bytes lead to; empty: this one
        self.pause = None  # an event before which no second half of a body is sent
        self.requests = []  # (path, headers), as they came
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                hub.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"{'https://localhost' if self.tls else 'http://127.0.0.1'}:{self.server.server_port}"

    @property
    def environment(self):
        return {"HF_ENDPOINT": self.url}

    def add(self, repository, files):
        self.repositories[repository] = files

    def bytes_requests(self):
        """The `Range` header of each request for a file's bytes, at the place they are at; None without."""
        return [headers.get("range") for path, headers in self.requests if path.startswith("/cdn/")]

    def close(self):
        if self.pause:
            self.pause.set()
        self.server.shutdown()
        self.server.server_close()

    # Answers

    def answer(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        path = urllib.parse.unquote(url.path)
        self.requests.append((path, {name.lower(): value for name, value in handler.headers.items()}))
        if path == "/api/models":
            return self.search(handler, urllib.parse.parse_qs(url.query))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path):
            return self.about(handler, *match.groups())
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repository, revision, file = match.groups()
            if self.refuses(handler, repository):
                return None
            if revision != COMMIT or file not in self.repositories[repository]:
                return self.fail(handler, 404, "EntryNotFound")
            return self.send(handler, 302, b"", location=f"{self.bytes_at}/cdn/{repository}/{urllib.parse.quote(file)}?signature=1")
        if match := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            return self.give(handler, self.repositories[match[1]][match[2]], self.cuts_of.get(match[1], self.cuts))
        return self.fail(handler, 404, "RepoNotFound")

    def refuses(self, handler, repository):
        token = handler.headers.get("authorization")
        if repository in self.gated and token != f"Bearer {TOKEN}":
            self.fail(handler, 401, "GatedRepo")
        elif repository in self.private or repository not in self.repositories:
            self.fail(handler, 401 if not token else 404, "RepoNotFound")
        else:
            return False
        return True

    def about(self, handler, repository, kind, revision):
        if self.refuses(handler, repository):
            return None
        if revision not in ("main", COMMIT):
            return self.fail(handler, 404, "RevisionNotFound")
        if kind == "revision":
            return self.send_json(handler, {"id": repository, "sha": COMMIT, "gated": repository in self.gated})
        return self.send_json(handler, [
            {"type": "file", "path": path, "size": self.sizes.get(path, len(data)), "oid": "a" * 40,
             "lfs": {"oid": self.digests.get(path, hashlib.sha256(data).hexdigest()), "size": self.sizes.get(path, len(data))}}
            for path, data in self.repositories[repository].items()])

    def search(self, handler, query):
        words = query["search"][0].lower().split()
        found = [name for name in self.repositories if all(word in name.lower() for word in words)]
        return self.send_json(handler, [
            {"id": name, "downloads": 1000 - place, "likes": 7, "gated": name in self.gated}
            for place, name in enumerate(found)])

    def give(self, handler, data, cuts):
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("range", ""))
        start = 0
        if asked and self.ranges and handler.headers.get("if-range", etag) == etag:
            start = int(asked[1])
        body = data[start:]
        cut = cuts.pop(0) if cuts else None
        handler.send_response(206 if start else 200)
        handler.send_header("etag", etag)
        handler.send_header("content-length", str(len(body)))
        if start:
            handler.send_header("content-range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        try:
            if self.pause:
                # In two parts: progress is told a few times a second only.
                handler.wfile.write(body[:len(body) // 4])
                time.sleep(0.5)
                handler.wfile.write(body[len(body) // 4:len(body) // 2])
                self.pause.wait(30)
                handler.wfile.write(body[len(body) // 2:])
            elif self.trickle:
                for start in range(0, len(body), len(body) // 20 + 1):
                    handler.wfile.write(body[start:start + len(body) // 20 + 1])
                    time.sleep(self.trickle)
            else:
                handler.wfile.write(body if cut is None else body[:cut])
        except OSError:
            pass  # the program has gone
        if cut is not None:
            handler.close_connection = True

    def fail(self, handler, status, code):
        self.send(handler, status, b'{"error":"no"}', **{"x-error-code": code})

    def send_json(self, handler, value):
        self.send(handler, 200, json.dumps(value).encode(), **{"content-type": "application/json"})

    def send(self, handler, status, body, **headers):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
