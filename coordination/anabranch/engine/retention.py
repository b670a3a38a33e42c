"""Which of a project's runs are old enough to go: by how long they are over, and how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

ENDINGS = ("converged", "failed", "stopped")


class Kept(msgspec.Struct, frozen=True):
    """A run that is kept: its public state, and for how many seconds it is over (None: it is not).

    ``is_hosted`` is true while a process has it open, over or not.
    """

    run: str
    state: str
    is_hosted: bool
    over_seconds: float | None


def chosen(runs: Iterable[Kept], older_than: float, states: Sequence[str] = ()) -> list[str]:
    """Return the runs that are over for at least so many seconds and ended in one of the states.

    No states mean all in which a run is over. Whoever goes on, waits, or is hosted is never chosen.
    """
    wanted = set(states or ENDINGS) & set(ENDINGS)
    return [
        one.run
        for one in runs
        if one.state in wanted
        and not one.is_hosted
        and one.over_seconds is not None
        and one.over_seconds >= older_than
    ]
