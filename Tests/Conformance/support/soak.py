"""Two models that do not fit together, four clients that want both, and everything that may go wrong meanwhile.

Every request ends in one of four ways, each of which has to be accounted for: whole, refused with a sentence, broken off
with a sentence in the client's own dialect, or left by its client. Only the death of an engine, which happens by our hand
alone, may break off what has begun.
"""

import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import re
import signal
import threading
import time

from . import chat, engine
from .wire import request

# A request that has got no byte for so long is lost: signs of life come every few seconds. Seconds.
SILENCE = 60
# How long after a killing its requests may still fail of it: its models back off from loading again. Seconds.
AFTERMATH = 5
# What an engine may take beyond what it was measured to take when it was ready: requests at work. Bytes.
AT_WORK = 64 << 20
PROMPT = "the blue cat talked with the fox and the dog. "

DIALECTS = {
    "chat": "/v1/chat/completions", "completions": "/v1/completions", "anthropic": "/v1/messages",
    "responses": "/v1/responses", "native": "/api/v1/chat",
}


def body_of(dialect, model, streams, tokens, words):
    text = PROMPT * words
    match dialect:
        case "completions":
            return {"model": model, "prompt": text, "max_tokens": tokens, "stream": streams}
        case "responses":
            return {"model": model, "input": text, "max_output_tokens": tokens, "stream": streams, "store": False}
        case "native":
            return {"model": model, "input": text, "max_output_tokens": tokens, "stream": streams, "store": False}
        case _:
            return {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "stream": streams}


def has_ended(dialect, stream):
    """Whether a stream has said its dialect's last word, of success."""
    match dialect:
        case "chat" | "completions":
            return stream.endswith(b"data: [DONE]\n\n")
        case "anthropic":
            return b"event: message_stop\n" in stream
        case "responses":
            return b'"type":"response.completed"' in stream or b'"type":"response.incomplete"' in stream
        case _:
            return b"event: chat.end\n" in stream


# What is in a stream once its model has begun to answer.
BEGINNINGS = {
    "chat": (b'"content":"',), "completions": (b'"text":"',), "anthropic": (b"event: content_block_start\n",),
    "responses": (b'"type":"response.output_item.added"',),
    "native": (b"event: message.start\n", b"event: reasoning.start\n", b"event: tool_call.start\n"),
}


def has_begun(dialect, stream):
    return any(mark in stream for mark in BEGINNINGS[dialect])


def failure_of(dialect, stream):
    """The sentence with which a stream failed; None when it did not."""
    for frame in stream.decode(errors="replace").split("\n\n"):
        for line in frame.split("\n"):
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            error = event.get("error") or (event.get("response") or {}).get("error")
            if isinstance(error, dict):
                return error["message"]
    return None


@dataclasses.dataclass
class Ending:
    dialect: str
    model: str
    began: float
    ended: float
    kind: str  # whole, refused, broken, left, lost
    sentence: str = ""
    status: int = 0


