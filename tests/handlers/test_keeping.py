"""What of handlers' results is taken: what everybody reads as JSON, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.handlers.keeping import read_result
from anabranch.handlers.slot import Slot


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
