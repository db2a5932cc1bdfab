"""Starts and stops what a benchmark needs. Nothing outlives the `Bench` that started it."""

import ctypes
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
COMPILER_FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
READY_SECONDS = 20
STOP_SECONDS = 5
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Failure(Exception):
    """The benchmark cannot go on; the text tells the user why and what to do."""


def end_with_parent():
    """Runs in a started process: it is to end when this program is killed without a chance to clean up."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_nginx(given):
    """The path of nginx; distributions put it where a user's PATH does not look."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"
    found = shutil.which(given or "nginx", path=search)
    if found:
        return found
    raise Failure(
        "nginx was not found. Install it:\n"
        "    apt-get install -y --no-install-recommends nginx\n"
        "or give its path with --nginx PATH."
    )


class Service:
    """A started process, its address, and how long it took to be ready."""

    def __init__(self, name, process, url, ready_ms):
        self.name = name
        self.process = process
        self.url = url
        self.ready_ms = ready_ms

    @property
    def pid(self):
        return self.process.pid

    def request(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None


class Bench:
    """Owns the scratch folder, the compiled programs and every process. Use it with `with`."""

    def __init__(self, nginx, martlet, martlet_arguments):
        self.nginx = nginx
        self.martlet = martlet
        self.martlet_arguments = martlet_arguments
        self.processes = []
        self.ready_ms = {}
        self.mock = None

    def __enter__(self):
        self.scratch = Path(tempfile.mkdtemp(prefix="martlet-bench-"))
        return self

    def __exit__(self, *_):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for process in reversed(list(self.processes)):
            self.stop_process(process)
        shutil.rmtree(self.scratch, ignore_errors=True)

    # ---- Processes ----

    def spawn(self, command, **options):
        """Starts a command in a session of its own, so that Ctrl-C reaches only this program."""
        process = subprocess.Popen(command, start_new_session=True, preexec_fn=end_with_parent, **options)
        self.processes.append(process)
        return process

    def stop_process(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                # Its own session, thus its own group: workers go with it.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.remove(process)

    def stop(self, service):
        self.stop_process(service.process)

    def log_tail(self, log):
        text = log.read_text(errors="replace").strip() if log.exists() else ""
        return "\n".join(text.splitlines()[-15:]) or "(it wrote nothing)"

    # ---- What is measured ----

    def compile(self):
        compiler = os.environ.get("CC", "cc")
        for program in ("mock_upstream", "loadgen"):
            command = [compiler, *COMPILER_FLAGS, "-o", self.scratch / program, FOLDER / f"{program}.c"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            except FileNotFoundError:
                raise Failure(f"no C compiler named {compiler}; install one, or name it with CC=...") from None
            if done.returncode != 0:
                raise Failure(f"{program}.c does not compile:\n{done.stderr}")

    def start_mock(self):
        self.mock = self.start_by_ready_line("mock", [self.scratch / "mock_upstream"], os.environ)
        return self.mock

    def start_nginx(self, workers):
        """nginx in front of the mock, with this many workers."""
        folder = Path(tempfile.mkdtemp(prefix="nginx-", dir=self.scratch))
        port = free_port()
        values = {
            "PORT": port,
            "UPSTREAM_PORT": self.mock.url.rsplit(":", 1)[1],
            "WORKERS": workers,
            "SCRATCH": folder,
            "USER": "user root;" if os.geteuid() == 0 else "",
        }
        text = (FOLDER / "nginx.conf.in").read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        configuration = folder / "nginx.conf"
        configuration.write_text(text)
        log = folder / "stderr.log"
        command = [self.nginx, "-p", folder, "-e", log, "-c", configuration]
        started = time.monotonic()
        with log.open("w") as output:
            process = self.spawn(command, stdout=output, stderr=output)
        service = Service("nginx", process, f"http://127.0.0.1:{port}", 0)
        while service.request("/health") != 200:
            if process.poll() is not None or time.monotonic() - started > READY_SECONDS:
                raise Failure(f"nginx did not start:\n{self.log_tail(log)}")
            time.sleep(0.01)
        service.ready_ms = (time.monotonic() - started) * 1000
        return service

    def start_martlet(self, name, upstream, loops):
        """Martlet in front of the mock, with a home of its own and none of the caller's settings."""
        home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))
        command = [self.martlet, "serve", "--port", "0", "--loops", str(loops), *self.martlet_arguments]
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "MARTLET_HOME": str(home)}
        for key, value in {"url": self.mock.url, **upstream}.items():
            environment[f"MARTLET_UPSTREAMS_MOCK_{key.upper()}"] = value
        for inherited in ("LD_LIBRARY_PATH", "TMPDIR"):
            if inherited in os.environ:
                environment[inherited] = os.environ[inherited]
        service = self.start_by_ready_line("martlet", command, environment)
        self.ready_ms.setdefault(name, []).append(service.ready_ms)
        return service

    def start_by_ready_line(self, name, command, environment):
        """Starts a program that prints "NAME ready on URL" once it can answer."""
        log = self.scratch / f"{name}-{len(self.processes)}.log"
        started = time.monotonic()
        with log.open("w") as errors:
            process = self.spawn(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        lines = queue.Queue()
        threading.Thread(target=forward_lines, args=(process.stdout, lines), daemon=True).start()
        prefix = f"{name} ready on "
        while True:
            try:
                line = lines.get(timeout=max(0, started + READY_SECONDS - time.monotonic()))
            except queue.Empty:
                raise Failure(f"{name} was not ready in {READY_SECONDS} s:\n{self.log_tail(log)}") from None
            if line is None:
                raise Failure(f"{name} ended before it was ready:\n{self.log_tail(log)}")
            if line.startswith(prefix):
                ready_ms = (time.monotonic() - started) * 1000
                return Service(name, process, line[len(prefix) :].strip().rstrip("/"), ready_ms)

    # ---- Measuring ----

    def load(self, target, flags, seconds_limit):
        """Runs the load generator against a target; its one JSON line."""
        command = [self.scratch / "loadgen", "-u", target.url + target.path, "-P", str(target.pid)]
        command += ["-m", target.model, "-l", target.name, "-H", "Authorization: Bearer sk-benchmark", *flags]
        process = self.spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            output, errors = process.communicate(timeout=seconds_limit)
        except subprocess.TimeoutExpired:
            raise Failure(f"{target.name}: the load generator did not end in {seconds_limit} s") from None
        finally:
            self.stop_process(process)
        if process.returncode != 0:
            raise Failure(f"{target.name}: the load generator failed: {errors.strip()}")
        return json.loads(output), errors.strip()


def forward_lines(stream, lines):
    """Keeps a program's output flowing for as long as it runs; None tells that it ended."""
    for line in stream:
        lines.put(line)
    lines.put(None)
