"""What of handlers' results is taken: what everybody reads as JSON, and nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from anabranch.handlers import slot as slots
from anabranch.handlers.keeping import read_result
from anabranch.handlers.slot import FIRST_BYTES, LAST_BYTES, MOST_BYTES, Slot


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "[1e999]", "", "{", "[" * 100_000])
def test_what_others_cannot_read_is_not_taken_as_a_result(tmp_path: Path, text: str) -> None:
    slot = Slot(str(tmp_path), 0)
    try:
        Path(slot.result).write_text(text)
        assert str(read_result(slot)).startswith("its result is not JSON")
        Path(slot.result).write_text(' {"a": [1.5, null]} ')
        assert read_result(slot) == b'{"a":[1.5,null]}'
    finally:
        slot.close()


@pytest.mark.parametrize("takes_out", [True, False])
def test_what_is_written_while_a_flood_is_cut_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, takes_out: bool
) -> None:
    """It may be the last of all: why a handler has failed, say; on each kind of disk."""
    slot = Slot(str(tmp_path), 0)
    os.ftruncate(slot.output, MOST_BYTES)
    written, pwrite, take_out = b"", os.pwrite, slots.take_out

    def say(word: bytes) -> None:
        nonlocal written
        written += word
        os.write(slot.output, word)

    def interrupted(file: int, data: bytes, at: int) -> int:
        if len(written) < 10:
            say(b"and why ")
        return pwrite(file, data, at)

    def interrupted_before(file: int, at: int, length: int) -> bool:
        say(b"this ")
        return takes_out and take_out(file, at, length)

    monkeypatch.setattr(os, "pwrite", interrupted)
    monkeypatch.setattr(slots, "take_out", interrupted_before)
    kept = slot.cut_flood()
    assert written.startswith(b"this and why ")
    assert kept < FIRST_BYTES + LAST_BYTES + 1000
    assert os.pread(slot.output, 100, kept - len(written)) == written
    note = os.pread(slot.output, 100, FIRST_BYTES).decode()
    told = re.search(r"\n\[anabranch: +(\d+) bytes of output are left out here\]\n", note)
    assert told is not None
    assert int(told[1]) + kept - len(told[0]) == MOST_BYTES + len(written)
    slot.close()
