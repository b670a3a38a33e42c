"""What a stream waits for, as people and scripts are told it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from anabranch.core.deciding import resources
from anabranch.core.deciding.streams.copies import in_words as copy_in_words
from anabranch.core.deciding.streams.scheduling import is_met
from anabranch.core.deciding.streams.serving import unhealthy_in_words
from anabranch.core.deciding.waiting.reasons import Wait, called_waits, review_waits
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.plan import Dependency
from anabranch.core.wording import listing


def in_words(waits: Sequence[Wait]) -> str:
    """Return waits as one phrase that follows "waits for"; empty if there are none."""
    by_thing: dict[tuple[str, str], list[Wait]] = {}
    for wait in waits:
        by_thing.setdefault((wait.kind, wait.name), []).append(wait)
    return "; ".join(_thing_in_words(kind, name, ws) for (kind, name), ws in by_thing.items())


def _thing_in_words(kind: str, name: str, waits: Sequence[Wait]) -> str:
    having = _holders([w for w in waits if not w.is_before])
    asking = _holders([w for w in waits if w.is_before])
    match kind:
        case "lock":
            clauses = _clause(having, "holds", "hold"), _clause(asking, "asked for before")
            return f"the lock of {name}, which {' and '.join(filter(None, clauses))}"
        case "point":
            return f"{listing(having, 3) or 'the others'} at {name}"
        case "resource":
            held = f", held by {listing(having, 3)}" if having else ""
            older = _clause(asking, "has waited longer", "have waited longer")
            return f"{name}{held}" + (f", for which {older}" if older else "")
        case "dependency":
            return name if listing(having, 3) in ("", name) else f"{name} ({listing(having, 3)})"
        case "breaker":
            return f"the breaker of {name}"
        case _:
            return name


def _holders(waits: Sequence[Wait]) -> list[str]:
    return list(dict.fromkeys(_holder_in_words(w) for w in waits if w.holder is not None))


def _clause(who: Sequence[str], does: str, do: str | None = None) -> str:
    return f"{listing(who, 3)} {does if len(who) == 1 else do or does}" if who else ""


def _holder_in_words(wait: Wait) -> str:
    return f"{wait.holder} ({wait.held})" if wait.held else str(wait.holder)


def in_short(waits: Sequence[Wait]) -> str:
    """Return waits as few words that follow "waits for": who can end them, and what they are."""
    who = list(dict.fromkeys(w.holder for w in waits if w.holder is not None))
    few = listing(who, 2)
    what = ", ".join(dict.fromkeys(w.name for w in waits))
    return f"{few}: {what}" if few else what


def waiting_for(state: State, stream: StreamId) -> str:
    """Return what a running stream waits for by its own calls, in words; empty for nothing."""
    return in_words(called_waits(state, stream))


def as_json(waits: Iterable[Wait], wall: Any) -> list[dict[str, Any]]:
    """Return waits as ``waits_for`` of ``status --json``; ``wall`` makes times of run seconds."""
    return [
        {
            "kind": w.kind,
            "name": w.name,
            "holder": w.holder,
            "since": wall(w.since),
            "until": wall(w.until),
            "held": w.held or None,
        }
        for w in waits
    ]


def reason_for(state: State, stream: Stream) -> str:
    """Return in one sentence why a stream is where it is."""
    if stream.phase is Phase.WAITING and stream.reason == "registered":
        missing = missing_for(state, stream.id)
        return f"waits for {', '.join(missing)}" if missing else "waits for the run's base commit"
    if stream.phase is Phase.QUEUED and state.stop_reason is None:
        return resources.why_queued(state, stream)
    if stream.phase is Phase.RUNNING and not stream.liveness.verdict:
        waits = waiting_for(state, stream.id)
        return f"waits for {waits}" if waits else _beside_a_copy(state, stream)
    if stream.phase is Phase.SUCCEEDED and state.topology.reviewed:
        waits = in_words(review_waits(state, stream))
        return f"{stream.reason}; waits for {waits}" if waits else stream.reason
    return stream.reason


def _beside_a_copy(state: State, stream: Stream) -> str:
    copy = state.copies.get(stream.id)
    return stream.reason if copy is None else f"{stream.reason}; {copy_in_words(copy)}"


def missing_for(state: State, stream: StreamId) -> list[str]:
    """Return the dependencies whose condition does not hold yet."""
    plan = state.stream_plan(stream)
    missing = [d for d in plan.depends_on if not is_met(state, d)]
    return [d.words + _and_how_it_was(state, d) for d in missing]


def _and_how_it_was(state: State, dependency: Dependency) -> str:
    found = unhealthy_in_words(state, dependency)
    return f", which was {found}" if found else ""
