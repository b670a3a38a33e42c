"""The log of a flood: its beginning and its end, within a bound, and how much is left out."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

from anabranch.holder.log import Log

MOST = 256 * 1024


@pytest.fixture
def run(tmp_path: Path) -> int:
    """Give the descriptor of a run's folder."""
    (tmp_path / "logs").mkdir()
    return os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)


def lines(first: int, last: int) -> bytes:
    return b"".join(b"line %09d\n" % n for n in range(first, last))


def test_a_usual_log_is_kept_whole(run: int, tmp_path: Path) -> None:
    """Up to the bound nothing is touched."""
    log = Log("a.1", run, MOST)
    assert not any(log.write(lines(n, n + 100)) for n in range(0, 15_000, 100))
    assert (tmp_path / "logs" / "a.1.log").read_bytes() == lines(0, 15_000)


@pytest.mark.parametrize("chunk", [1, 7, 4000])
def test_a_flood_keeps_its_beginning_and_its_end(run: int, tmp_path: Path, chunk: int) -> None:
    """Every byte is in the log or counted as left out; nothing is cut inside of a line."""
    log, path, total = Log("a.1", run, MOST), tmp_path / "logs" / "a.1.log", 200_000
    for number in range(0, total, chunk):
        log.write(lines(number, min(total, number + chunk)))
        assert path.stat().st_size < MOST + len(lines(0, chunk))
    found = path.read_text()
    (note,) = re.findall(r"\n\[anabranch: +(\d+) bytes of output are left out here\]\n", found)
    assert int(note) == log.left_out
    kept = [line for line in found.splitlines() if line.startswith("line ")]
    assert (kept[0], kept[-1]) == ("line 000000000", f"line {total - 1:09d}")
    assert len(kept) * len(lines(0, 1)) + log.left_out == total * len(lines(0, 1))
    numbers = [int(line.split()[1]) for line in kept]
    assert sum(b - a != 1 for a, b in pairwise(numbers)) == 1


def test_a_line_without_an_end_is_bounded_too(run: int, tmp_path: Path) -> None:
    """There is nowhere to cut, and it is cut."""
    log = Log("a.1", run, MOST)
    for _ in range(100):
        log.write(b"x" * 65_536)
    path = tmp_path / "logs" / "a.1.log"
    assert path.stat().st_size <= MOST + 65_536
    assert path.read_bytes().count(b"x") + log.left_out == 100 * 65_536
