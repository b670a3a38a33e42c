"""What the panel says of a stream in the graph: what is expected, what it waits for, how urgent."""

from __future__ import annotations

from anabranch.core import wording
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.views.accounting import worked_seconds
from anabranch.core.views.outlook import NOT_BEGUN, place_in_queue, urgency
from anabranch.core.views.queues import place_in_slot_queue, queue_in_words
from anabranch.core.views.waiting import Wait, in_words
from anabranch_console.lines import Line, Span, hang
from anabranch_console.presenters.plan_look import LEAST_SLACK, PlanLook
from anabranch_console.presenters.plan_rows import PlanRow
from anabranch_console.presenters.wording import clock, safe, shortened

_LABEL_CELLS = 10
_BASIS = {
    "learned": "as it took before",
    "class": "as others like it took",
    "guessed": "a guess: nobody has seen it run",
}
_MOST_NAMES = 6
_MOST_WAITS = 12


def plan_detail(look: PlanLook, row: PlanRow | None, cells: int) -> list[Line]:
    """Return what is known of a row, in lines of so many cells."""
    if row is None:
        return [(Span("no stream is chosen", "muted"),)]
    lines = _of_stream(look, row.stream, cells) if row.stream is not None else []
    if row.below:
        title = "Below it" if row.stream is not None else row.group
        lines += [(), (Span(safe(title), "title"),)] if lines else [(Span(safe(title), "title"),)]
        lines += _of_several(look, row.below, cells)
    return lines


def _of_several(look: PlanLook, names: tuple[StreamId, ...], cells: int) -> list[Line]:
    total = look.total(names)
    lines: list[Line] = []
    for state, count in total.states:
        text = f"{look.glyphs.state(state)} {count} {state.replace('_', ' ')}"
        lines.append((Span(text, f"state.{state}"),))
    guess = ", some of it guessed" if total.is_guessed else ""
    takes = f"{wording.length(total.takes, 1)} one after the other{guess}"
    lines += _fact("take", takes, cells)
    lines += _fact("run", f"{clock(total.times.start)} to {clock(total.times.end)}", cells)
    if total.times.slack is not None:
        least = total.times.slack
        words = f"{wording.length(least, 1)} at least" if least >= LEAST_SLACK else "none in some"
        lines += _fact("slack", words, cells)
    return lines


def _of_stream(look: PlanLook, name: StreamId, cells: int) -> list[Line]:
    stream = look.stream(name)
    state = stream.public_state
    attempt = f", attempt {stream.attempt}" if stream.attempt > 1 else ""
    head = f"{look.glyphs.state(state)} {state.replace('_', ' ')}{attempt}"
    lines: list[Line] = [(Span(head, f"state.{state}"),)]
    lines += _fact("why", safe(shortened(stream.reason)), cells) if stream.has_ended else []
    lines += _when(look, name, cells)
    lines += _fact("takes", _takes(look, name), cells)
    lines += _usual(look, name, cells)
    lines += _waits(look, name, cells)
    lines += _queue(look, name, cells)
    lines += _graph(look, name, cells)
    return [*lines, *_urgency(look, name, cells)]


def _when(look: PlanLook, name: StreamId, cells: int) -> list[Line]:
    times, stream, found = look.times(name), look.stream(name), look.expected(name)
    if stream.has_ended:
        if times.start is None:
            return _fact("ran", "never", cells)
        decided = ", one of the longest chain" if look.is_critical(name) else ""
        return _fact("ran", f"{clock(times.start)} to {clock(times.end)}{decided}", cells)
    lines: list[Line] = []
    if stream.first_started_at is not None:
        lines += _fact("runs", f"since {clock(stream.first_started_at)}", cells)
    if found is None:
        return [*lines, *_fact("expected", f"nothing: {_why_unknown(look)}", cells, "muted")]
    when = f"until {clock(found.end)}"
    if stream.phase in NOT_BEGUN:
        when = f"{clock(found.start)} to {clock(found.end)}"
    lines += _fact("expected", when, cells)
    if look.is_critical(name):
        return [*lines, *_fact("slack", "none: it is on the critical path", cells, "key")]
    if found.slack < LEAST_SLACK:
        return [*lines, *_fact("slack", "none", cells)]
    slack = f"{wording.length(found.slack, 1)} later, and the run ends no later"
    return [*lines, *_fact("slack", slack, cells)]


def _why_unknown(look: PlanLook) -> str:
    if look.state.has_ended:
        return "the run is over"
    if look.state.stop_reason is not None:
        return "the run is told to stop"
    return "it is about to end, or can never start"


def _takes(look: PlanLook, name: StreamId) -> str:
    plan, stream = look.state.stream_plan(name), look.stream(name)
    estimate = f"{wording.length(plan.estimate_seconds, 1)}: {_BASIS[plan.estimate_basis]}"
    worked = worked_seconds(stream, look.now)
    if not worked:
        return estimate
    took = "it took" if stream.has_ended else "so far"
    return f"{estimate}; {took} {wording.duration(worked)}"


