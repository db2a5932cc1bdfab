"""What is typed and pasted into a talk on a terminal, and the terminal afterwards."""

import contextlib
import signal
import termios

import pytest

from support.server import binary
from support.terminal import Terminal
from support.waiting import until
from test_load_commands import Slow, environment, event, native, terminal

__all__ = ["terminal"]  # a fixture


def paste(text):
    return f"\x1b[200~{text}\x1b[201~"


@pytest.fixture
def agreeable(upstream):
    """A server that says "ok" to everything, with the questions that have come in `asked`."""
    def answer(exchange):
        server.asked.append(exchange.request.json["input"])
        exchange.stream(event("message.delta", content="ok") + event("chat.end", result={"response_id": "resp_1"}))

    server = upstream(answer)
    server.asked = []
    server.get = lambda exchange: exchange.json({"status": "ok"})
    return server


def test_a_paste_is_one_message_whatever_its_lines_and_length(agreeable, terminal):
    shown, asked = terminal(agreeable.url, "chat"), agreeable.asked
    shown.see("\x1b[?2004h").see("> ")
    long = "a" * 8997 + "END"
    shown.type(paste(long) + "\r")
    until(lambda: asked == [long], "the long line came whole")
    shown.see("[pasted: 9000 characters]").see("ok\r\n> ")
    lines = "\r".join(["Explain this:", "def f(x):", *(f"\tx += {n}" for n in range(7)), "\treturn x"])
    shown.type(paste(lines))
    shown.see("[pasted: 10 lines]")
    assert len(asked) == 1, "nothing is sent before Enter"
    shown.type(" Briefly, 日本\x7f語.\r")
    until(lambda: asked[1:] == [lines.replace("\r", "\n") + " Briefly, 日語."], "the lines came as one message")
    shown.type(paste("b" * (1 << 20) + "b"))
    shown.see("a message takes at most 1048576 bytes, and this would be 1048577")
    shown.type("\x1b[A\x1b[A\r")
    until(lambda: asked[2:] == [long], "what was sent can be sent again")


def test_what_is_typed_while_an_answer_comes_is_the_next_message(upstream, terminal):
    server = Slow(upstream, native)
    shown = terminal(server.url, "chat", "-m", "writer")
    shown.see("> ").type("one\r")
    server.go(4)
    shown.see("is loaded")
    shown.type(paste("two\nthree") + "\r")
    server.go(4)
    shown.see("Answer 1.").see("> two\r\r\n… three\r\r\n")
    server.go(6)
    shown.see("Answer 2.")
    assert server.server.requests[-1].json["input"] == "two\nthree"


@pytest.mark.parametrize("end", ["Ctrl-D", "Ctrl-C", "/exit", "SIGTERM", "SIGHUP"])
def test_however_a_talk_ends_the_terminal_is_as_it_was(agreeable, terminal, end):
    shown = terminal(agreeable.url, "chat")
    shown.see("> ")
    assert not shown.settings()[3] & termios.ICANON
    shown.type("half a line\x03" if end == "Ctrl-C" else "")
    keys = {"Ctrl-D": "\x04", "Ctrl-C": "\x03", "/exit": "/exit\r"}
    if end in keys:
        shown.type(keys[end])
        assert shown.end() == (130 if end == "Ctrl-C" else 0)
    else:
        shown.process.send_signal(getattr(signal, end))
        assert shown.end() == -getattr(signal, end)
    assert shown.settings() == shown.before
    assert shown.shown.count(b"\x1b[?2004h") == shown.shown.count(b"\x1b[?2004l") == 1


def test_a_talk_that_is_stopped_gives_the_terminal_back_and_goes_on(agreeable, tmp_path):
    with contextlib.closing(Terminal("--norc", "-i", program="/bin/bash", environment=environment(agreeable.url) | {
            "PS1": "shell% ", "HISTFILE": "", "HOME": str(tmp_path)})) as shell:
        shell.see("shell% ").type(f"{binary()} chat\n")
        shell.see("\r\n> ").type("half a")
        shell.see("> half a")
        shell.type("\x1a")
        shell.see("\x1b[?2004l").see("Stopped")
        shell.type("echo a$((1 + 1))b\n")
        shell.see("a2b").type("fg\n")
        until(lambda: shell.shown.count(b"> half a") > 1, "the line is shown again")
        shell.type(" line\r")
        until(lambda: agreeable.asked == ["half a line"], "it goes on")
        shell.see("ok\r\n> ").type("\x04")
        until(lambda: shell.shown.endswith(b"shell% "), "the shell has the terminal again")
        shell.type("exit\n")
        assert shell.end() == 0


def test_a_terminal_that_cannot_be_drawn_on_is_read_in_lines(agreeable, terminal):
    shown, asked = terminal(agreeable.url, "chat", TERM="dumb"), agreeable.asked
    shown.see("> ").type("one \\\n")
    shown.see("… ").type("two\n")
    until(lambda: asked == ["one \ntwo"], "the lines came")
    shown.type("\x04")
    assert shown.end() == 0 and b"\x1b" not in shown.shown
