"""Speaking to the program that gives every handler a workspace of its own.

It is started here and spoken to in lines of JSON (:mod:`anabranch.engine.handler_workspaces` says
how). Nothing waits for an answer but the beginning and the end. When it is killed it is started
again, told which workspaces are in use, and asked once more what it had not answered.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Answer = dict[str, Any]
Then = Callable[[Answer], None]

MOST_DEATHS = 3
"""How often in a row it may end without having answered anything."""

_GONE = "the program that keeps handlers' workspaces has ended"


class Workspaces:
    """The workspaces of handlers, kept by another program."""

    def __init__(self, argv: list[str], env: Mapping[str, str | None]) -> None:
        """Start it.

        Args:
            argv: its command line.
            env: what is otherwise in its environment than in ours; None: it is not there.

        Raises OSError.
        """
        both = {**os.environ, **env}
        self._argv = argv
        self._env = {key: value for key, value in both.items() if value is not None}
        self._asked: dict[int, tuple[Answer, Then]] = {}
        self._in_use: set[tuple[int, int]] = set()
        self._numbers = 0
        self._deaths = 0
        self._is_broken = False
        self._half_line = b""
        self._start()

    @property
    def answers(self) -> list[int]:
        """What becomes readable when there are answers to `hear`; nothing if none will come."""
        return [] if self._is_broken else [self._output]

    @property
    def pid(self) -> int:
        """The process that is spoken to now."""
        return self._process.pid

    @property
    def is_gone(self) -> bool:
        """Whether it was given up: nothing can be read any more, and all that is asked fails."""
        return self._is_broken

    def open(self, doubts: Iterable[tuple[int, int]]) -> tuple[set[tuple[int, int]], list[str]]:
        """Have what a killed program has left put away; wait for it.

        Args:
            doubts: handlers of which nobody knows how they ended, by place and attempt.

        Returns those of them whose work is merged, and what there is to say.
        """
        answer = self._wait_for("open", keep=[], doubts=list(doubts))
        if "fault" in answer:
            raise OSError(answer["fault"])
        return {(place, attempt) for place, attempt in answer["merged"]}, answer["said"]

    def make(self, place: int, then: Then) -> None:
        """Have a workspace made; ``then`` hears its ``number``, ``path``, ``cwd``, or a fault."""

        def made(answer: Answer) -> None:
            if "number" in answer:
                self._in_use.add((place, answer["number"]))
            then(answer)

        self._ask({"do": "make", "place": place}, made)

    def take(self, place: int, number: int, then: Then) -> None:
        """Have the work of a handler merged; a ``fault`` says why it is not."""
        self._end("take", place, number, then)

    def drop(self, place: int, number: int, then: Then) -> None:
        """Have a workspace put away without merging; the answer names the ref in ``kept``."""
        self._end("drop", place, number, then)

    def close(self) -> list[str]:
        """Wait until all is merged and written; return what there is to say."""
        answer = self._wait_for("close")
        if not self._is_broken:
            self._requests_end()
            self._process.wait()
            self._is_broken = True
        said: list[str] = answer.get("said", [])
        return [answer["fault"]] if "fault" in answer else said

    def hear(self) -> None:
        """Take the answers that are there."""
        data = b"" if self._is_broken else os.read(self._output, 65536)
        if not data:
            self._start_again()
            return
        *lines, self._half_line = (self._half_line + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self._deaths = 0
            _, then = self._asked.pop(answer["id"], ({}, None))
            if then is not None:
                then(answer)

    def _end(self, what: str, place: int, number: int, then: Then) -> None:
        def ended(answer: Answer) -> None:
            self._in_use.discard((place, number))
            then(answer)

        self._ask({"do": what, "place": place, "number": number}, ended)

    def _wait_for(self, what: str, **more: Any) -> Answer:
        answers: list[Answer] = []
        self._ask({"do": what, **more}, answers.append)
        while not answers:
            self.hear()
        return answers[0]

    def _ask(self, request: Answer, then: Then) -> None:
        self._numbers += 1
        request["id"] = self._numbers
        self._asked[self._numbers] = (request, then)
        if self._is_broken:
            self._give_up()
        else:
            self._send(request)

    def _send(self, request: Answer) -> None:
        try:
            os.write(self._requests, json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            return  # its end is heard of where answers are read, and then this is asked again
        except BlockingIOError:
            raise AssertionError("requests are sent by a pipe that may be waited for") from None

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=1, env=self._env
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = self._process.stdin.fileno()
        self._output = self._process.stdout.fileno()
        self._half_line = b""

    def _start_again(self) -> None:
        """Go on with another process: what was asked for and not answered is asked again."""
        if self._is_broken:
            self._give_up()
            return
        self._requests_end()
        self._process.wait()
        self._deaths += 1
        if self._deaths >= MOST_DEATHS:
            self._is_broken = True
            self._give_up()
            return
        unanswered = [request for request, _ in self._asked.values()]
        self._start()
        if not any(request["do"] == "open" for request in unanswered):
            self._send({"id": 0, "do": "open", "keep": sorted(self._in_use), "doubts": []})
        for request in unanswered:
            self._send(request)

    def _give_up(self) -> None:
        while self._asked:
            _, then = self._asked.pop(next(iter(self._asked)))
            then({"fault": _GONE, "kept": ""})

    def _requests_end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue
