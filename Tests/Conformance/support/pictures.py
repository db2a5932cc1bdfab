"""A server of pictures on loopback, which notes what it is asked."""

import gzip
import http.server
import threading

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24
WEBP = b"RIFF\x1a\0\0\0WEBPVP8 " + b"\0" * 16


class Pictures:
    """`redirects` maps paths to places; `/slow` never answers, `/huge` is larger than any bound."""

    def __init__(self):
        self.asked, self.redirects, self.released = [], {}, threading.Event()
        pictures = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                pictures.asked.append((self.path, dict(self.headers)))
                if place := pictures.redirects.get(self.path):
                    self.send_response(302)
                    self.send_header("Location", place)
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                body = {"/a.png": PNG, "/lies.png": WEBP, "/page": b"<!doctype html>", "/packed": gzip.compress(PNG)}.get(self.path)
                if self.path == "/huge":
                    self.send_response(200)
                    self.end_headers()
                    try:
                        while not pictures.released.is_set():
                            self.wfile.write(PNG + b"\0" * (1 << 20))
                    except OSError:
                        return
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "image/png")
                if self.path == "/packed":
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, path, host="127.0.0.1"):
        return f"http://{host}:{self.port}{path}"

    def close(self):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