def _usual(look: PlanLook, name: StreamId, cells: int) -> list[Line]:
    """Say what is usual and what is unusually long, where enough was learned, and if it is that."""
    plan, stream = look.state.stream_plan(name), look.stream(name)
    if plan.usual_seconds is None or plan.long_seconds is None:
        return []
    usual, long = (wording.length(s, 1) for s in (plan.usual_seconds, plan.long_seconds))
    text = f"p50 {usual}, p95 {long}, of {wording.counted(plan.estimate_runs, 'run')}"
    if stream.has_ended or worked_seconds(stream, look.now) <= plan.long_seconds:
        return _fact("usually", text, cells, "muted")
    return _fact("usually", f"{text}: longer than that", cells, "level.warning")


def _waits(look: PlanLook, name: StreamId, cells: int) -> list[Line]:
    by_thing: dict[tuple[str, str], list[Wait]] = {}
    for wait in look.waits(name):
        by_thing.setdefault((wait.kind, wait.name), []).append(wait)
    lines: list[Line] = []
    for waits in list(by_thing.values())[:_MOST_WAITS]:
        words = f"{in_words(waits)}, for {wording.age(look.now - waits[0].since)}"
        words += _still(look, name, waits)
        lines += _fact("" if lines else "waits for", safe(words), cells, "level.warning")
    if len(by_thing) > _MOST_WAITS:
        lines += _fact("", f"and {len(by_thing) - _MOST_WAITS} more", cells, "muted")
    return lines


def _queue(look: PlanLook, name: StreamId, cells: int) -> list[Line]:
    """Return in whose queue a stream waits, and why there."""
    found = place_in_slot_queue(look.state, name)
    if found is None:
        return []
    words = f"{queue_in_words(look.state, name)}: {found[2].reason}"
    return _fact("queue", safe(words), cells)


def _still(look: PlanLook, name: StreamId, waits: list[Wait]) -> str:
    """Say how long a wait is to go on: until a moment, or until who can end it is expected to."""
    until = [wait.until for wait in waits if wait.until is not None]
    if until:
        return f", {wording.age(max(until) - look.now)} to go"
    found = look.expected(name)
    holders = [h for wait in waits if (h := _end_of(look, wait.holder)) is not None]
    if holders and waits[0].kind in ("dependency", "lock", "resource"):
        return f", about {wording.age(max(holders) - look.now)} to go"
    if found is not None and look.stream(name).phase in NOT_BEGUN:
        return f", about {wording.age(found.start - look.now)} to go"
    return ""


def _end_of(look: PlanLook, holder: str | None) -> float | None:
    name = StreamId(holder or "")
    found = look.expected(name) if name in look.state.streams else None
    return found.end if found is not None else None


def _graph(look: PlanLook, name: StreamId, cells: int) -> list[Line]:
    lines: list[Line] = []
    for dependency in look.state.stream_plan(name).depends_on:
        condition = "" if dependency.condition == "succeeded" else f" ({dependency.condition})"
        states = [look.stream(other).public_state for other in dependency.streams[:1]]
        standing = "".join(
            f"  {look.glyphs.state(state)} {state.replace('_', ' ')}" for state in states
        )
        words = f"{safe(dependency.words)}{condition}{standing}"
        lines += _fact("" if lines else "needs", words, cells)
    feeds = look.state.topology.dependents[name]
    if feeds:
        behind = look.state.topology.waiters[name]
        more = f" ({behind} wait for it in the end)" if behind > len(feeds) else ""
        text = wording.listing([safe(other) for other in feeds], _MOST_NAMES)
        lines += _fact("feeds", f"{text}{more}", cells)
    return lines


def _urgency(look: PlanLook, name: StreamId, cells: int) -> list[Line]:
    """Return the parts of a queued stream's urgency, which add up."""
    parts = urgency(look.state, name, look.now)
    if parts is None or look.stream(name).phase is not Phase.QUEUED:
        return []
    place, queue = place_in_queue(look.state, name), len(look.state.ready)
    plan, topology = look.state.stream_plan(name), look.state.topology
    waiters = wording.counted(topology.waiters[name], "stream waits", "streams wait")
    rows = (
        ("path", parts.path, "the longest way behind it, itself included"),
        ("impact", parts.impact, f"{waiters} for it in the end"),
        ("history", parts.history, "how much longer it sometimes takes"),
        ("priority", parts.priority, f"priority {plan.priority} in the plan"),
        ("age", parts.age, "a tenth of how long it has been ready"),
    )
    lines: list[Line] = [(), (Span("Urgency", "title"), Span(f"  {place} of {queue}", "text"))]
    for label, seconds, words in rows:
        number = Span(f"{seconds:>9,.1f} s  ", "text" if seconds else "muted")
        lines += hang(
            (Span(label.ljust(_LABEL_CELLS), "muted"), number, Span(words, "muted")), cells
        )
    total = Span(f"{parts.total:>9,.1f} s  ", "strong")
    by = Span(f"as {safe(look.state.plan.balancer)} adds up", "muted")
    if look.state.plan.balancer != "longest-first":
        by = Span(f"{safe(look.state.plan.balancer)} may order by something else", "muted")
    return [*lines, *hang((Span("in all".ljust(_LABEL_CELLS), "muted"), total, by), cells)]


def _fact(label: str, text: str, cells: int, style: str = "text") -> list[Line]:
    return hang((Span(label.ljust(_LABEL_CELLS), "muted"), Span(text, style)), cells)
