"""The journal keeps what it acknowledged, through kills, damage and full disks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import get_type_hints

import apsw
import pytest

from anabranch.core import events as ev
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model import pieces
from anabranch.core.model.snapshots import encode_in_pieces
from anabranch.core.model.state import State
from anabranch.engine import journal as journals
from anabranch.engine.journal import CHECKPOINT_EVERY, ROWS_AT_ONCE, Journal
from anabranch.engine.journal_errors import JournalDamaged
from anabranch.errors import DiskFull, MachineShort, WorldError
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of, stream
from anabranch.testing.memory_store import replay
from tests.core.talking import Talk

KILLS = 30
TMPFS_BYTES = 1_000_000
TMPFS_FILES = 20

WIRE_NAMES = Path(__file__).parents[1] / "fixtures" / "event_names.txt"

# Appends events one a transaction, and says each number once it is acknowledged.
WRITER = """
import sys
from pathlib import Path
from anabranch.core import events as ev
from anabranch.engine.journal import Journal
journal = Journal.open(Path(sys.argv[1]), "write")
seq = int(sys.argv[2])
while True:
    seq += 1
    delayed = ev.StreamDelayed("a", attempt=1, reason="x" * 200)
    journal.append([ev.Recorded(seq, float(seq), None, delayed)])
    if seq % 50 == 0:
        journal._db.wal_checkpoint()
    sys.stdout.write(f"{seq}\\n")
    sys.stdout.flush()
"""


@pytest.fixture
def run() -> ByHand:
    """A run that has come to its end."""
    run = ByHand(plan_of(stream("a"), stream("b", "a")), load_plugins().strategies)
    run.succeed("a", "b")
    run.merged()
    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def written(path: Path, run: ByHand) -> Journal:
    """Return a new journal that holds a run's events."""
    journal = Journal.create(path, {"project": "/p"})
    journal.append(run.records)
    return journal


def delay(seq: int, size: int = 10) -> ev.Recorded:
    return ev.Recorded(
        seq, float(seq), None, ev.StreamDelayed(StreamId("a"), attempt=1, reason="x" * size)
    )


# --- reading what was written --------------------------------------------------------------------


def test_what_is_appended_is_read_again(path: Path, run: ByHand) -> None:
    """Event by event, from anywhere, by another connection."""
    written(path, run).close()
    journal = Journal.open(path, "read")
    assert list(journal.read()) == run.records
    assert list(journal.read(after=5, limit=2)) == run.records[5:7]
    assert journal.meta("project") == "/p"
    assert journal.meta("nobody") is None
    journal.close()


def test_a_journal_adds_up_to_the_state(path: Path, run: ByHand) -> None:
    journal = written(path, run)
    assert journal.load() == run.state
    journal.close()


def test_a_new_journal_adds_up_to_nothing(path: Path) -> None:
    journal = Journal.create(path, {})
    assert journal.load() is None
    journal.close()


@pytest.mark.parametrize("limit", [-1, 0, 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 5 * ROWS_AT_ONCE])
def test_a_long_journal_is_read_piece_by_piece(path: Path, limit: int) -> None:
    """All of it or as much as is wanted, in order and without a hole."""
    journal = Journal.create(path, {})
    whole = [
        ev.Recorded(n, 0.0, None, ev.StreamDelayed(StreamId("a"), attempt=1, reason=""))
        for n in range(1, 2 * ROWS_AT_ONCE + 4)
    ]
    journal.append(whole)
    wanted = whole[3:] if limit < 0 else whole[3 : 3 + limit]
    assert list(journal.read(3, limit)) == wanted
    journal.close()


def test_a_snapshot_shortens_the_way_and_changes_nothing(path: Path, run: ByHand) -> None:
    """Loading begins at the newest snapshot: the events before it are not needed for it."""
    journal = written(path, run)
    early = replay(run.records[:10])
    assert early is not None
    journal.save_snapshot(early)
    assert journal.load() == run.state
    with raw(path) as db:
        db.execute("DELETE FROM event WHERE seq < 10")
    assert journal.load() == run.state
    journal.close()


@pytest.mark.parametrize("body", [b"", b"rubbish", b"x\x9cK\x04\x00\x00b\x00b"])
def test_a_snapshot_that_cannot_be_read_is_passed_over(
    path: Path, run: ByHand, body: bytes
) -> None:
    journal = written(path, run)
    journal.save_snapshot(run.state)
    with raw(path) as db:
        db.execute("UPDATE snapshot SET body = ?", (body,))
    assert journal.load() == run.state
    journal.close()


