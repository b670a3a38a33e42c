"""What the seconds of a stream were spent on."""

from __future__ import annotations

import msgspec


class Spent(msgspec.Struct, frozen=True, gc=False):
    """Seconds of a stream's life, by what they were spent on, over all attempts.

    ``setting_up`` is what its plan's setup took: the project's own work, as ``working`` is.
    ``on_processors`` is what its processes used of the processors while it was working.
    """

    preparing: float = 0.0
    starting: float = 0.0
    setting_up: float = 0.0
    working: float = 0.0
    capturing: float = 0.0
    on_processors: float = 0.0


class Worked(msgspec.Struct, frozen=True, gc=False):
    """What the newest attempt's processes took: the rest of ``seconds`` but ``waited`` was work.

    ``waited`` are the seconds in which they waited for others (a lock, a resource, those to come
    to a point, room on the disk), ``width`` is how many streams were active at a time meanwhile, in
    the mean. What the machine could not tell is None.
    """

    seconds: float = 0.0
    waited: float = 0.0
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    width: float = 1.0
