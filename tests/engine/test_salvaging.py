"""A damaged journal: what is whole is saved, the run goes on from there, and the rest is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.engine.journal import Journal
from anabranch.engine.run_lock import RunLock
from anabranch.engine.salvaging import salvage
from anabranch.errors import AnabranchError
from anabranch.paths import RunFolder
from anabranch.testing.plans import plan_of, stream

EVENTS = 200


def delay(seq: int) -> ev.Recorded:
    return ev.Recorded(
        seq, float(seq), None, ev.StreamDelayed(StreamId("a"), attempt=1, reason=f"{seq} " * 100)
    )


@pytest.fixture
def home(tmp_path: Path) -> RunFolder:
    """Give a run with a journal of many events and a snapshot near their end."""
    home = RunFolder(tmp_path / "run")
    home.create()
    journal = Journal.create(home.journal, {"folder": "/project", "number": "7"})
    started = ev.RunStarted(
        run=home.run,
        project="/project",
        plan_path=None,
        plan=plan_of(stream("a")),
        approve=False,
        wall=1000.0,
    )
    journal.append([ev.Recorded(1, 0.0, None, started), *map(delay, range(2, EVENTS - 9))])
    state = journal.load()
    assert state is not None
    journal.save_snapshot(state)
    journal.append(map(delay, range(EVENTS - 9, EVENTS + 1)))
    journal.close()
    return home


def without_snapshot(home: RunFolder) -> None:
    db = apsw.Connection(str(home.journal))
    db.execute("DELETE FROM snapshot")
    db.close()


def spoil_event(home: RunFolder, seq: int) -> None:
    db = apsw.Connection(str(home.journal))
    db.execute("UPDATE event SET body = x'00ff' WHERE seq = ?", (seq,))
    db.close()


def spoil_page(home: RunFolder) -> None:
    """Write nonsense over a page in which events lie."""
    db = apsw.Connection(str(home.journal))
    size = int(db.pragma("page_size"))
    db.close()
    content = home.journal.read_bytes()
    at = content.index(b"100 100 100 ") // size * size
    home.journal.write_bytes(content[:at] + b"\xff" * size + content[at + size :])


def spoil_text(home: RunFolder) -> None:
    """Put a byte that is no text into the words of an event, as a failing disk does."""
    content = home.journal.read_bytes()
    at = content.index(b"100 100 100 ")
    home.journal.write_bytes(content[:at] + b"\xff" + content[at + 1 :])


def cut_short(home: RunFolder) -> None:
    """Leave the first three quarters of the file."""
    content = home.journal.read_bytes()
    home.journal.write_bytes(content[: len(content) * 3 // 4])


def spoil_number(home: RunFolder) -> None:
    """Give an event a number that nobody can count up to."""
    db = apsw.Connection(str(home.journal))
    db.execute("UPDATE event SET seq = 1 << 60 WHERE seq = 100")
    db.close()


def lose_the_beginning(home: RunFolder) -> None:
    """Have the first event tell something else than how the run began."""
    db = apsw.Connection(str(home.journal))
    db.execute("UPDATE event SET body = (SELECT body FROM event WHERE seq = 2) WHERE seq = 1")
    db.close()


def no_journal_at_all(home: RunFolder) -> None:
    home.journal.write_bytes(b"this was a journal once " * 1000)


def reached(home: RunFolder) -> int:
    journal = Journal.open(home.journal, "read")
    state = journal.load()
    facts = (journal.meta("folder"), journal.meta("number"))
    journal.close()
    assert state is not None
    assert facts == ("/project", "7")
    return state.seq


def test_a_whole_journal_is_left_alone(home: RunFolder) -> None:
    """Byte for byte."""
    before = home.journal.read_bytes()
    assert salvage(home) is None
    assert home.journal.read_bytes() == before


def spoil_one_event(home: RunFolder) -> None:
    spoil_event(home, 100)


@pytest.mark.parametrize("spoil", [spoil_one_event, spoil_page])
def test_with_a_snapshot_behind_the_damage_nothing_of_the_state_is_lost(
    home: RunFolder, spoil: Callable[[RunFolder], None]
) -> None:
    """The history has a hole, which is named; the run goes on from its last event."""
    spoil(home)
    before = home.journal.read_bytes()
    done = salvage(home)
    assert done is not None
    assert EVENTS // 2 < done.events < EVENTS
    assert reached(home) == EVENTS
    assert "in the state, but not in its history" in done.lost[0]
    assert Path(done.damaged).read_bytes() == before
    assert salvage(home) is None


def test_without_a_snapshot_the_run_goes_on_from_before_the_damage(home: RunFolder) -> None:
    """What came after the hole cannot be followed, and is counted."""
    spoil_event(home, 100)
    without_snapshot(home)
    done = salvage(home)
    assert done is not None
    assert (done.events, reached(home)) == (99, 99)
    assert done.lost == ("100 events after number 99, which cannot be followed",)


def test_where_nothing_can_be_read_nothing_is_touched(home: RunFolder) -> None:
    """It is said, and the file stays."""
    no_journal_at_all(home)
    before = home.journal.read_bytes()
    done = salvage(home)
    assert done is not None
    assert (done.events, done.damaged) == (0, "")
    assert home.journal.read_bytes() == before
    with pytest.raises(AnabranchError, match="damaged"):
        Journal.open(home.journal, "read")


def test_the_journal_of_a_hosted_run_is_left_alone(home: RunFolder) -> None:
    """Whoever holds its lock writes to it."""
    spoil_page(home)
    lock = RunLock.acquire(home.lock)
    assert lock is not None
    assert salvage(home) is None
    lock.release()
    assert salvage(home) is not None


@pytest.mark.parametrize("spoil", [spoil_text, cut_short, spoil_number])
def test_whatever_is_damaged_the_run_goes_on_from_before_it(
    home: RunFolder, spoil: Callable[[RunFolder], None]
) -> None:
    """Text that is none, a file cut short, a number without end."""
    without_snapshot(home)
    spoil(home)
    saved = salvage(home)
    assert saved is not None
    assert saved.damaged
    assert 1 <= reached(home) < EVENTS
    assert salvage(home) is None


def test_a_run_without_its_beginning_is_told_as_damaged(home: RunFolder) -> None:
    """Events that make no sense are damage, and no fault of the program."""
    without_snapshot(home)
    lose_the_beginning(home)
    journal = Journal.open(home.journal, "read")
    with pytest.raises(AnabranchError) as raised:
        journal.load()
    journal.close()
    assert raised.value.code == "journal_damaged"
    saved = salvage(home)
    assert saved is not None
    assert (saved.damaged, saved.lost) == ("", ("nothing that can be followed is left",))
