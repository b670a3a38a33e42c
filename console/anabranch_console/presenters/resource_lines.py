"""Resources in words: who holds and wants what, what there is, and what is really used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from anabranch.core import wording
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.resources import CPU, MEMORY, Amounts, excess_key
from anabranch.core.model.state import State
from anabranch.core.views.resources import by_age, capacity, free, known_names, lacking
from anabranch.core.views.waiting import reason_for
from anabranch_console.glyphs import UNICODE, Glyphs
from anabranch_console.lines import Line, Span, wrap
from anabranch_console.presenters.amounts import amount, amounts_text, short_name
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.wording import safe

if TYPE_CHECKING:
    from anabranch.engine.vitals import Vitals

BAR_CELLS = 10
_LABEL_CELLS = 13


class Claim(NamedTuple):
    """What one stream holds or waits for; ``place`` is its place in the queue, 0 for a holder."""

    stream: StreamId
    attempt: Attempt
    amounts: Mapping[str, float]
    place: int = 0
    since: float | None = None
    ticket: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """What a row is known by."""
        return (self.stream, self.ticket)


@dataclass(slots=True)
class ResourceLook:
    """What resources are shown with."""

    state: State
    now: float
    vitals: Mapping[StreamId, Vitals] = field(default_factory=dict)
    glyphs: Glyphs = UNICODE


def claim_rows(state: State, now: float) -> list[Claim]:
    """Return the queue, who goes next first, then the holders, who holds most first."""
    queue = [
        Claim(w.stream, w.attempt, w.amounts, place, w.since, w.ticket)
        for place, w in enumerate(by_age(state, now), 1)
    ]
    ready = [
        Claim(s, state.streams[s].attempt, amounts, len(queue) + place, state.streams[s].since, -1)
        for place, (s, amounts) in enumerate(_ready(state), 1)
    ]
    held = [Claim(s, h.attempt, h.amounts) for s, h in state.resources.held.items()]
    held.sort(key=lambda c: (-_share(state, c.amounts), c.stream))
    return [*queue, *ready, *held]


def _ready(state: State) -> list[tuple[StreamId, Amounts]]:
    """Return the streams that could start if what they ask for were free."""
    waiting = [s for _, _, s in state.ready if state.streams[s].phase is Phase.QUEUED]
    return [(s, state.asks_of(s)) for s in waiting if state.asks_of(s)]


def _share(state: State, amounts: Mapping[str, float]) -> float:
    return max((a / (capacity(state, n) or 1.0) for n, a in amounts.items()), default=0.0)


def claim_text(claim: Claim) -> str:
    """Return what a filter of claims looks at."""
    return f"{claim.stream} {'waiting' if claim.place else 'granted'} {amounts_text(claim.amounts)}"


def claim_columns(look: Callable[[], ResourceLook]) -> list[Column[Claim]]:
    """Return the columns of the claims."""
    return [
        Column("STREAM", 16, 100, lambda c: _stream(look(), c), grows=True),
        Column("CLAIM", 12, 90, lambda c: _claim(look(), c), grows=True),
        Column("CORES", 6, 80, lambda c: _granted(c, CPU), "right"),
        Column("USED", 5, 75, lambda c: _used(look(), c, CPU), "right"),
        Column("MEMORY", 6, 70, lambda c: _granted(c, MEMORY), "right"),
        Column("USED", 6, 65, lambda c: _used(look(), c, MEMORY), "right"),
        Column("TOKENS, REASON", 0, 85, lambda c: _why(look(), c)),
    ]


def _stream(look: ResourceLook, claim: Claim) -> Span:
    found = look.state.streams.get(claim.stream)
    name = safe(claim.stream) + (f"#{claim.attempt}" if claim.attempt > 1 else "")
    if found is None:
        return Span(name, "strong")
    state = found.public_state
    return Span(f"{look.glyphs.state(state)} {name}", f"state.{state}")


def _claim(look: ResourceLook, claim: Claim) -> Span:
    if not claim.place:
        return Span("granted", "state.succeeded")
    age = wording.age(look.now - claim.since) if claim.since is not None else ""
    return Span(f"queue {claim.place}  {age}", "state.recovering")


def _granted(claim: Claim, name: str) -> Span:
    value = claim.amounts.get(name)
    style = "muted" if claim.place else "text"
    return Span("" if value is None else amount(name, value), style)


def real_use(look: ResourceLook, stream: StreamId, name: str) -> float | None:
    """Return how much of a resource a stream really uses now, None if nobody can tell."""
    vitals = look.vitals.get(stream)
    if vitals is None or name not in (CPU, MEMORY):
        return None
    if name == MEMORY:
        return vitals.memory_bytes / 2**20
    return None if vitals.cpu_percent is None else vitals.cpu_percent / 100


def _used(look: ResourceLook, claim: Claim, name: str) -> Span:
    used = None if claim.place else real_use(look, claim.stream, name)
    if used is None:
        return Span("", "muted")
    is_too_much = excess_key(claim.stream, name) in look.state.resources.exceeded
    is_over = name in claim.amounts and used > claim.amounts[name] * 1.1
    style = "level.error" if is_too_much else "level.warning" if is_over else "text"
    return Span(amount(name, round(used, 1)), style)


def _why(look: ResourceLook, claim: Claim) -> Span:
    if claim.place:
        return Span(safe(why_waiting(look.state, claim)), "level.warning")
    others = {n: a for n, a in claim.amounts.items() if n not in (CPU, MEMORY)}
    return Span(safe(amounts_text(others)), "text")


def why_waiting(state: State, claim: Claim) -> str:
    """Return what a claim waits for."""
    if claim.ticket < 0:
        return reason_for(state, state.streams[claim.stream])
    missing = lacking(state, claim.amounts)
    if missing:
        parts = [
            f"{amount(n, a)} {short_name(n)} short of {amount(n, claim.amounts[n])}"
            for n, a in missing.items()
        ]
        return ", ".join(parts)
    return "somebody who has waited longer goes first"


# --- the panel beside ----------------------------------------------------------------------------


def resource_detail(look: ResourceLook, claim: Claim | None, cells: int) -> list[Line]:
    """Return what there is of everything, how the machine is, and the chosen claim."""
    lines: list[Line] = []
    for name in known_names(look.state):
        lines += _capacity(look, name)
    lines += [(), *_machine(look, cells)]
    return [*lines, (), *_chosen(look, claim, cells)] if claim else lines


def _capacity(look: ResourceLook, name: str) -> list[Line]:
    state = look.state
    whole, granted = capacity(state, name), state.resources.used.get(name, 0.0)
    title = Span(safe(short_name(name)).ljust(_LABEL_CELLS), "strong")
    if whole is None:
        return [(title, Span("not measured yet", "muted"))]
    head = [title, Span(f"{_some(name, granted)} of {_some(name, whole)} granted")]
    waiting = sum(name in w.amounts for w in state.resources.queue)
    if waiting:
        head.append(Span(f"  {waiting} waiting", "level.warning"))
    on = min(BAR_CELLS, round(BAR_CELLS * granted / whole)) if whole else BAR_CELLS
    left = free(state, name)
    line = [
        Span(look.glyphs.bar_on * on, "bar.on"),
        Span(look.glyphs.bar_off * (BAR_CELLS - on), "bar.off"),
        Span(f"  {_some(name, left)} free", "level.good" if left else "level.warning"),
    ]
    uses = [u for s in look.vitals if (u := real_use(look, s, name)) is not None]
    if uses:
        line.append(Span(f"  {_some(name, round(sum(uses), 1))} really used", "text"))
    return [tuple(head), tuple(line)]


def _some(name: str, value: float) -> str:
    return amount(name, value) if value else "0"


def _machine(look: ResourceLook, cells: int) -> list[Line]:
    table = look.state.resources
    lines: list[Line] = [(Span("The machine", "title"),)]
    if not table.machine:
        return [*lines, (Span("not measured yet", "muted"),)]
    has = amounts_text(table.machine)
    lines.append(_fact("has", has, "text"))
    if table.memory_available_mb is not None:
        lines.append(_fact("free memory", amount(MEMORY, table.memory_available_mb), "text"))
    if table.memory_pressure is not None:
        lines.append(_fact("mem pressure", f"{table.memory_pressure:.0f} %", "text"))
    shortage = wrap(safe(table.shortage), max(cells, 8)) if table.shortage else []
    return [*lines, *[(Span(piece, "level.error"),) for piece in shortage]]


def _fact(name: str, text: str, style: str) -> Line:
    return (Span(name.ljust(_LABEL_CELLS), "muted"), Span(text, style))


def _chosen(look: ResourceLook, claim: Claim, cells: int) -> list[Line]:
    lines: list[Line] = [(_stream(look, claim),)]
    held = look.state.resources.held_by(claim.stream)
    lines.append(_fact("holds", safe(amounts_text(held)) or "nothing", "text"))
    for name in (CPU, MEMORY):
        used = real_use(look, claim.stream, name)
        if used is not None:
            text = f"{amount(name, round(used, 1))} {short_name(name)}"
            lines.append(_fact("really uses" if name == CPU else "", text, "text"))
    for name in held:
        excess = look.state.resources.exceeded.get(excess_key(claim.stream, name))
        if excess:
            text = f"more {short_name(name)} than granted; answer: {excess.response}"
            lines.append(_fact("uses", safe(text), "level.error"))
    if claim.place:
        lines.append(_fact("asks for", safe(amounts_text(claim.amounts)), "text"))
        why = wrap(safe(why_waiting(look.state, claim)), max(cells - _LABEL_CELLS, 8))
        lines += [_fact("" if i else "waits", p, "level.warning") for i, p in enumerate(why)]
    return lines
