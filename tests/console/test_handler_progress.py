"""When lines of text say how far handlers are."""

from __future__ import annotations

from anabranch.core.ids import StreamId
from anabranch.engine.handlers import HandlerTally, without_progress
from anabranch_console.cli.handler_progress import Milestones

DOCS = StreamId("docs")


def _told(milestones: Milestones, now: float, ended: int, *, total: int = 0) -> bool:
    tally = HandlerTally(total or ended, ended, 0, 1, bool(total), 1.0)
    return milestones.passed({DOCS: tally}, now) == [DOCS]


def test_each_tenth_is_a_milestone_and_nothing_between() -> None:
    """However often somebody looks, and however many handlers there are."""
    milestones = Milestones()
    told = [n for n in range(0, 100_001, 50) if _told(milestones, n / 1e4, n, total=100_000)]
    assert told == list(range(10_000, 100_001, 10_000))


def test_what_nobody_knows_the_number_of_is_told_of_once_a_minute_while_it_goes_on() -> None:
    milestones = Milestones()
    told = [second for second in range(300) if _told(milestones, second, min(second, 130))]
    assert told == [60, 120, 180]


def test_another_attempt_begins_its_tenths_anew() -> None:
    milestones = Milestones()
    assert _told(milestones, 0.0, 0, total=10) is False
    assert _told(milestones, 1.0, 9, total=10)
    assert not _told(milestones, 2.0, 3, total=10)
    assert _told(milestones, 3.0, 4, total=10)


def test_the_last_words_of_a_crowd_are_not_how_far_it_was() -> None:
    said = [
        "5 of 9 done, 1 failed, 12.3 a second, about 4 s left",
        "12 done, 3.0 a second",
        "12 done, 3.0 a second, says a handler",
        "7 of 9 handlers succeeded, 2 failed",
    ]
    assert without_progress(said) == said[2:]