def test_nobody_waits_for_a_whole_snapshot(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made of the state that it began with, by a piece now and then, and then it counts."""
    talk = Talk("a")
    monkeypatch.setattr(journals, "SNAPSHOT_EVERY", 100)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 100)
    made: list[int] = []

    def counted(state: State) -> Iterator[bytes]:
        for piece in encode_in_pieces(state):
            made[-1] += 1
            yield piece

    monkeypatch.setattr(journals, "encode_in_pieces", counted)
    journal = Journal.create(path, {})
    journal.append(talk.records)
    with talk.in_bulk():
        while journal._snapshot() is None:
            seen = len(talk.records)
            talk.sets("a", "k", "x" * 50)
            journal.append(talk.records[seen:])
            made.append(0)
            journal.tidy(talk.state)
    assert sum(made) > 20
    assert max(made) <= 2
    snapshot = journal._snapshot()
    assert snapshot is not None
    assert snapshot == replay(talk.records[: snapshot.seq])
    assert journal.load() == talk.state
    journal.close()


def test_the_log_is_folded_back_while_others_append(path: Path) -> None:
    """By another thread, which the writer does not wait for; nothing of it is lost."""
    journal = Journal.create(path, {})
    journal.append([delay(n) for n in range(1, CHECKPOINT_EVERY)])
    before = path.stat().st_size
    assert not journal.fold_back()
    assert path.stat().st_size == before, "little was appended"
    journal.append([delay(CHECKPOINT_EVERY)])
    with ThreadPoolExecutor(1) as other:
        folding = other.submit(journal.fold_back)
        seq = CHECKPOINT_EVERY
        while not folding.done():
            seq += 1
            journal.append([delay(seq)])
        assert not folding.result(), "the log is not long"
    assert path.stat().st_size > before
    journal.append([delay(seq + 1)])
    reader = Journal.open(path, "read")
    assert [r.seq for r in reader.read()] == list(range(1, seq + 2))
    assert reader.faults() == []
    reader.close()
    journal.close()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_log_that_never_ends_begins_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "LONGEST_LOG_PAGES", 10)
    journal = Journal.create(path, {})
    log = path.with_name(f"{path.name}-wal")
    sizes = []
    for start in range(1, 5 * CHECKPOINT_EVERY, CHECKPOINT_EVERY + 1):
        journal.append([delay(n) for n in range(start, start + CHECKPOINT_EVERY)])
        sizes.append(log.stat().st_size)
        assert journal.fold_back()
        journal.append([delay(start + CHECKPOINT_EVERY)])
        journal.checkpoint()
    assert sizes[-1] < 2 * sizes[0]
    journal.close()


def test_what_is_in_the_place_of_a_journal_is_left_alone(path: Path) -> None:
    journal = Journal.create(path, {})
    journal.append([delay(n) for n in range(1, CHECKPOINT_EVERY + 1)])
    for left in path.parent.glob("journal.db*"):
        left.unlink()
    path.write_bytes(b"")
    assert not journal.fold_back()
    assert path.read_bytes() == b""
    journal.put_back()
    journal.close()


def test_a_turn_is_appended_whole_or_not_at_all(path: Path) -> None:
    """The second event has a number that is taken, so the first is not kept either."""
    journal = Journal.create(path, {})
    journal.append([delay(1)])
    with pytest.raises(WorldError):
        journal.append([delay(2), delay(1)])
    assert [r.seq for r in journal.read()] == [1]
    journal.append([])
    journal.append([delay(2)])
    assert journal.faults() == []
    journal.close()


def test_a_reader_sees_whole_turns_while_a_writer_writes(path: Path) -> None:
    """Neither waits for the other, and what is there is always a gapless beginning."""
    writer = Journal.create(path, {})
    reader = Journal.open(path, "read")
    seen = 0
    for turn in range(40):
        writer.append([delay(turn * 5 + n) for n in range(1, 6)])
        before = reader.changes()
        found = [r.seq for r in reader.read(after=seen)]
        assert found == list(range(turn * 5 + 1, turn * 5 + 6))
        seen = found[-1]
        assert reader.changes() == before
    reader.close()
    writer.close()


# --- what can go wrong ---------------------------------------------------------------------------


def test_thirty_kills_lose_nothing_that_was_acknowledged(path: Path) -> None:
    """A writer is killed at random moments; what is there is gapless and holds every promise."""
    Journal.create(path, {}).close()
    rng, last = Random(1), 0
    for _ in range(KILLS):
        acknowledged = kill_a_writer(path, last, rng.randint(1, 80))
        journal = Journal.open(path, "write")
        assert journal.faults() == []
        numbers = [r.seq for r in journal.read()]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= acknowledged
        last = len(numbers)
        journal.close()


def kill_a_writer(path: Path, after: int, count: int) -> int:
    """Let a writer acknowledge some events, kill it, and return the last one it acknowledged."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(after)], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    try:
        for _ in range(count):
            assert writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split(b"\n")
        whole = [line for line in rest[:-1] if line]
        return int(whole[-1]) if whole else after + count
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


def test_a_log_that_was_cut_off_costs_only_its_last_turn(path: Path, tmp_path: Path) -> None:
    """A torn write-ahead log, as after a power cut, still gives a gapless beginning."""
    journal = Journal.create(path, {})
    for seq in range(1, 51):
        journal.append([delay(seq, 300)])
    torn = tmp_path / "torn.db"
    torn.write_bytes(path.read_bytes())
    log = Path(f"{path}-wal").read_bytes()
    Path(f"{torn}-wal").write_bytes(log[: len(log) - 1000])
    found = Journal.open(torn, "write")
    numbers = [r.seq for r in found.read()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 40 < len(numbers) < 50
    found.close()
    journal.close()


def test_a_damaged_file_is_refused_in_words(path: Path) -> None:
    path.write_bytes(b"this is no journal at all, but it is long enough to look like one" * 100)
    with pytest.raises(JournalDamaged, match="is damaged") as caught:
        Journal.open(path, "read")
    assert caught.value.hint


def test_an_event_of_a_newer_kind_is_refused_in_words(path: Path) -> None:
    journal = Journal.create(path, {})
    with raw(path) as db:
        db.execute("INSERT INTO event VALUES (1, 0, NULL, ?)", (b'{"type":"stars_aligned"}',))
    with pytest.raises(JournalDamaged, match="event 1 cannot be read"):
        journal.load()
    journal.close()


def test_a_newer_format_is_refused_in_words(path: Path) -> None:
    Journal.create(path, {}).close()
    with raw(path) as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    with pytest.raises(JournalDamaged, match="format 99, this version reads 1") as caught:
        Journal.open(path, "write")
    assert caught.value.hint == "use the version of Anabranch that wrote it"


def test_a_journal_that_is_not_there_is_refused_in_words(path: Path) -> None:
    with pytest.raises(WorldError, match="there is no journal"):
        Journal.open(path, "read")


def test_a_journal_that_cannot_be_written_to_is_still_read(small_disk: Path, path: Path) -> None:
    """On a read-only medium, also what was not folded back into the file when its engine died."""
    journal = Journal.create(path, {})
    journal.append([delay(seq) for seq in range(1, 11)])
    for name in (path.name, f"{path.name}-wal"):
        shutil.copyfile(path.with_name(name), small_disk / name)
    journal.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, timeout=10)
    found = Journal.open(small_disk / path.name, "read")
    assert [r.seq for r in found.read()] == list(range(1, 11))
    assert found.faults() == []
    found.close()
    with pytest.raises(WorldError) as refused:
        Journal.open(small_disk / path.name, "write")
    assert "there is no journal" not in refused.value.message


def test_why_a_journal_cannot_be_opened_is_found_out_not_guessed(path: Path) -> None:
    """A pipe is not a missing file; a journal that somebody keeps locked is one later."""
    os.mkfifo(path)
    with pytest.raises(WorldError, match="is not a plain file"):
        Journal.open(path, "read")
    path.unlink()
    journal = Journal.create(path, {})
    journal._db.set_busy_timeout(1)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(MachineShort, match="just now"):
        journal.append([delay(1)])
    other.execute("ROLLBACK")
    other.close()
    journal.append([delay(1)])
    assert journal.faults() == []
    journal.close()


def test_a_missing_event_is_found(path: Path) -> None:
    journal = Journal.create(path, {})
    journal.append([delay(n) for n in range(1, 6)])
    with raw(path) as db:
        db.execute("DELETE FROM event WHERE seq = 3")
    assert journal.faults() == ["5 events were numbered, 4 are there"]
    journal.close()


# --- a journal that somebody has removed ----------------------------------------------------------


def test_a_journal_that_was_removed_is_put_back_whole(path: Path, run: ByHand) -> None:
    """Nothing is lost, what comes later is in the new file, and whoever reads it finds all."""
    journal = written(path, run)
    seq = run.state.seq
    for left in path.parent.glob("journal.db*"):
        left.unlink()
    assert not journal.is_in_place()
    journal.put_back()
    assert journal.is_in_place()
    journal.append([delay(seq + 1)])
    journal.sync()
    reader = Journal.open(path, "read")
    assert [r.seq for r in reader.read()] == list(range(1, seq + 2))
    assert reader.faults() == []
    reader.close()
    journal.close()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_another_file_in_the_place_of_a_journal_is_moved_aside(path: Path, run: ByHand) -> None:
    """Its write-ahead log is not taken for ours."""
    journal = written(path, run)
    for left in path.parent.glob("journal.db*"):
        left.unlink()
    other = Journal.create(path, {})
    other.append([delay(1), delay(2)])
    assert Path(f"{path}-wal").stat().st_size > 0
    journal.put_back()
    reader = Journal.open(path, "read")
    assert reader.load() == run.state
    reader.close()
    journal.close()
    assert path.with_name("journal.db.other").exists()


def test_a_journal_that_cannot_be_put_back_goes_on_as_it_is(tmp_path: Path, run: ByHand) -> None:
    """Its folder is gone, too: that is told, and it is tried again."""
    folder = tmp_path / "run"
    folder.mkdir()
    journal = written(folder / "journal.db", run)
    seq = run.state.seq
    folder.rename(tmp_path / "away")
    with pytest.raises(WorldError):
        journal.put_back()
    journal.append([delay(seq + 1)])
    assert [r.seq for r in journal.read()] == list(range(1, seq + 2))
    (tmp_path / "away").rename(folder)
    assert journal.is_in_place()
    journal.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of about a megabyte, if we may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size={TMPFS_BYTES},nr_inodes={TMPFS_FILES}",
        "tmpfs",
        str(folder),
    ]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False, timeout=10)
    except OSError as error:
        pytest.skip(f"mount cannot be run: {error}")
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def fill(journal: Journal) -> None:
    """Append until nothing more goes in."""
    for seq in range(1, 1000):
        journal.append([delay(seq, 2000)])


