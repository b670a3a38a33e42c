"""The journal: an append-only table of events in SQLite, and snapshots of the state.

One engine writes (it holds the run's flock), anybody may read. A turn of the engine is one
transaction, so the cost of durability is shared by everything that happened in it. Nobody who
waits for a commit waits for the tidying up: a snapshot is made piece by piece, a few after each
turn, and the write-ahead log is folded back from another thread, when *we* say.

What is committed survives the death of every process at once, and a power cut after the next
:meth:`Journal.sync`, which the host calls from another thread within :data:`SYNC_SECONDS`. A power
cut also ends every stream, so the most it can cost is to do again what the last instant did.

SQLite comes from apsw rather than from the interpreter: distributions still ship versions whose
write-ahead log can be corrupted when two connections checkpoint at once (fixed in SQLite 3.51.3).
"""

from __future__ import annotations

import os
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import apsw
import msgspec

from anabranch.core.events import Recorded
from anabranch.core.folds.evolve import evolve, first_state
from anabranch.core.ids import Seq
from anabranch.core.model.snapshots import SNAPSHOT_FORMAT, decode_state, encode_in_pieces
from anabranch.core.model.state import State
from anabranch.engine.event_reading import decode_event
from anabranch.engine.journal_errors import REPAIR, JournalDamaged, journal_errors, require_plain
from anabranch.plain_files import copy_plain, open_plain
from anabranch.undecodable import UNDECODABLE

