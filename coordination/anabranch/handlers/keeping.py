"""Where handlers' outputs and results go, and the writing of the book."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable

from . import book
from .plain import plain
from .slot import COPY_BYTES, Slot

SYNC_SECONDS = 0.05
MOST_RESULT_BYTES = 4 * 1024 * 1024

Wait = Callable[[OSError], None]
"""Waits until there may be room again, or raises what it is given."""


def wait_for_nothing(error: OSError) -> None:
    """Have whoever writes hear at once that there is no room."""
    raise error


class Packs:
    """Where outputs and results lie behind each other; ``wait`` hears of every want of room."""

    def __init__(self, folder: str, wait: Wait = wait_for_nothing) -> None:
        self._folder, self._wait = folder, wait
        self._output = plain(f"{folder}/output.pack", os.O_WRONLY | os.O_CREAT)
        self._results = plain(f"{folder}/results.pack", os.O_WRONLY | os.O_CREAT)
        self._output_end = os.fstat(self._output).st_size
        self._results_end = os.fstat(self._results).st_size

    @property
    def has_results(self) -> bool:
        """Whether any handler has ever had a result."""
        return self._results_end > 0

    def write_results(self, attempt: int) -> None:
        """Write the results of an attempt in the order of the items, a JSON line each."""
        found: dict[int, tuple[int, int]] = {}
        if self.has_results:
            found = book.results_of_attempt(f"{self._folder}/book", attempt)
        beside = f"{self._folder}/results.new"
        kept = f"{self._folder}/results.pack"
        with open(beside, "wb", opener=plain) as out, open(kept, "rb", opener=plain) as pack:
            for place, (offset, length) in sorted(found.items()):
                pack.seek(offset)
                out.write(b'{"index":%d,"result":%s}\n' % (place, pack.read(length)))
        os.replace(beside, f"{self._folder}/results.jsonl")

    def take_output(self, slot: Slot) -> tuple[int, int]:
        """Move a slot's output into the pack; return where it lies there and how long it is."""
        try:
            size = slot.cut_flood()
        except OSError:  # then all of it is moved
            size = slot.written_bytes
        offset, length = self._output_end, 0
        while length < size and (data := os.pread(slot.output, COPY_BYTES, length)):
            self._write(self._output, data, offset + length)
            length += len(data)
        self._output_end += length
        return offset, length

    def take_result(self, slot: Slot) -> tuple[int, int] | str | None:
        """Move a result into the pack; return where it lies, or why it cannot be taken."""
        text = read_result(slot)
        if text is not None:
            slot.forget_result()
        if not isinstance(text, bytes):
            return text
        return self.keep_result(text)

    def keep_output(self, data: bytes) -> tuple[int, int]:
        """Add an output to the pack; return where it lies there and how long it is."""
        offset = self._output_end
        self._write(self._output, data, offset)
        self._output_end += len(data)
        return offset, len(data)

    def keep_result(self, text: bytes) -> tuple[int, int]:
        """Add a result, JSON, to the pack; return where it lies there and how long it is."""
        offset = self._results_end
        self._write(self._results, text, offset)
        self._results_end += len(text)
        return offset, len(text)

    def _write(self, file: int, data: bytes, at: int) -> None:
        """Write all of it at a place: what was written of it before, in vain, is written over."""
        done = 0
        while done < len(data):
            try:
                done += os.pwrite(file, data[done:], at + done)
            except OSError as error:
                self._wait(error)

    def close(self) -> None:
        """Let the files go."""
        os.close(self._output)
        os.close(self._results)


def read_result(slot: Slot) -> bytes | str | None:
    """Return a result as JSON, None if there is none; or why it cannot be taken."""
    try:
        data = _read_plain(slot.result, MOST_RESULT_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"its result cannot be read: {error.strerror}"
    if len(data) > MOST_RESULT_BYTES:
        return f"its result has more than {MOST_RESULT_BYTES} bytes"
    try:
        return json.dumps(json.loads(data), separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        return f"its result is not JSON: {error}"


class Ledger:
    """Writes the book: a round's lines at once, durable a moment later."""

    def __init__(self, path: str, wait: Wait = wait_for_nothing) -> None:
        """Open it; ``wait`` hears of every want of room. Raises OSError."""
        self._wait = wait
        book.cut_half_line(path)
        self._book = plain(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._lines: list[str] = []
        self._unwritten = b""
        self._is_dirty, self._is_closing = threading.Event(), threading.Event()
        self._syncing = threading.Thread(target=self._sync_till_closed, daemon=True)
        self._syncing.start()

    def note(self, line: str) -> None:
        """Have a line written with this round."""
        self._lines.append(line)

    def write(self) -> None:
        """Write what was noted; what there was no room for is written the next time."""
        if not self._lines and not self._unwritten:
            return
        self._unwritten += "".join(self._lines).encode()
        self._lines.clear()
        while self._unwritten:
            try:
                self._unwritten = self._unwritten[os.write(self._book, self._unwritten) :]
            except OSError as error:
                self._wait(error)
        if not self._is_dirty.is_set():
            self._is_dirty.set()

    def close(self) -> None:
        """Write and make durable what is left, and let the file go."""
        self.write()
        self._is_closing.set()
        self._is_dirty.set()
        self._syncing.join()
        os.fdatasync(self._book)
        os.close(self._book)

    def _sync_till_closed(self) -> None:
        while not self._is_closing.is_set():
            self._is_dirty.wait()
            self._is_dirty.clear()
            os.fdatasync(self._book)
            self._is_closing.wait(SYNC_SECONDS)


def _read_plain(path: str, most_bytes: int) -> bytes:
    """Return what a file holds. Raises OSError if it is not a plain file."""
    with os.fdopen(plain(path, os.O_RDONLY), "rb") as file:  # mostly nothing is there
        return file.read(most_bytes)
