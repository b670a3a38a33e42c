"""Locks in words: a row for each, and the tree of who waits for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from anabranch.core import wording
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.locks import (
    CONTENTION_SECONDS,
    Ask,
    Contention,
    Deadlock,
    Entry,
    Grant,
    Violation,
    shown,
)
from anabranch.core.model.state import State
from anabranch.core.views.locks import Across, waits_across
from anabranch.core.views.waiting import called_waits, in_words
from anabranch_console.glyphs import UNICODE, Glyphs
from anabranch_console.lines import Line, Span, cut_left, wrap
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.wording import safe, wall_clock

SPARK_CELLS = 10
MOST_LINES_A_TREE = 100
DEEPEST = 6


@dataclass(slots=True)
class LockLook:
    """What locks are shown with: the state, the run clock, and the waits that are over, by path.

    ``across`` are the waits that reach from one path to another.
    """

    state: State
    now: float
    glyphs: Glyphs = UNICODE
    over: Mapping[str, Sequence[Contention]] = field(default_factory=dict)
    across: Across = field(default_factory=Across)

    def __post_init__(self) -> None:
        if self.across == Across():
            self.across = waits_across(self.state.locks)

    def leases(self, entry: Entry) -> list[Grant]:
        """Return who keeps a path's queue waiting: its own holders, and those of what overlaps."""
        return [*entry.grants, *self.across.over.get(entry.path, ())]

    def queue(self, entry: Entry) -> list[Ask]:
        """Return who waits for a path's holders: its own queue, and those for what overlaps."""
        return [*entry.asks, *self.across.behind.get(entry.path, ())]


def by_path(contentions: Sequence[Contention]) -> dict[str, list[Contention]]:
    """Return the waits that are over, by the path they were for."""
    found: dict[str, list[Contention]] = {}
    for contention in contentions:
        found.setdefault(contention.path, []).append(contention)
    return found


def lock_rows(look: LockLook) -> list[Entry]:
    """Return the locks: first what has been waited for longest, then by path."""

    def order(entry: Entry) -> tuple[bool, float, str]:
        queue = look.queue(entry)
        return (not queue, min((a.since for a in queue), default=0.0), entry.path)

    return sorted(look.state.locks.entries.values(), key=order)


def lock_text(entry: Entry) -> str:
    """Return what a filter of locks looks at."""
    streams = [*(g.stream for g in entry.grants), *(a.stream for a in entry.asks)]
    return f"{entry.path} {mode_of(entry)} {' '.join(shown(s) for s in streams)}"


def mode_of(entry: Entry) -> str:
    """Return how a lock is held, or wanted if nobody holds it."""
    modes = [g.mode for g in entry.grants] or [a.mode for a in entry.asks]
    return "write" if "write" in modes else "read"


def lock_columns(look: Callable[[], LockLook]) -> list[Column[Entry]]:
    """Return the columns of the locks; ``look`` is asked whenever a row is shown."""

    def held(entry: Entry) -> Span:
        since = min((g.since for g in entry.grants), default=None)
        return Span("" if since is None else wording.age(look().now - since), "text")

    def wait(entry: Entry) -> Span:
        since = min((a.since for a in look().queue(entry)), default=None)
        return Span("" if since is None else wording.age(look().now - since), "level.warning")

    return [
        Column("LOCK", 0, 100, lambda e: Span(safe(e.path), "strong"), is_path=True),
        Column("MODE", 5, 70, _mode),
        Column("HOLDER", 16, 90, lambda e: _holders(look(), e), grows=True),
        Column("FENCE", 5, 55, _fence, "right"),
        Column("HELD", 4, 60, held, "right"),
        Column("QUEUE", 5, 80, lambda e: _queue(look(), e), "right"),
        Column("WAIT", 4, 75, wait, "right"),
        Column("LAST 60 S", SPARK_CELLS, 40, lambda e: _spark(look(), e)),
    ]