FORMAT = 1
SNAPSHOT_EVERY = 10_000
SNAPSHOT_AT_END = 500
EVENTS_A_PIECE = 50
"""A snapshot under way goes on by one piece for so many events."""
CHECKPOINT_EVERY = 2_000
LONGEST_LOG_PAGES = 4_096
"""While it is written to, a log is folded back in time but never to its end, and so never begins
anew: when it is longer than that, the writer folds back the little that is left."""
SYNC_SECONDS = 0.05
ROWS_AT_ONCE = 256
LARGEST_JOURNAL_BYTES = 1 << 40

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, cause INTEGER, body BLOB NOT NULL
);
CREATE TABLE snapshot (seq INTEGER PRIMARY KEY, format INTEGER NOT NULL, body BLOB NOT NULL);
"""

_ENCODER = msgspec.json.Encoder()


def decode_row(row: Sequence[Any]) -> Recorded:
    """Read an event as a row of a journal holds it. Raises ValueError if the row is damaged."""
    try:
        seq, at, cause, body = row
        return Recorded(int(seq), float(at), cause and int(cause), decode_event(body))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


class Journal:
    """One run's journal. Not thread-safe: each thread opens its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection
        self._path = Path(connection.filename)
        self._identity = _identity(self._path)
        self._wal: int | None = None
        self._former_wals: list[int] = []
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._appended = self._folded_back = 0
        self._folding = threading.Lock()
        self._last_snapshot: Seq = 0
        self._drafted: _Snapshot | None = None

    # --- opening ---------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, meta: dict[str, str]) -> Journal:
        """Make a new journal. Raises DiskFull, WorldError."""
        with journal_errors(path, names_path=True):
            journal = cls(_connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE))
            with journal._db:
                journal._db.execute(_SCHEMA)
            journal.set_meta(format=str(FORMAT), **meta)
            return journal

    @classmethod
    def open(cls, path: Path, mode: Literal["write", "read"]) -> Journal:
        """Open a journal that exists. Raises JournalDamaged, MachineShort, WorldError."""
        with journal_errors(path, names_path=True):
            require_plain(path)  # SQLite would wait for somebody to write to a pipe
            journal = cls(_connect(path, apsw.SQLITE_OPEN_READWRITE)) if mode == "write" else None
            journal = journal or cls._open_to_read(path)
            found = journal.meta("format")
            if found != str(FORMAT):
                raise JournalDamaged(
                    f"{path} has journal format {found}, this version reads {FORMAT}",
                    "use the version of Anabranch that wrote it",
                )
            return journal

    @classmethod
    def _open_to_read(cls, path: Path) -> Journal:
        """Open a journal to read it, by way of a copy where SQLite could not share it.

        That takes place in a folder that cannot be written to, on a medium or of somebody else's.
        """
        try:
            journal = cls(_connect(path, apsw.SQLITE_OPEN_READONLY))
            journal.meta("format")
        except (apsw.CantOpenError, apsw.ReadOnlyError):
            copy = tempfile.TemporaryDirectory(prefix="anabranch-journal-")
            for name in (path.name, f"{path.name}-wal"):
                with suppress(FileNotFoundError):
                    copy_plain(path.with_name(name), Path(copy.name, name), LARGEST_JOURNAL_BYTES)
            journal = cls(_connect(Path(copy.name, path.name), apsw.SQLITE_OPEN_READWRITE))
            journal._copy = copy
        return journal

    def close(self) -> None:
        """Close the connection; a writer leaves no write-ahead log behind."""
        if self._copy is not None:
            self._copy.cleanup()
        for wal in (*self._former_wals, *((self._wal,) if self._wal is not None else ())):
            os.close(wal)
        self._former_wals, self._wal = [], None
        with self._folding:  # whoever closes last takes the write-ahead log away
            self._db.close()

    def is_in_place(self) -> bool:
        """Return whether the file is where it was: somebody can remove it, or put another there."""
        return _identity(self._path) == self._identity

    def put_back(self) -> None:
        """Write a journal that was removed anew, all of it, and go on in the new file.

        What stands in its place is moved aside. Raises DiskFull, WorldError: then nothing has
        changed, and it can be tried again.
        """
        draft, log = self._path.with_name(f".{self._path.name}"), f"{self._path}-wal"
        with journal_errors(self._path):
            draft.unlink(missing_ok=True)
            self._db.execute("VACUUM INTO ?", (str(draft),))
            if os.path.lexists(self._path):
                os.replace(self._path, self._path.with_name(f"{self._path.name}.other"))
            # What another file's log holds must not be taken for ours; and SQLite would remove
            # our new log by its name when the former connection goes.
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._db.close()
            for left in (log, f"{self._path}-shm"):
                Path(left).unlink(missing_ok=True)
            os.replace(draft, self._path)
            self._db = _connect(self._path, apsw.SQLITE_OPEN_READWRITE)
        if self._wal is not None:  # a thread may be using it just now
            self._former_wals.append(self._wal)
        self._wal, self._identity = None, _identity(self._path)

    # --- facts about the run ---------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        """Return a fact about the run that is not an event (its boot id, its clock's zero)."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else None

    def set_meta(self, **facts: str) -> None:
        """Set facts about the run, all or none."""
        with journal_errors(self._path), self._db:
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())

    # --- events ----------------------------------------------------------------------------------

    def append(self, records: Iterable[Recorded]) -> None:
        """Make events durable, all or none. Raises DiskFull, WorldError."""
        rows = [(r.seq, r.at, r.cause, _ENCODER.encode(r.event)) for r in records]
        if not rows:
            return
        with journal_errors(self._path), self._db:
            self._db.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", rows)
        self._appended += len(rows)

    def sync(self) -> None:
        """Make what was appended survive a power cut too. May be called from any thread.

        The write-ahead log is synchronised through a descriptor of its own: SQLite keeps no locks
        on that file, which opening and closing it could drop.
        """
        wal = self._wal
        if wal is None:
            self._wal = wal = open_plain(f"{self._path}-wal")
        os.fdatasync(wal)

    def read(self, after: Seq = 0, limit: int = -1) -> Iterator[Recorded]:
        """Yield events after a number, oldest first.

        They are fetched a piece at a time: an open read would keep the write-ahead log from being
        folded back, and all at once could take more memory than there is.
        """
        left = limit
        while left:
            most = ROWS_AT_ONCE if left < 0 else min(left, ROWS_AT_ONCE)
            rows = self._rows(after, most)
            for row in rows:
                try:
                    yield decode_row(row)
                except ValueError as error:
                    reason = f"event {row[0]} cannot be read: {error}"
                    raise JournalDamaged(reason, REPAIR) from error
            if len(rows) < most:
                return
            after, left = rows[-1][0], left - len(rows) if left > 0 else left

    def _rows(self, after: Seq, most: int) -> list[tuple[Any, ...]]:
        with journal_errors(self._path):
            found: list[tuple[Any, ...]] = self._db.execute(
                "SELECT seq, at, cause, body FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
                (after, most),
            ).fetchall()
            return found

    def changes(self) -> int:
        """Return a number that differs after another connection has committed."""
        return int(self._db.pragma("data_version"))

    # --- states ----------------------------------------------------------------------------------

    def load(self) -> State | None:
        """Return the state that the journal adds up to: its last snapshot and what came after."""
        with journal_errors(self._path):
            state = self._snapshot()
        after = state.seq if state else 0
        for record in self.read(after):
            if record.seq != after + 1:
                raise JournalDamaged(f"event {after + 1} is missing", REPAIR)
            after = record.seq
            try:
                state = evolve(state, record) if state else first_state(record)
            except Exception as error:
                reason = f"event {record.seq} does not follow from what was before"
                raise JournalDamaged(reason, REPAIR) from error
        return state

    def _snapshot(self) -> State | None:
        row = self._db.execute(
            "SELECT seq, body FROM snapshot WHERE format = ? ORDER BY seq DESC LIMIT 1",
            (SNAPSHOT_FORMAT,),
        ).fetchone()
        if row is None:
            return None
        try:
            state = decode_state(zlib.decompress(row[1]))
        except (*UNDECODABLE, zlib.error, TypeError):
            return None
        self._last_snapshot = int(row[0])
        return state

    def tidy(self, state: State) -> None:
        """Go on with a snapshot, or begin one when there is much to replay."""
        if state.has_ended:  # it is only read from now on
            if state.seq - self._last_snapshot >= SNAPSHOT_AT_END:
                self.save_snapshot(state)
        elif self._drafted is not None:
            if self._drafted.is_whole_at(state.seq):
                self._keep(self._drafted)
        elif state.seq - self._last_snapshot >= SNAPSHOT_EVERY:
            self._drafted = _Snapshot(state)

    def fold_back(self) -> bool:
        """Fold the write-ahead log back if much was appended; from any thread, while others append.

        Returns whether it is so long that it should begin anew, which takes a :meth:`checkpoint`.
        Raises DiskFull, MachineShort, WorldError.
        """
        appended = self._appended
        if appended - self._folded_back < CHECKPOINT_EVERY or not self.is_in_place():
            return False
        with self._folding, journal_errors(self._path):
            other = _connect(self._path, apsw.SQLITE_OPEN_READWRITE)
            try:
                # By the time that it closes, the names may be those of another journal.
                other.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                pages, _ = other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            finally:
                other.close()
        self._folded_back = appended
        return bool(pages > LONGEST_LOG_PAGES)

    def checkpoint(self) -> None:
        """Fold the write-ahead log back into the file; does nothing if nothing was appended."""
        if self._appended > self._folded_back:
            with journal_errors(self._path):
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._folded_back = self._appended

    def save_snapshot(self, state: State) -> None:
        """Keep a state, and the one before it; older ones go."""
        self._keep(_Snapshot(state))

    def _keep(self, snapshot: _Snapshot) -> None:
        row = (snapshot.seq, SNAPSHOT_FORMAT, snapshot.body())
        with journal_errors(self._path), self._db:
            self._db.execute("INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?)", row)
            self._db.execute("DELETE FROM snapshot WHERE seq < ?", (self._last_snapshot,))
        self._last_snapshot, self._drafted = snapshot.seq, None

    def faults(self) -> list[str]:
        """Return what is wrong with the file, in words: by SQLite's own check, and by the count."""
        with journal_errors(self._path):
            found = [str(r[0]) for r in self._db.execute("PRAGMA integrity_check") if r[0] != "ok"]
            row = self._db.execute("SELECT count(*), coalesce(max(seq), 0) FROM event").fetchone()
        if row and row[0] != row[1]:
            found.append(f"{row[1]} events were numbered, {row[0]} are there")
        return found


class _Snapshot:
    """A state on its way into the journal: encoded and compressed piece by piece."""

    def __init__(self, state: State) -> None:
        self.seq = self._advanced_at = state.seq
        self._pieces = encode_in_pieces(state)
        self._compressor = zlib.compressobj(level=1)
        self._body = bytearray()
        self._is_whole = False

    def is_whole_at(self, seq: Seq) -> bool:
        """Go on by as many pieces as there were events since the last time; is that all?"""
        self._advance(1 + (seq - self._advanced_at) // EVENTS_A_PIECE)
        self._advanced_at = seq
        return self._is_whole

    def body(self) -> bytes:
        """Return all of it, whatever there is still to be done."""
        while not self._is_whole:
            self._advance(EVENTS_A_PIECE)
        return bytes(self._body)

    def _advance(self, pieces: int) -> None:
        for _ in range(pieces):
            piece = next(self._pieces, None)
            if piece is None:
                self._body += self._compressor.flush()
                self._is_whole = True
                return
            self._body += self._compressor.compress(piece)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file a path names now, None if none."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _connect(path: Path, flags: int) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(5_000)
    if flags & apsw.SQLITE_OPEN_READWRITE:
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "normal")
        connection.wal_autocheckpoint(0)
    return connection
