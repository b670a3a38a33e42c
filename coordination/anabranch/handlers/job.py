"""What the program that runs handlers is told to do, as the engine writes it down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from .placeholders import Command
from .rate import Rate, last_begun

if TYPE_CHECKING:
    from .apart import Workspaces


class Job(NamedTuple):
    """What to do: the items, the command, how many at a time, and when to give up.

    ``trusts_book``: the workspace has what earlier attempts did, which need not be done again.
    ``silent_seconds``: how long a handler may do nothing; ``hang_tries``: how often one that hung
    is tried again within the attempt; ``inputs``: the files that a handler works on, with
    placeholders. ``workspaces``: how to start the program that gives every handler a workspace of
    its own (`Workspaces`). ``only``: the places of the handlers that a person has asked for, each
    with what tells that asking from every other; None for all that are not done.
    ``known_seconds``: a file that tells how long items took in earlier runs.
    ``rate``: so many are started in any window of so many seconds.
    """

    source: dict[str, Any]
    command: Command | None
    folder: str
    attempt: int
    width: int
    timeout_seconds: float | None = None
    most_failures: int | None = None
    most_failed_share: float | None = None
    success_exit_codes: tuple[int, ...] = (0,)
    trusts_book: bool = False
    silent_seconds: float | None = None
    hang_tries: int = 0
    inputs: tuple[str, ...] = ()
    workspaces: dict[str, Any] | None = None
    only: tuple[tuple[int, int], ...] | None = None
    known_seconds: str | None = None
    rate: tuple[int, float] | None = None


def rate_of(job: Job, path: str) -> Rate:
    """Return the rate of a job; what its book tells was started before counts."""
    if job.rate is None:
        return Rate(None, 0.0)
    most, per_seconds = job.rate
    return Rate(most, per_seconds, last_begun(path, most, time.time(), time.monotonic()))


def workspaces_of(job: Job) -> Workspaces | None:
    """Start the program that keeps handlers' workspaces, if each has one. Raises OSError."""
    if job.workspaces is None:
        return None
    from .apart import Workspaces  # what starts programs in general is slow to import

    return Workspaces(**job.workspaces)