def _mode(entry: Entry) -> Span:
    mode = mode_of(entry)
    return Span(mode, "accent" if mode == "write" else "muted")


def _fence(entry: Entry) -> Span:
    return Span(str(entry.grants[0].fence) if entry.grants else "", "muted")


def _queue(look: LockLook, entry: Entry) -> Span:
    return Span(str(len(look.queue(entry)) or ""), "level.warning")


def _holders(look: LockLook, entry: Entry) -> Line:
    leases = look.leases(entry)
    if not leases:
        return (Span("nobody yet", "muted"),)
    first, more = leases[0], len(leases) - 1
    name = _who(look, first.stream, first.attempt)
    where = f" {safe(first.path)}" if first.path != entry.path else ""
    return (name, Span(f"{where}{f' +{more}' if more else ''}", "muted"))


def _who(look: LockLook, stream: StreamId, attempt: Attempt) -> Span:
    found = look.state.streams.get(stream)
    name = safe(shown(stream)) + (f"#{attempt}" if attempt else "")
    if found is None:
        return Span(name, "text")
    state = found.public_state
    return Span(f"{look.glyphs.state(state)} {name}", f"state.{state}")


def _spark(look: LockLook, entry: Entry) -> Span:
    waits = [(a.since, look.now) for a in look.queue(entry)]
    waits += [(c.since, c.until) for c in look.over.get(entry.path, ())]
    return Span(spark(waits, look.now, look.glyphs), "level.warning")


def spark(
    waits: Sequence[tuple[float, float]], now: float, glyphs: Glyphs, cells: int = SPARK_CELLS
) -> str:
    """Return how many waited at once over the last minute: one sign for each part of it."""
    if not waits:
        return ""
    step = CONTENTION_SECONDS / cells
    starts = [now - CONTENTION_SECONDS + step * i for i in range(cells)]
    loads = [
        sum(max(0.0, min(end, s + step) - max(begin, s)) for begin, end in waits) / step
        for s in starts
    ]
    fullest = len(glyphs.spark) - 1
    return "".join(glyphs.spark[min(fullest, round(load * 2 + 0.49))] for load in loads)


# --- the panel beside ----------------------------------------------------------------------------


def lock_detail(look: LockLook, entry: Entry | None, cells: int) -> list[Line]:
    """Return who waits for whom at a lock, then the rings that were found and the violations."""
    lines = wait_tree(look, entry, cells) if entry else []
    lines += _rings(look, look.state.locks.deadlocks, cells)
    return lines + _violations(look, entry, cells)


def wait_tree(look: LockLook, entry: Entry, cells: int) -> list[Line]:
    """Return the wait-for tree of a lock: holders, what they wait for themselves, the queue."""
    held, path = look.glyphs.held, safe(entry.path)
    lines: list[Line] = [(Span(cut_left(path, cells), "strong"),)]
    for grant in look.leases(entry):
        age = wording.age(look.now - grant.since)
        where = f"  {safe(grant.path)}" if grant.path != entry.path else ""
        text = f"{where}  {grant.mode} for {age}  fence {grant.fence}"
        who = _who(look, grant.stream, grant.attempt)
        lines.append((Span(f"{held} ", "accent"), who, Span(text, "muted")))
        lines += _own_waits(look, grant.stream, cells)
    if not look.leases(entry):
        lines.append((Span("nobody holds it yet", "muted"),))
    lines += list(_branches(look, entry, "", frozenset({entry.path})))[:MOST_LINES_A_TREE]
    if not look.queue(entry):
        lines.append((Span("nobody waits", "muted"),))
    return [*lines, ()]


def _own_waits(look: LockLook, stream: StreamId, cells: int) -> list[Line]:
    """Return what a holder waits for itself: the way up to who keeps all of them waiting."""
    trunk = look.glyphs.trunk
    lines: list[Line] = []
    for wait in _waits_in_words(look.state, stream):
        pieces = wrap(f"waits for {safe(wait)}", max(cells - len(trunk), 8))
        lines += [(Span(trunk, "faint"), Span(piece, "level.warning")) for piece in pieces]
    return lines