def test_a_full_disk_is_no_end(small_disk: Path) -> None:
    """Appending fails without a trace; with room again the same turn goes in, and nothing lacks."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * (TMPFS_BYTES // 2))
    journal = Journal.create(small_disk / "journal.db", {})
    with pytest.raises(DiskFull) as caught:
        fill(journal)
    assert "the run goes on by itself" in caught.value.hint
    kept = [r.seq for r in journal.read()]
    seq = len(kept)
    assert kept == list(range(1, seq + 1))
    ballast.unlink()
    journal.append([delay(seq + 1, 2000)])
    assert journal.faults() == []
    journal.close()


def test_a_disk_that_can_hold_no_more_files_is_full(small_disk: Path) -> None:
    """SQLite makes small files beside a journal, and only says that it cannot be opened."""
    journal = Journal.create(small_disk / "journal.db", {})
    journal.close()
    with suppress(OSError):
        for n in range(TMPFS_FILES):
            (small_disk / f"more{n}").touch()
    with pytest.raises(DiskFull, match="the disk is full"):
        Journal.open(small_disk / "journal.db", "write")


def test_a_disk_that_fails_in_the_middle_is_not_a_damaged_journal(path: Path) -> None:
    """SQLite rolls back by itself, and then has nothing to roll back: that is not the reason."""
    code = """
