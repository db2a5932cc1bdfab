"""An HTTP proxy that opens tunnels, and a certificate authority of its own, for upstreams that are behind TLS."""

import socket
import ssl
import subprocess
import threading


class Proxy:
    """Answers each CONNECT with a tunnel to `port` of loopback, whatever host was asked for, or with `refusal`.

    `heads` are the requests as they came, in order.
    """

    def __init__(self, port, refusal=None):
        self.target, self.refusal, self.heads = port, refusal, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        with near:
            head = b""
            while b"\r\n\r\n" not in head:
                data = near.recv(65536)
                if not data:
                    return
                head += data
            self.heads.append(head.decode())
            if self.refusal:
                near.sendall(f"HTTP/1.1 {self.refusal}\r\ncontent-length: 0\r\n\r\n".encode())
                near.recv(1)
                return
            with socket.create_connection(("127.0.0.1", self.target)) as far:
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._pass, args=(far, near), daemon=True)
                back.start()
                self._pass(near, far)
                back.join()

    @staticmethod
    def _pass(source, sink):
        """Bytes until `source` ends, and then its ending: a reset of it is one too."""
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Authority:
    """A certificate that vouches for itself, in a file that clients can be told to trust."""

    def __init__(self, folder, host):
        self.file, self.key = folder / "authority.pem", folder / "authority.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-keyout", self.key, "-out", self.file],
            check=True, capture_output=True)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(self.file, self.key)