def _waits_in_words(state: State, stream: StreamId) -> list[str]:
    text = in_words(called_waits(state, stream))
    return text.split("; ")[:DEEPEST] if text else []


def _branches(look: LockLook, entry: Entry, before: str, seen: frozenset[str]) -> Iterator[Line]:
    glyphs = look.glyphs
    queue = look.queue(entry)
    for place, ask in enumerate(queue, 1):
        is_last = place == len(queue)
        age = wording.age(look.now - ask.since)
        yield (
            Span(before + (glyphs.last_branch if is_last else glyphs.branch), "faint"),
            Span(" "),
            _who(look, ask.stream, ask.attempt),
            Span(f"  {age}", "level.warning"),
            Span(_wish(ask, entry, seen), "muted"),
        )
        below = before + ("   " if is_last else f"{glyphs.trunk} ")
        yield from _behind(look, ask.stream, below, seen)


def _wish(ask: Ask, entry: Entry, seen: frozenset[str]) -> str:
    mode = "upgrade" if ask.upgrades is not None else ask.mode
    is_plain = len(seen) == 1 and ask.path == entry.path
    return f"  {mode}" if is_plain else f"  {mode} {safe(ask.path)}"


def _behind(look: LockLook, stream: StreamId, before: str, seen: frozenset[str]) -> Iterator[Line]:
    """Yield who waits for what somebody in the queue holds."""
    holder = look.state.locks.holders.get(stream)
    if holder is None or len(seen) > DEEPEST:
        return
    for path in sorted(set(holder.held.values()) - seen):
        yield from _branches(look, look.state.locks.entries[path], before, seen | {path})


def _rings(look: LockLook, found: Sequence[Deadlock], cells: int) -> list[Line]:
    if not found:
        return [(Span("Cycles  ", "title"), Span("none", "muted")), ()]
    lines: list[Line] = [
        (Span("Cycles  ", "title"), Span(f"{len(found)} found and broken", "level.warning"))
    ]
    arrow = look.glyphs.presentable("→")
    for deadlock in reversed(found[-5:]):
        at = wall_clock(look.state.started_wall, deadlock.at)
        names = [shown(e.waiter) for e in deadlock.cycle]
        ring = f" {arrow} ".join([*names, *names[:1]])
        text = f"{at}  {ring}; the wait of {shown(deadlock.victim)} was given up"
        lines += [(Span(piece, "text"),) for piece in wrap(safe(text), cells)]
    return [*lines, ()]


def _violations(look: LockLook, entry: Entry | None, cells: int) -> list[Line]:
    found = [v for known in look.state.locks.violations.values() for v in known]
    if not found:
        return [(Span("Violations  ", "title"), Span("none", "muted"))]
    here = entry.path if entry else ""
    found.sort(key=lambda v: (v.path != here, v.is_allowed, -v.at))
    still = sum(not v.is_allowed for v in found)
    text = f"{still} kept from merging" if still else "all allowed"
    lines: list[Line] = [(Span("Violations  ", "title"), Span(text, "level.error"))]
    for violation in found[:20]:
        lines += _violation(look, violation, cells)
    return lines


def _violation(look: LockLook, violation: Violation, cells: int) -> list[Line]:
    at = wall_clock(look.state.started_wall, violation.at)
    style = "muted" if violation.is_allowed else "level.error"
    sign = look.glyphs.level("good" if violation.is_allowed else "error")
    reason = violation.reason
    reason += " (allowed)" if violation.is_allowed else ""
    pieces = wrap(safe(f"{at}  {reason}"), max(cells - 2, 8))
    first = (Span(f"{sign} ", style), Span(pieces[0], style))
    return [first, *[(Span(f"  {piece}", style),) for piece in pieces[1:]]]
