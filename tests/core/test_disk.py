"""The budget of the disk: what starts, what goes on, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from anabranch.config.values import size_in_bytes
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.disk import shortage
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import StreamId
from anabranch.core.views.waiting import waits_of
from anabranch.core.wording import disk_size
from anabranch.testing import plan_of, stream
from anabranch.testing.memory_store import replay
from tests.core.working import Crew

GB = 10**9


class Hoarding(Crew):
    """A crew that is told how much of the disk is taken."""

    def takes(self, used: int, **by_kind: int) -> None:
        self._step(inputs.DiskSeen(used_bytes=used, by_kind=by_kind or {"workspaces": used}))

    def told(self) -> list[Any]:
        return self.events(ev.DiskUseChanged)


def hoarding(most: int | None = 20 * GB) -> Hoarding:
    plan = plan_of(stream("a"), stream("b", "a"), stream("c", "b"), max_disk_bytes=most)
    return Hoarding(plan=plan)


def test_nothing_new_starts_above_the_budget_and_what_runs_goes_on() -> None:
    """The one that waits says what takes the room, and how it is given back."""
    crew = hoarding()
    crew.starts("a")
    crew.takes(21 * GB, workspaces=18 * GB, logs=3 * GB)
    assert crew.phase("a") == "running"
    crew.ends("a")
    assert crew.phase("b") == "queued"  # though nobody is at work who could give room back
    why = reason_for(crew.state, crew.state.streams[StreamId("b")])
    assert why == (
        "ready; 21 GB of 20 GB of disk are used up (18 GB of workspaces, 3.0 GB of logs); "
        "anabranch gc gives room back"
    )
    assert [(w.kind, w.name) for w in waits_of(crew.state, StreamId("b"))] == [
        ("disk", "room on the disk")
    ]
    crew.takes(20 * GB)
    assert crew.phase("b") == "preparing"
    again = replay(crew.records)
    assert again is not None
    assert again.resources == crew.state.resources


def test_only_changes_are_told() -> None:
    crew = hoarding()
    for used in (1, 19, 21, 21, 21.5, 23, 24, 2, 3):
        crew.takes(int(used * GB))
    assert [event.used_bytes for event in crew.told()] == [21 * GB, 23 * GB, 24 * GB, 2 * GB]


def test_without_a_budget_nothing_is_told() -> None:
    crew = hoarding(None)
    crew.takes(10**15)
    assert (crew.told(), crew.phase("a")) == ([], "preparing")


def test_what_only_this_run_could_give_back_is_told_as_that() -> None:
    assert shortage(30, {"logs": 30}, 20, 20).endswith("; anabranch gc gives room back")
    assert shortage(30, {}, 20, 21).endswith(
        "; 21 B are this run's own: anabranch stop, then anabranch gc"
    )


@drawn(st.integers(0, 10**13), st.integers(1, 10**13))
def test_the_rule_is_above_and_nothing_else(used: int, most: int) -> None:
    assert bool(shortage(used, {}, most)) == (used > most)


@pytest.mark.parametrize(
    ("written", "count"),
    [("20GB", 20 * GB), ("1.5 GiB", 3 << 29), ("500MB", 5 * 10**8), ("7B", 7), (1024, 1024)],
)
def test_sizes_are_read_as_they_are_written(written: object, count: int) -> None:
    assert size_in_bytes(written) == count


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_600, "1.0 MB"), (3 * 10**15, "3000 TB")],
)
def test_sizes_are_told_in_three_figures(count: int, words: str) -> None:
    assert disk_size(count) == words