import resource, signal, sys
from pathlib import Path
from anabranch.engine.journal import Journal
from anabranch.errors import MachineShort
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_480, 20_480))
try:
    Journal.create(Path(sys.argv[1]), {"project": "/p"})
except MachineShort as error:
    print(error.message)
"""
    found = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "the disk does not take the journal" in found.stdout


# --- names that scripts rely on ------------------------------------------------------------------


def test_the_wire_names_of_events_are_stable() -> None:
    """Journals and scripts hold these names; one may be added, none may go or change."""
    assert (
        sorted(ev.wire_name(kind.__name__) for kind in ev.event_types())
        == WIRE_NAMES.read_text().split()
    )


def test_what_events_call_alike_is_alike() -> None:
    """Whoever reads them asks for ``stream`` and ``streams`` without knowing the kind of event."""
    shapes: dict[str, set[object]] = {}
    for kind in ev.event_types():
        for name, shape in get_type_hints(kind).items():
            if name in ("stream", "streams", "point", "attempt", "attempts"):
                shapes.setdefault(name, set()).add(shape)
    assert shapes["streams"] <= {tuple[StreamId, ...], tuple[StreamId, StreamId]}
    assert shapes["stream"] <= {StreamId, StreamId | None}
    assert shapes["attempt"] == {Attempt}


def test_an_event_stands_in_the_journal_under_its_wire_name(path: Path) -> None:
    journal = Journal.create(path, {})
    journal.append([delay(1)])
    with raw(path) as db:
        ((body,),) = db.execute("SELECT body FROM event").fetchall()
    expected = b'{"type":"stream_delayed","stream":"a","attempt":1,"reason":"xxxxxxxxxx"}'
    assert body == expected
    journal.close()


def test_every_kind_of_event_comes_back_as_it_was(path: Path, run: ByHand) -> None:
    journal = written(path, run)
    assert list(journal.read()) == run.records
    state: State | None = replay(list(journal.read()))
    assert state == run.state
    journal.close()


class raw:
    """A second connection to the file, as somebody who tampers with it has."""

    def __init__(self, path: Path) -> None:
        self._db = apsw.Connection(str(path))

    def __enter__(self) -> apsw.Connection:
        return self._db

    def __exit__(self, *_: object) -> None:
        self._db.close()
