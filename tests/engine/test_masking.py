"""What a run took along is not repeated where lines of a log become evidence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.engine.masking import MASK, Masks, masked_last_line, masked_tail, note_masks
from anabranch.paths import RunFolder

MASKS = Masks.of(["s3cr3t-value", "short", "s3cr3t-value-longer"], ["  a whole line of it  ", "}"])


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("key is s3cr3t-value.", f"key is {MASK}."),
        ("s3cr3t-value-longer", MASK),
        ("a whole line of it", MASK),
        ("\ta whole line of it", MASK),
        ("not a whole line of it", "not a whole line of it"),
        ("short", "short"),
        ("}", "}"),
        ("", ""),
    ],
)
def test_values_are_masked_anywhere_and_lines_as_a_whole(line: str, shown: str) -> None:
    assert MASKS.masked(line) == shown


@given(values=st.lists(st.text(max_size=20), max_size=5), line=st.text(max_size=60))
def test_no_value_that_is_long_enough_is_left(values: list[str], line: str) -> None:
    masks = Masks.of(values, ())
    left = masks.masked(line).replace(MASK, "\0")
    assert not any(value in left for value in masks.values if "\0" not in value)


def test_a_log_is_masked_by_what_its_run_took_along(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.logs.mkdir(parents=True)
    log = run.logs / "s.1.log"
    log.write_text("one s3cr3t-value\ntwo\n")
    assert masked_tail(log, 5) == ["one s3cr3t-value", "two"]
    note_masks(run, MASKS)
    assert masked_tail(log, 5) == [f"one {MASK}", "two"]
    assert (run.path / "masks").stat().st_mode & 0o077 == 0
    log.write_text("last s3cr3t-value\n")
    assert masked_last_line(log) == f"last {MASK}"
