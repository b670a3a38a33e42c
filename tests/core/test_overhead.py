"""The target for overhead is watched: who passes it is told once, with what costs most."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core.deciding.overhead import look
from anabranch.core.model.snapshots import decode_state, encode_state
from tests.core.working import Crew

DEAR = {"workspaces": 1.0, "merging": 9.0}


def announced(crew: Crew, share: float, by_category: dict[str, float]) -> list[str]:
    seen = len(crew.records)
    for fact in look(crew.state, share, by_category):
        crew._step(fact)
    return [type(r.event).__name__ for r in crew.records[seen:]]


def test_an_overhead_above_the_target_is_told_once_with_what_costs_most() -> None:
    crew = Crew("a")
    assert announced(crew, 0.10, DEAR) == []
    assert announced(crew, 0.2, DEAR) == ["OverheadExceeded"]
    (event,) = crew.events(ev.OverheadExceeded)
    assert (event.category, event.seconds) == ("merging", 9.0)
    assert "20%" in event.reason
    assert decode_state(encode_state(crew.state)).costs_too_much
    assert announced(crew, 0.5, DEAR) == []
    assert announced(crew, 0.09, DEAR) == []
    assert announced(crew, 0.07, DEAR) == ["OverheadWithin"]
    assert announced(crew, 0.11, DEAR) == ["OverheadExceeded"]


def test_the_first_moments_of_a_run_are_no_alert() -> None:
    """They are nearly all overhead."""
    crew = Crew("a")
    assert announced(crew, 0.9, {"workspaces": 1.9}) == []


def test_what_has_ended_is_not_alerted_of() -> None:
    crew = Crew("a")
    crew.ends("a")
    crew.merges()
    assert crew.state.has_ended
    assert announced(crew, 0.5, DEAR) == []
