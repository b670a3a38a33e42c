"""Which run a command means where none is named: one rule for all of them.

It is the run that goes on, hosted or not, before a newer one that is over. What only some runs wait
for (an answer, a decision, an approval) is meant where it is waited for, and what is about a stream
where that stream is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from anabranch.core.ids import StreamId
from anabranch.core.model.state import RunPhase, State
from anabranch.core.views.adoption import adoptable, races
from anabranch.core.views.conflicts import open_conflicts
from anabranch.core.views.questions import open_questions
from anabranch.core.views.reviews import waiting_for_review
from anabranch.engine.runs import (
    FoundRun,
    find_run,
    latest_run,
    read_run,
    run_folders,
    run_that_goes_on,
)
from anabranch.paths import RunFolder
from anabranch_console.cli.main import here

MOST_LOOKED_AT = 10

Wanted = Callable[[FoundRun, State, StreamId | None], object]


def _goes_on(found: FoundRun, state: State, stream: StreamId | None) -> object:
    return not state.has_ended


def _has_it(found: FoundRun, state: State, stream: StreamId | None) -> object:
    """What is about a stream means a run that has it; a run as it is, where no stream is named."""
    known = stream in state.streams or stream in state.registry.joined
    return known or (stream is None and not state.has_ended)


def _asks(found: FoundRun, state: State, stream: StreamId | None) -> object:
    return stream is not None and open_questions(state.questions, stream)


def _waits_for_review(found: FoundRun, state: State, stream: StreamId | None) -> object:
    waiting = waiting_for_review(state)
    return waiting if stream is None else stream in waiting


def _adopts(found: FoundRun, state: State, stream: StreamId | None) -> object:
    return stream in adoptable(state)


def _races(found: FoundRun, state: State, stream: StreamId | None) -> object:
    return races(state)


def _is_in_conflict(found: FoundRun, state: State, stream: StreamId | None) -> object:
    return open_conflicts(state)


def _can_be_taken_back(found: FoundRun, state: State, stream: StreamId | None) -> object:
    """Something was decided; the newest such run, also if its result was approved since."""
    return state.decisions


def _is_or_would_be_in_conflict(found: FoundRun, state: State, stream: StreamId | None) -> object:
    return open_conflicts(state) or state.foreseen


def _has_converged(found: FoundRun, state: State, stream: StreamId | None) -> object:
    """The newest result, also one that was approved: an older one is not what anybody means."""
    return state.phase is RunPhase.CONVERGED


def _can_be_hosted(found: FoundRun, state: State, stream: StreamId | None) -> object:
    return not found.is_hosted and not state.has_ended


MEANT: Mapping[str, Wanted] = {
    **dict.fromkeys(
        ("attention", "breakers", "choose", "close", "convergence", "env", "events", "locks"),
        _goes_on,
    ),
    **dict.fromkeys(("messages", "plan", "report", "state", "status", "stop", "streams"), _goes_on),
    **dict.fromkeys(("allow", "attach", "diff", "enter", "logs", "recover", "send"), _has_it),
    "adopt": _adopts,
    "answer": _asks,
    "approve": _has_converged,
    "conflicts": _is_or_would_be_in_conflict,
    "race": _races,
    "resolve": _is_in_conflict,
    "resolve --undo": _can_be_taken_back,
    "resume": _can_be_hosted,
    "review": _waits_for_review,
}
"""What a command wants of a run. None has it: the one that goes on is meant, or the latest."""

OF_STREAMS = frozenset({"adopt", "allow", "answer", "attach", "diff", "enter", "logs"}) | {
    "recover",
    "review",
    "send",
}
"""Commands whose first word is a stream."""

BY_OPTION = frozenset({"allow", "answer", "choose", "logs", "race", "recover", "resolve"}) | {
    "review",
    "send",
}
"""Commands that take a run by ``--run``; all others take it as their last word."""


class RunsHere:
    """The runs of this project, each read once, in the order in which a command may mean them."""

    def __init__(self) -> None:
        self._goes_on: RunFolder | None = None
        self._homes: list[RunFolder] | None = None
        self._read: dict[RunFolder, FoundRun] = {}

    def meant(self, command: str, stream: str | None = None) -> RunFolder:
        """Return the run that a command means where none is named.

        Args:
            command: its name, as in the table above.
            stream: the one that it is about, if it is about one.

        Raises UsageError if there are no runs.
        """
        wanted = MEANT[command]
        name = None if stream is None else StreamId(stream)
        for found, state in self._in_order():
            if wanted(found, state, name):
                return found.folder
        return self._goes_on or latest_run(here())

    def _in_order(self) -> Iterator[tuple[FoundRun, State]]:
        if self._homes is None:
            self._goes_on = run_that_goes_on(here())
            first = [] if self._goes_on is None else [self._goes_on]
            newest = islice(run_folders(here()), MOST_LOOKED_AT)
            self._homes = list(dict.fromkeys((*first, *newest)))
        for home in self._homes:
            if home not in self._read:
                self._read[home] = read_run(home)
            if (state := self._read[home].state) is not None:
                yield self._read[home], state

    def named_in(self, text: str, run: str) -> str:
        """Return what is to be typed with a run named, where it would mean another without it."""

        def named(found: re.Match[str]) -> str:
            head, verb, rest = found["head"], found["verb"], found["word"] or ""
            stream = rest.strip() if verb in OF_STREAMS else ""
            if verb not in MEANT or rest.strip() == run:
                return found[0]
            meant = f"{verb} --undo" if "--undo" in text else verb
            if self.meant(meant, stream or None).run == run:
                return found[0]
            if verb in BY_OPTION:
                return f"{head}{verb} --run {run}{rest}"
            return f"{head}{verb}{rest} {run}" if stream else f"{head}{verb} {run}{rest}"

        return text if "--run" in text else _COMMAND.sub(named, text)


_COMMAND = re.compile(r"(?P<head>\banabranch )(?P<verb>[a-z]+)(?P<word> [^\s`;,:)]+)?")


def run_meant(command: str, run: str | None, stream: str | None = None) -> RunFolder:
    """Return the run that is named, or the one that a command means. Raises UsageError."""
    return RunsHere().meant(command, stream) if run is None else find_run(here(), run)


def with_run_named(text: str, run: str) -> str:
    """Return what is to be typed with a run named, where it would mean another without it."""
    return RunsHere().named_in(text, run) if "anabranch " in text else text
