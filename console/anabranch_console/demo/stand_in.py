"""Who decides in the demonstration when nobody else does: nothing waits for a person for ever.

What waits for whoever looks on is left to them for a while. Then the obvious is done, and said.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping

import msgspec

from anabranch.core.events import Conflict
from anabranch.core.ids import StreamId
from anabranch.core.inputs import AdoptStream, Command, ResolveConflict, TakeWork
from anabranch.core.model.messages import OPERATOR
from anabranch.core.model.state import State
from anabranch.core.views.adoption import adoptable
from anabranch.core.views.conflicts import open_conflicts
from anabranch.core.views.reviews import waiting_for_review
from anabranch.engine.host import RunHost
from anabranch.errors import AnabranchError
from anabranch.paths import RunFolder
from anabranch_console.demo import Show
from anabranch_console.operator_calls import acknowledge, send

GUIDE = StreamId("guide")
LOOK_SECONDS = 0.5

_log = logging.getLogger(__name__)


class Undecided(msgspec.Struct, frozen=True):
    """Something that waits for a person.

    ``commands`` decide it, or a resolver does for a ``conflict``; ``words`` say what was done,
    empty where nothing needs to be said.
    """

    commands: tuple[Command, ...] = ()
    conflict: Conflict | None = None
    words: str = ""


def undecided_in(state: State) -> dict[str, Undecided]:
    """Return what waits for a person, and what would be done instead, each under a name."""
    found: dict[str, Undecided] = {}
    for stream in waiting_for_review(state):
        result = state.streams[stream].result
        if result is not None:
            taken = TakeWork(stream=stream, commit=result.commit, reason="nobody looked at it")
            words = f"nobody reviewed {stream}, so it was taken"
            found[f"review of {stream}, {result.commit}"] = Undecided((taken,), words=words)
    candidates = adoptable(state)
    if candidates:
        chosen = min(candidates, key=lambda s: (state.streams[s].files_changed or 0, s))
        adopted = AdoptStream(stream=chosen, reason="nobody chose")
        found[f"race of {candidates[0]}"] = Undecided(
            (adopted,), words=f"nobody chose one of the race, so {chosen} was adopted"
        )
    for _, conflict in open_conflicts(state):
        paths = ", ".join(path.path for path in conflict.paths)
        words = f"nobody settled the conflict in {paths}, so the demo's own command did"
        found[f"conflict in {paths}"] = Undecided(conflict=conflict, words=words)
    for number in state.messages.inbox(OPERATOR).open:
        found[f"message {number}"] = Undecided((acknowledge(number),))
    return found


class StandIn:
    """Decides what a person has left undecided for a while.

    Args:
        host: the run.
        resolver: the command that settles conflicts.
        environment: what that command finds besides.
        show: whether somebody looks on, and for how long things are left to them.
    """

    def __init__(
        self,
        host: RunHost,
        resolver: str,
        environment: Mapping[str, str],
        show: Show,
    ) -> None:
        self._host, self._resolver, self._show = host, resolver, show
        self._environment = dict(environment)
        self._since: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-stand-in", daemon=True)

    def __enter__(self) -> StandIn:
        if self._show.is_watched:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._show.is_watched:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self.look(self._host.now())
            except (AnabranchError, OSError):
                _log.exception("the stand-in could not decide")

    def look(self, now: float) -> None:
        """Do what is due; ``now`` in run seconds."""
        waiting = undecided_in(self._host.state)
        self._since = {name: self._since.get(name, now) for name in waiting}
        for name in due(self._since, now, self._show.patience_seconds):
            self._since[name] = now  # if it is refused, it is tried again later
            self._decide(waiting[name])

    def _decide(self, wanted: Undecided) -> None:
        commands = wanted.commands
        if wanted.conflict is not None:
            commands = self._settle(wanted.conflict)
        refusals = [self._host.submit(command).result() for command in commands]
        if commands and wanted.words and not any(refusals):
            self._host.submit(send(GUIDE, wanted.words)).result()

    def _settle(self, conflict: Conflict) -> tuple[Command, ...]:
        from anabranch.engine import settling  # here: it brings what nothing else needs

        state = self._host.state
        repo, home = settling.repository_of(state), RunFolder(self._host.folder)
        env = {**self._environment, "ANABRANCH_RUN": state.run}
        work = settling.settled_by_command(repo, home, conflict, self._resolver, env)
        settled, _ = asyncio.run(work)
        return (ResolveConflict(resolutions=tuple(settled), reason="nobody decided"),) * bool(
            settled
        )


def due(since: Mapping[str, float], now: float, patience_seconds: float) -> list[str]:
    """Return what has waited for so long that it is decided without a person."""
    return [name for name, began in since.items() if now - began >= patience_seconds]
