"""A fifo that its stream has made something else of, and the loan that is kept in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from anabranch.core.ids import Attempt, StreamId
from anabranch.engine.token_fifo import TokenFifo
from anabranch.engine.token_loans import (
    AWAKE_SECONDS,
    LOST_AFTER_SECONDS,
    MOST_LOST_PER_SLOT,
    UNTOUCHED_LOOKS,
    Loan,
)
from anabranch.engine.vitals import Vitals

PIPE_BYTES = 1 << 20


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "jobs"
    os.mkfifo(path)
    return path


def test_tokens_are_put_in_and_taken_out(fifo: Path) -> None:
    jobs = TokenFifo(fifo)
    assert (jobs.take(3), jobs.put(2), jobs.tokens(), jobs.take(3), jobs.tokens()) == (
        (0, 2, 2, 2, 0)
    )
    jobs.close()


@pytest.mark.parametrize("kind", ["file", "link", "second name", "socket", "nothing"])
def test_what_is_no_fifo_of_its_own_is_not_opened(fifo: Path, kind: str) -> None:
    path = fifo.with_name("made")
    match kind:
        case "file":
            path.write_text("+++")
        case "link":
            path.symlink_to(fifo)
        case "second name":
            os.link(fifo, path)
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)
    with pytest.raises(OSError):
        TokenFifo(path)
    loan = Loan(path, None, 3, 0.0)
    assert not loan.wants_more(1.0)
    assert loan.count == 0


def test_a_full_fifo_is_given_nothing_and_emptied_of_what_was_never_lent(fifo: Path) -> None:
    """Nobody waits for it, and it is read a bounded piece at a time."""
    loan = Loan(fifo, None, 0, 0.0)
    stream = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    filled = os.write(stream, b"x" * PIPE_BYTES)
    loan.give(2)
    assert loan.count == 0
    looks = 0
    while loan.fifo is not None and loan.fifo.tokens():
        loan.look()
        looks += 1
    assert 2 < looks <= filled // 4096 + 1
    assert loan.unused == 0
    loan.give(2)
    os.write(stream, b"xxx")
    loan.look()
    assert (loan.count, loan.unused) == (2, 2)
    os.close(stream)
    loan.close()


def test_what_lies_in_it_for_a_while_is_untouched(fifo: Path) -> None:
    loan = Loan(fifo, None, 0, 0.0)
    loan.give(3)
    for _ in range(UNTOUCHED_LOOKS - 1):
        loan.look()
        assert loan.untouched == 0
    assert loan.fifo is not None
    assert loan.fifo.take(1) == 1
    loan.look()
    assert (loan.untouched, loan.in_use) == (2, 1)
    assert loan.take(5, 1.0) == 2
    assert not loan.wants_more(2.0)
    assert loan.wants_more(20.0)
    loan.close()


def test_tokens_that_nobody_has_for_a_while_are_written_off(fifo: Path) -> None:
    """As many as were missing all the time; one that turns up meanwhile is none of them."""
    loan = Loan(fifo, None, 3, 0.0)
    later = LOST_AFTER_SECONDS
    assert [loan.note_missing(3, 0.0), loan.note_missing(0, 1.0)] == [0, 0]
    assert [loan.note_missing(2, at) for at in (2.0, 3.0, 2.0 + later)] == [0, 0, 2]
    assert (loan.count, loan.lost) == (1, 2)
    assert loan.note_missing(1, 2.1 + later) == 0
    loan.close()


def test_who_loses_tokens_again_and_again_gets_no_more(fifo: Path) -> None:
    """First no more than its share: whoever empties its fifo takes nothing that others want."""
    loan, limits = Loan(fifo, None, 0, 0.0), [Loan(fifo, None, 0, 0.0).limit(4, 2)]
    for turn in range(MOST_LOST_PER_SLOT):
        loan.give(4)
        for at in (0.0, LOST_AFTER_SECONDS):
            loan.note_missing(4, 100.0 * turn + at)
        limits.append(loan.limit(4, 2))
    assert limits == [None, *[2] * (MOST_LOST_PER_SLOT - 1), 0]
    loan.close()


def test_who_wakes_up_is_asked_at_once(fifo: Path) -> None:
    """What it left untouched while it did nothing does not speak against it any more."""

    def using(percent: float | None) -> Vitals:
        return Vitals(StreamId("a"), Attempt(1), cpu_percent=percent)

    loan = Loan(fifo, None, 0, 0.0)
    assert loan.is_awake(None, AWAKE_SECONDS - 1)
    assert not loan.is_awake(using(1.0), AWAKE_SECONDS)
    loan.give(1)
    loan.take(1, 6.0)
    assert not loan.wants_more(7.0)
    assert loan.is_awake(using(80.0), 7.0)
    assert loan.wants_more(7.0)
    assert loan.is_awake(using(None), 8.0)
    loan.close()
