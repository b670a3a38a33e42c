"""What of handlers' results is taken: what everybody reads as JSON, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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


def test_what_is_written_while_a_flood_is_cut_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the last of all: why a handler has failed, say."""
    slot = Slot(str(tmp_path), 0)
    os.ftruncate(slot.output, MOST_BYTES)
    pwrite, said = os.pwrite, [b"why", b" it has failed"]

    def interrupted(file: int, data: bytes, at: int) -> int:
        if said:
            os.write(slot.output, said.pop(0))
        return pwrite(file, data, at)

    monkeypatch.setattr(os, "pwrite", interrupted)
    kept = slot.cut_flood()
    assert kept < FIRST_BYTES + LAST_BYTES + 1000
    assert os.pread(slot.output, 100, kept - 17) == b"why it has failed"
    assert f"{MOST_BYTES - FIRST_BYTES - LAST_BYTES:15d} bytes".encode() in os.pread(
        slot.output, 100, FIRST_BYTES
    )
