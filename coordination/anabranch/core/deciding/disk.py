"""A budget of the disk: nothing new starts while what is kept of the project takes more.

What runs is never touched for it. Where nobody is at work any more nothing starts either: the room
is given back by a person, who is told how.
"""

from __future__ import annotations

from collections.abc import Mapping

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.wording import disk_size

MATERIAL_SHARE = 20
"""What is told of a budget that is used up is told anew when a twentieth of it has moved."""
MOST_KINDS = 3


def seen(draft: Draft, fact: inputs.DiskSeen) -> None:
    """Record that the budget is used up, or that it no longer is."""
    most, table = draft.state.plan.max_disk_bytes, draft.state.resources
    if most is None or draft.state.has_ended:
        return
    short = shortage(fact.used_bytes, fact.by_kind, most, fact.own_bytes)
    moved = abs(fact.used_bytes - table.disk_bytes)
    is_news = short and moved * MATERIAL_SHARE >= most
    if bool(short) != bool(table.disk_shortage) or is_news:
        draft.emit(ev.DiskUseChanged(used_bytes=fact.used_bytes, shortage=short))


def shortage(used: int, by_kind: Mapping[str, int], most: int, own: int = 0) -> str:
    """Return why nothing may start with so many bytes kept of a project; empty if it may.

    What is the run's ``own`` is given back only when it is over, and the way out is said to be that
    if nothing else could be given back that would do.
    """
    if used <= most:
        return ""
    largest = sorted(by_kind.items(), key=lambda kind: (-kind[1], kind[0]))[:MOST_KINDS]
    parts = ", ".join(f"{disk_size(count)} of {name}" for name, count in largest if count)
    what = f" ({parts})" if parts else ""
    if own > most:
        way_out = f"{disk_size(own)} are this run's own: anabranch stop, then anabranch gc"
    else:
        way_out = "anabranch gc gives room back"
    return f"{disk_size(used)} of {disk_size(most)} of disk are used up{what}; {way_out}"
