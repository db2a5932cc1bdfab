"""A running Martlet, and the proof that nothing of it is left afterwards."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import uuid

from . import chat
from .waiting import until
from .wire import Connection

REPOSITORY = pathlib.Path(__file__).parents[3]
READY = re.compile(r"martlet ready on http://127\.0\.0\.1:(\d+)\s*$")
# From the start to the ready line; discovery may take a second, a debug build more. Seconds.
READY_WITHIN = 20
# From the signal to the exit, engines torn down. Seconds.
EXIT_WITHIN = 15
# Before the command: a server of root's may then do no more than one of any user.
AS_A_USER = [] if os.geteuid() else [shutil.which("setpriv"), "--bounding-set=-all", "--inh-caps=-all"]


def binary():
    """The program under test: MARTLET_BIN, else the debug build."""
    path = pathlib.Path(os.environ.get("MARTLET_BIN", REPOSITORY / ".build/debug/martlet"))
    assert path.exists(), f"there is no {path}; build it first: Scripts/check --only build"
    return path


class Martlet:
    """`martlet serve` in a process of its own, with a home and a runtime folder of its own."""

    def __init__(self, *arguments, port=0, config=None, environment=None, home=None, engines=None):
        self.mark = uuid.uuid4().hex
        # A short path: a Unix socket's name may have about 100 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mc-", dir="/tmp"))
        self.home = pathlib.Path(home) if home else self.folder / "home"
        self.home.mkdir(exist_ok=True)
        self.runtime = self.folder / "run"
        self.runtime.mkdir(mode=0o700)
        if engines:
            (self.home / "engines").symlink_to(engines)
        self.arguments = ["--port", str(port), *arguments]
        if config is not None:
            file = self.folder / "martlet.yaml"
            file.write_text(config if isinstance(config, str) else json.dumps(config, indent=2))
            self.arguments += ["--config", str(file)]
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.runtime), "LANG": "C.UTF-8",
            "MARTLET_HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime), "MARTLET_LOG": "debug",
            "CONFORMANCE_MARK": self.mark,
        } | (environment or {})

    def start(self):
        """Starts it and waits for the ready line."""
        self.port, self.output = 0, []  # the port it listens on, the lines of its standard output
        self._log = (self.folder / "stderr").open("ab")
        self.process = subprocess.Popen(
            [*AS_A_USER, binary(), "serve", *self.arguments], env=self.environment, cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, start_new_session=True, text=True)
        threading.Thread(target=self.output.extend, args=(self.process.stdout,), daemon=True).start()
        until(lambda: self._ready() or self.process.poll() is not None, "martlet was ready", READY_WITHIN)
        assert self.port, f"martlet ended with {self.process.wait()} before it was ready:\n{self.log()}"
        return self

    def _ready(self):
        for line in list(self.output):
            if match := READY.match(line):
                self.port = int(match.group(1))
        return self.port

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return (self.folder / "stderr").read_text(errors="replace")

    def connect(self, **options):
        return Connection(self.port, **options)

    def ask(self, method, target, body=None, **headers):
        """One request on a connection of its own."""
        with self.connect() as connection:
            return connection.ask(method, target, body, **headers)

    def chat(self, body=None, timeout=60.0, **headers):
        with self.connect(timeout=timeout) as connection:
            return connection.chat(body, **headers)

    def models(self):
        """The ids that are listed right now."""
        return [entry["id"] for entry in self.ask("GET", "/v1/models").json["data"]]

    def wait_for_model(self, model):
        until(lambda: model in self.models(), f"{model} was listed")
        return self

    # What the system knows about it

    def resident(self, field="VmRSS"):
        """Its memory in bytes; `VmHWM` is the most it ever had."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status).group(1)) * 1024

    def processes(self):
        """Process ids of everything that it started, by environment, command line or session; also of grandchildren."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.pid:
                continue
            with contextlib.suppress(OSError):
                session = (entry / "stat").read_text().rpartition(")")[2].split()
                ours = (self.mark.encode() in (entry / "environ").read_bytes()
                        or str(self.folder).encode() in (entry / "cmdline").read_bytes()
                        or int(session[3]) == self.pid)
                if ours and session[0] != "Z":
                    found.append(int(entry.name))
        return found

    def sockets(self):
        """Socket files in its folders."""
        return [path for path in self.folder.rglob("*") if path.is_socket()]

    # Its end

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """Waits for the exit; the status."""
        try:
            return self.process.wait(EXIT_WITHIN)
        except subprocess.TimeoutExpired:
            return None

    def port_is_free(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def stop(self):
        """Ends it if it still runs, and lists what is wrong: a bad exit, leftovers, secrets in the log."""
        wrong = []
        try:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
                status = self.wait()
                if status is None:
                    wrong.append(f"martlet did not end within {EXIT_WITHIN} s of SIGTERM")
                    self.process.kill()
                    self.process.wait()
                elif status != 0:
                    wrong.append(f"martlet ended with status {status} after SIGTERM")
            elif self.port and self.process.returncode not in (0, -signal.SIGKILL):
                wrong.append(f"martlet had ended by itself with status {self.process.returncode}")
            wrong += self.leftovers(killed=self.process.returncode == -signal.SIGKILL)
        finally:
            self._log.close()
        log = self.log()
        wrong += [f"the log holds the secret {canary}" for canary in chat.CANARIES if canary in log]
        return wrong

    def leftovers(self, killed=False):
        """What is left of it after its exit. A process that was killed cannot remove its socket files."""
        wrong = []
        try:
            # With an exit of its own nothing outlives it; after SIGKILL the engines' guards need a moment.
            until(lambda: not self.processes(), "", within=5 if killed else 0)
        except AssertionError:
            for pid in self.processes():
                with contextlib.suppress(OSError):
                    command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                    wrong.append(f"process {pid} is left: {command}")
                    os.kill(pid, signal.SIGKILL)
        if self.sockets() and not killed:
            wrong.append(f"socket files are left: {self.sockets()}")
        if self.port and not self.port_is_free():
            wrong.append(f"port {self.port} is still open")
        return wrong

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
