"""Checkpoints: versions of a running stream's workspace that can be restored.

A stream asks for one, the workspace is captured beside its work, and the stream is told the commit.
Nothing of the workspace is touched, and the stream need not stand still: whoever wants a consistent
version asks at a moment of its own choosing and waits for the answer.
"""

from __future__ import annotations

import msgspec

from anabranch.core.ids import Attempt, Seq


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """A checkpoint that is being taken, of the shared state too: of its newest version then."""

    number: int
    attempt: Attempt
    label: str
    request: str
    cause: Seq
    state_version: int | None = None


class Taken(msgspec.Struct, frozen=True, gc=False):
    """A checkpoint that a ref keeps; ``start_tree`` is what the engine had put there by then.

    ``state_version`` is the shared state that goes with it; older journals do not say.
    """

    number: int
    attempt: Attempt
    label: str
    at: float
    commit: str
    tree: str
    ref: str
    files_changed: int
    start_tree: str = ""
    state_version: int | None = None


class StreamCheckpoints(msgspec.Struct, frozen=True, gc=False):
    """The checkpoints of one stream; ``last`` is the newest number that was given."""

    last: int = 0
    wanted: tuple[Wanted, ...] = ()
    taken: tuple[Taken, ...] = ()


NONE = StreamCheckpoints()