class Soak:
    """A server under random use for a while. `check()` says what was wrong."""

    def __init__(self, server, models, seed, kill_every, dialects=None):
        self.server, self.models, self.kill_every = server, models, kill_every
        self.dialects = list(dialects or DIALECTS)
        self.seed = seed
        self.endings, self.kills, self.wrong, self.samples = [], [], [], []
        self.seen = set()
        self.over = threading.Event()

    def run(self, seconds, clients=4):
        self.until = time.monotonic() + seconds
        tasks = [(self._client, number) for number in range(clients)]
        tasks += [(self._operator, 100), (self._killer, 101), (self._watcher, 102)]
        threads = [threading.Thread(target=self._guarded, args=task) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 4 * SILENCE)
            if thread.is_alive():
                self.wrong.append(f"{thread.name} did not come to its end")
        return self

    def _guarded(self, work, number):
        try:
            work(random.Random(f"{self.seed}/{number}"))
        except Exception as error:  # told by check(), with all else that was wrong
            self.wrong.append(f"{work.__name__} {number}: {type(error).__name__}: {error}")

    @property
    def goes_on(self):
        return time.monotonic() < self.until

    # Clients

    def _client(self, luck):
        while self.goes_on:
            dialect, model = luck.choice(self.dialects), luck.choice(self.models)
            streams, leaves = luck.random() < 0.6, luck.random() < 0.25
            body = body_of(dialect, model, streams, luck.choice([1, 20, 200, 600]), luck.choice([1, 5, 40]))
            self.endings.append(self._ask(dialect, model, body, streams, luck.uniform(0.05, 2) if leaves else None))
            if luck.random() < 0.3:
                time.sleep(luck.uniform(0, 1))

    def _ask(self, dialect, model, body, streams, leaves_after):
        began = time.monotonic()

        def ending(kind, sentence="", status=0):
            return Ending(dialect, model, began, time.monotonic(), kind, sentence, status)

        with self.server.connect(timeout=leaves_after or SILENCE) as connection:
            connection.send(request("POST", DIALECTS[dialect], chat.dumps(body), port=self.server.port))
            got = b""
            try:
                response = connection.open_reply()
                if leaves_after and streams:
                    while time.monotonic() < began + leaves_after and (piece := response.read1(65536)):
                        got += piece
                    if not has_ended(dialect, got) and failure_of(dialect, got) is None:
                        connection.reset()
                        return ending("left")
                else:
                    while piece := response.read1(65536):
                        got += piece
            except TimeoutError:
                if leaves_after:
                    connection.reset()
                    return ending("left")
                return ending("lost", f"nothing came for {SILENCE} s after {len(got)} bytes")
            except Exception as error:
                return ending("lost", f"{type(error).__name__}: {error} after {got[-300:]!r}")
        if response.status != 200:
            error = json.loads(got)["error"]
            return ending("refused", error if isinstance(error, str) else error["message"], response.status)
        if not streams:
            json.loads(got)
            return ending("whole")
        if sentence := failure_of(dialect, got):
            # Who waits for room is told so by a stream that has begun, and then that there is none: nothing was cut off.
            if "does not fit" in sentence and not has_begun(dialect, got):
                return ending("refused", sentence, 503)
            return ending("broken", sentence)
        return ending("whole") if has_ended(dialect, got) else ending("lost", f"its stream ended with {got[-300:]!r}")

    # Those who disturb

    def _post(self, path, body):
        with self.server.connect(timeout=SILENCE) as connection:
            return connection.ask("POST", path, chat.dumps(body))

    def _operator(self, luck):
        """Loads and unloads by name, as somebody at the command line would."""
        loaded = []
        while self.goes_on:
            time.sleep(luck.uniform(0.5, 4))
            if loaded and luck.random() < 0.7:
                reply = self._post("/api/v1/models/unload", {"instance_id": loaded.pop(luck.randrange(len(loaded)))})
                # It may have gone with its engine, by the killer's hand.
                if reply.status not in (200, 404):
                    self.wrong.append(f"unload: {reply.status} {reply.body[:300]!r}")
                continue
            if loaded:
                continue  # one at most stays, or nothing else would ever fit
            reply = self._post("/api/v1/models/load", {"model": luck.choice(self.models)})
            if reply.status == 200:
                loaded.append(reply.json["instance_id"])
            elif not reply.json.get("error", {}).get("message"):
                self.wrong.append(f"load: {reply.status} {reply.body[:300]!r}")
        for instance in loaded:
            self._post("/api/v1/models/unload", {"instance_id": instance})

    def _engines(self):
        """Process ids of the engines at work, with the model of each."""
        found = {}
        for pid in self.server.processes():
            words = engine.words_of(pid)
            if "--model" in words and not words[0].endswith("sh"):
                found[pid] = pathlib.Path(words[words.index("--model") + 1]).stem
        return found

    def _killer(self, luck):
        while self.goes_on:
            if self._sleep(self.kill_every):
                return
            engines = self._engines()
            if engines:
                pid = luck.choice(sorted(engines))
                self.kills.append((time.monotonic(), engines[pid]))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _sleep(self, seconds):
        """Whether the end came meanwhile."""
        time.sleep(max(0, min(seconds, self.until - time.monotonic())))
        return not self.goes_on

    def _watcher(self, _):
        """What the engines take, by the server's account and by the system's, and that there is one at a time."""
        before = {}
        while self.goes_on:
            time.sleep(0.25)
            reply = self.server.ask("GET", "/admin/v1/residents")
            if reply.status != 200:
                self.wrong.append(f"residents: {reply.status}")
                continue
            # What waits for room says what it needs, and has nothing yet.
            told = sum(one.get("bytes") or 0 for one in reply.json["residents"] if one["state"] != "waiting")
            real = 0
            engines = self._engines()
            # One that ends while its successor begins may be seen beside it once.
            if len(both := engines.keys() & before.keys()) > 1:
                self.wrong.append(f"engines side by side: {[engines[pid] for pid in both]}")
            before = engines
            self.seen |= engines.keys()
            for pid in engines:
                with contextlib.suppress(OSError):
                    real += int((pathlib.Path(f"/proc/{pid}/statm").read_text()).split()[1]) * os.sysconf("SC_PAGESIZE")
            self.samples.append((told, real))

    # The verdict

    def check(self, budget):
        """What was wrong, in sentences."""
        wrong = list(self.wrong)
        for one in self.endings:
            if one.kind == "lost":
                wrong.append(f"{one.dialect} request for {one.model} was lost: {one.sentence}")
            elif one.kind in ("broken", "refused") and not one.sentence:
                wrong.append(f"{one.dialect} request for {one.model}: {one.kind} without a word ({one.status})")
            elif one.kind == "broken" and not self._died_meanwhile(one, 0):
                wrong.append(f"{one.dialect} request for {one.model} was cut off, and nobody killed its engine: {one.sentence}")
            elif one.kind == "refused" and one.status not in (429, 503) and not self._died_meanwhile(one, AFTERMATH):
                wrong.append(f"{one.dialect} request for {one.model}: {one.status} {one.sentence}")
            elif one.kind == "refused" and "before its reply was complete" in one.sentence and not self._died_meanwhile(one, 0):
                wrong.append(f"{one.dialect} request for {one.model} was cut off, and nobody killed its engine: {one.sentence}")
        answered = [one for one in self.endings if one.kind == "whole"]
        wrong += [f"no {name} request was answered" for name in {*self.dialects} - {one.dialect for one in answered}]
        wrong += [f"{name} never answered" for name in {*self.models} - {one.model for one in answered}]
        if len(self.seen) <= len(self.kills) + len(self.models):
            wrong.append(f"{len(self.seen)} engines for {len(self.kills)} killings: none made room for another")
        if (most := max((told for told, _ in self.samples), default=0)) > budget:
            wrong.append(f"engines were given {most} bytes of {budget}")
        if (most := max((real for _, real in self.samples), default=0)) > budget + AT_WORK:
            wrong.append(f"engines took {most} bytes of {budget}")
        return wrong

    def _died_meanwhile(self, ending, aftermath):
        return any(model == ending.model and ending.began - aftermath <= when <= ending.ended for when, model in self.kills)

    def refusals(self):
        """The sentences of refusals and breaks, each once, with how often it was said."""
        said = collections.Counter(
            f"{one.kind} {one.status} {re.sub(r'[0-9.]+', 'N', one.sentence)}" for one in self.endings if one.sentence)
        return [f"{times} × {sentence}" for sentence, times in said.most_common()]

    def tally(self):
        kinds = [one.kind for one in self.endings]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("whole", "left", "refused", "broken", "lost"))
        by = ", ".join(f"{dialect} {sum(one.dialect == dialect for one in self.endings)}" for dialect in self.dialects)
        told, real = (max((sample[place] for sample in self.samples), default=0) >> 20 for place in (0, 1))
        return f"seed {self.seed}: {counts} ({by}); {len(self.kills)} of {len(self.seen)} engines killed; at most {told} MiB by account, {real} MiB by the system"
