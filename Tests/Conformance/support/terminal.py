"""A command in a pseudo-terminal, as a person runs it: what is typed goes in, what is shown is kept."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading

from .server import binary
from .waiting import until


class Terminal:
    """`Terminal("chat", …)`: the running command. Standard input, output and errors are the terminal."""

    def __init__(self, *words, program=None, environment=None, columns=80):
        self.shown = b""
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.before = self.settings()

        def take():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C is a signal

        self.process = subprocess.Popen(
            [program or binary(), *words], stdin=side, stdout=side, stderr=side, env=environment, preexec_fn=take)
        os.close(side)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # that is how the end of a terminal looks
            while piece := os.read(self._main, 4096):
                self.shown += piece

    def type(self, text):
        os.write(self._main, text.encode())

    def settings(self):
        """What the terminal is set to, as `termios` has it."""
        return termios.tcgetattr(self._main)

    def see(self, text, within=15.0):
        """Waits until the text is shown."""
        until(lambda: text.encode() in self.shown, f"{text!r} was shown, beside {self.shown!r}", within)
        return self

    def end(self, within=15.0):
        """Waits for the command's end; its status."""
        status = self.process.wait(within)
        self._reader.join(5)
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._main)
