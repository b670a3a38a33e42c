"""Saving what is whole of a damaged journal, and naming the rest.

Every event and every snapshot that can still be read is read by itself. The state is taken from
where it can be followed furthest without a hole: from the beginning, or from a snapshot. Up to
there the events go into a new journal; what came after a hole cannot be followed and is left out.
The damaged file is kept beside the new one. Streams' folders, logs and refs know the rest: what
runs is adopted, and what has ended is heard of again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import msgspec

from anabranch.core.events import Recorded
from anabranch.core.folds.evolve import evolve, first_state
from anabranch.core.ids import Seq
from anabranch.core.model.snapshots import SNAPSHOT_FORMAT, decode_state
from anabranch.core.model.state import State
from anabranch.core.wording import listing
from anabranch.engine.journal import Journal, decode_row
from anabranch.engine.run_lock import RunLock
from anabranch.errors import AnabranchError, machine_errors
from anabranch.paths import RunFolder
from anabranch.undecodable import UNDECODABLE

MOST_MISSING_IN_A_ROW = 1_000
MOST_HOLES_NAMED = 5
LEAST_ROW_BYTES = 16
_DAMAGED = (apsw.Error, *UNDECODABLE)
"""What SQLite, and reading what it hands out, say of a damaged file."""


class Salvaged(msgspec.Struct, frozen=True):
    """What became of a run's damaged journal.

    ``events`` are kept of what it held, in a new journal unless there are none; ``lost`` names what
    is not, ``damaged`` is where the old one lies now.
    """

    run: str
    fault: str
    events: int = 0
    lost: tuple[str, ...] = ()
    damaged: str = ""


@machine_errors()
def salvage(home: RunFolder) -> Salvaged | None:
    """Replace a run's journal, if it is damaged, by what can be saved of it.

    None if it is whole, or if somebody hosts the run. Raises WorldError.
    """
    fault = _fault_of(home.journal)
    lock = RunLock.acquire(home.lock) if fault else None
    if fault is None or lock is None:
        return None
    try:
        meta, events, snapshots = _read_all(home.journal)
        state = _furthest(events, snapshots)
        if state is None:
            return Salvaged(home.run, fault, lost=("nothing that can be followed is left",))
        kept = [events[seq] for seq in sorted(events) if seq <= state.seq]
        fresh = home.journal.with_suffix(".salvaged.db")
        _write(fresh, meta, kept, state)
        damaged = _swap(home.journal, fresh)
        return Salvaged(home.run, fault, len(kept), tuple(_lost(events, state.seq)), str(damaged))
    finally:
        lock.release()


def _fault_of(path: Path) -> str | None:
    try:
        journal = Journal.open(path, "read")
    except AnabranchError as error:
        return error.message if error.code == "journal_damaged" else None
    try:
        journal.load()
        for _ in journal.read():
            pass
        return next((f for f in journal.faults() if "were numbered" not in f), None)
    except AnabranchError as error:
        return error.message if error.code == "journal_damaged" else None
    except _DAMAGED as error:
        return str(error)
    finally:
        journal.close()


def _read_all(path: Path) -> tuple[dict[str, str], dict[Seq, Recorded], list[State]]:
    """Read what can be read: facts about the run, events by number, states."""
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        db.pragma("writable_schema", True)  # else SQLite reads nothing of a file cut short
        names = [str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema")]
    except _DAMAGED:
        return {}, {}, []
    meta: dict[str, str] = {}
    with suppress(*_DAMAGED):
        meta = {str(key): str(value) for key, value in db.execute("SELECT * FROM meta")}
    events = dict(_events(db)) if "event" in names else {}
    states = list(_states(db)) if "snapshot" in names else []
    db.close()
    return meta, events, states


def _events(db: apsw.Connection) -> Iterator[tuple[Seq, Recorded]]:
    seq, missing = 0, 0
    last = min(_last_seq(db), _most_events(db))
    while missing < MOST_MISSING_IN_A_ROW or seq < last:
        seq += 1
        missing += 1
        with suppress(*_DAMAGED):
            query = "SELECT seq, at, cause, body FROM event WHERE seq = ?"
            row: Any = db.execute(query, (seq,)).fetchone()
            if row is not None:
                yield seq, decode_row(row)
                missing = 0


def _most_events(db: apsw.Connection) -> Seq:
    """Return how many rows a file of its size has room for: a damaged number may be anything."""
    path = Path(db.filename)
    sizes = [p.stat().st_size for p in (path, path.with_name(f"{path.name}-wal")) if p.exists()]
    return sum(sizes) // LEAST_ROW_BYTES


def _last_seq(db: apsw.Connection) -> Seq:
    try:
        row = db.execute("SELECT max(seq) FROM event").fetchone()
    except _DAMAGED:
        return 0
    return int(row[0] or 0) if row else 0


def _states(db: apsw.Connection) -> Iterator[State]:
    with suppress(*_DAMAGED):
        rows = db.execute("SELECT body FROM snapshot WHERE format = ?", (SNAPSHOT_FORMAT,))
        for (body,) in rows:
            with suppress(*UNDECODABLE, zlib.error, TypeError):
                yield decode_state(zlib.decompress(body))


def _furthest(events: Mapping[Seq, Recorded], snapshots: list[State]) -> State | None:
    """Return the state that can be followed furthest."""
    begun = _begun(events)
    starts = [*snapshots, *([begun] if begun else [])]
    reached = [_followed(state, events) for state in starts]
    return max(reached, key=lambda state: state.seq, default=None)


def _begun(events: Mapping[Seq, Recorded]) -> State | None:
    with suppress(Exception):  # it says something else than it did
        return first_state(events[1]) if 1 in events else None
    return None


def _followed(state: State, events: Mapping[Seq, Recorded]) -> State:
    with suppress(Exception):  # one that says something else than it did leads nowhere
        while state.seq + 1 in events:
            state = evolve(state, events[state.seq + 1])
    return state


def _lost(events: Mapping[Seq, Recorded], reached: Seq) -> Iterator[str]:
    """Name the holes in what is kept, and what came after the last of them."""
    holes = [seq for seq in range(1, reached) if seq not in events]
    if holes:
        some = listing(holes, MOST_HOLES_NAMED)
        yield f"events {some}: what they say is in the state, but not in its history"
    after = sum(seq > reached for seq in events)
    if after:
        yield f"{after} events after number {reached}, which cannot be followed"


def _write(path: Path, meta: Mapping[str, str], events: list[Recorded], state: State) -> None:
    for old in (path, *(Path(f"{path}{end}") for end in ("-wal", "-shm"))):
        old.unlink(missing_ok=True)
    journal = Journal.create(path, {key: meta[key] for key in meta if key != "format"})
    try:
        journal.append(events)
        journal.save_snapshot(state)
    finally:
        journal.close()


def _swap(journal: Path, fresh: Path) -> Path:
    """Put the new journal in place; return where the damaged one lies."""
    number = 1
    while (aside := journal.with_name(f"journal.damaged-{number}.db")).exists():
        number += 1
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{journal}{end}").rename(f"{aside}{end}")
    journal.rename(aside)
    fresh.rename(journal)
    return aside
