"""The index of logs: the lines that pass, in order of time, while the logs grow and are cut."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.views.log_levels import Level, Levels, passes
from anabranch.engine import log_index
from anabranch.engine.index_window import IndexWindow, places_with
from anabranch.engine.log_index import LogIndex

LINES = st.sampled_from(["plain", "INFO a", "WARN b", "ERROR c", "  more", "", "é漢", "[debug] d"])
WRITES = st.lists(st.tuples(st.integers(0, 2), LINES, st.integers(0, 3)), max_size=40)


def write(path: Path, text: str, at: float | None = None) -> None:
    """Append to a log, as its holder does: its time comes first."""
    with path.open("ab") as log:
        if at is not None:
            with path.with_suffix(".times").open("ab") as times:
                times.write(struct.pack(">QQI", log.tell(), int(at * 1000), 250))
        log.write(text.encode())


def shown(index: LogIndex) -> list[tuple[int, str]]:
    index.read_on()
    return [(line.source, line.text) for line in index.lines(0, index.end)]


def test_several_logs_are_one_in_order_of_time(tmp_path: Path) -> None:
    """What comes later too; a line without an end is not placed before it has one."""
    a, b = tmp_path / "a.1.log", tmp_path / "b.1.log"
    index = LogIndex([a, b])
    assert shown(index) == []
    write(a, "one\ntwo\n", 10)
    write(b, "x\n", 11)
    write(a, "three\nhal", 12)
    assert shown(index) == [(0, "one"), (0, "two"), (1, "x"), (0, "three")]
    assert [line.text for line in index.open_lines] == ["hal"]
    write(b, "y\n", 13)
    write(a, "f\n", 14)
    assert shown(index)[4:] == [(0, "half"), (1, "y")]
    moments = [line.moment.wall for line in index.lines(0, 4) if line.moment]
    assert moments == [10, 10, 11, 12]
    assert not index.read_on()


@given(WRITES, st.sampled_from([None, *Level]))
def test_it_holds_what_passes_whatever_is_written_between_the_looks(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[tuple[int, str, int]],
    least: Level | None,
) -> None:
    """Each log's lines in its order, with their levels if that matters; all others are counted."""
    place = tmp_path_factory.mktemp("logs")
    paths = [place / f"{name}.1.log" for name in "abc"]
    index, known, written = LogIndex(paths, least), [Levels() for _ in paths], [[], [], []]  # type: ignore[var-annotated]
    hidden = unrecognised = 0
    for number, (source, line, look) in enumerate(writes):
        write(paths[source], f"{line}\n", 5 + number)
        level = known[source].take(line) if least else None
        if passes(level, least):
            written[source].append((line, level))
        else:
            hidden, unrecognised = hidden + 1, unrecognised + (level is None)
        if look == 0:
            index.read_on()
    index.read_on()
    lines = index.lines(0, index.end)
    for source, expected in enumerate(written):
        assert [(line.text, line.level) for line in lines if line.source == source] == expected
    assert (index.hidden, index.unrecognised) == (hidden, unrecognised)


def test_a_log_that_is_cut_is_read_anew(tmp_path: Path) -> None:
    """Also if it has grown beyond where it was read by then, which its times tell."""
    path = tmp_path / "a.1.log"
    write(path, "one\n" * 50, 10)
    write(path, "two\n" * 50, 11)
    index = LogIndex([path], Level.INFO)
    assert len(shown(index)) == 100
    path.write_bytes(b"")
    path.with_suffix(".times").write_bytes(b"")
    write(path, "new\n" * 150, 20)
    assert shown(index) == [(0, "new")] * 150
    assert index.generation == 1
    path.write_bytes(b"short\n")
    assert shown(index) == [(0, "short")]
    window = IndexWindow.near_end(index)
    window.read_on()
    path.write_bytes(b"s\n")
    index.read_on()
    window.read_on()
    assert window.lines == ["s"]


def test_of_very_many_lines_the_first_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is counted, and places of the others stay the same."""
    monkeypatch.setattr(log_index, "MOST_LINES", 1000)
    path = tmp_path / "a.1.log"
    write(path, "".join(f"{number}\n" for number in range(2600)))
    index = LogIndex([path])
    index.read_on()
    assert index.let_go > 0
    assert index.end == 2600
    assert [line.text for line in index.lines(2000, 2002)] == ["2000", "2001"]
    assert index.lines(0, 1) == []


def _state(window: IndexWindow) -> Mapping[str, object]:
    return {"first": window.lines[0], "count": len(window.lines), "behind": window.behind}


def test_a_window_moves_over_all_lines(tmp_path: Path) -> None:
    """On, back, with a last line that grows; what is found is found everywhere."""
    path = tmp_path / "a.1.log"
    write(path, "".join(f"{'ERROR' if n % 2 else 'INFO'} {n}\n" for n in range(6000)) + "ERROR la")
    index = LogIndex([path], Level.ERROR)
    index.read_on()
    window = IndexWindow.near_end(index)
    while window.read_on() is not None:
        pass
    assert _state(window) == {"first": "ERROR 4001", "count": 1001, "behind": 0}
    write(path, "st")
    index.read_on()
    assert window.read_on() == 1000
    assert window.lines[-1] == "ERROR last"
    assert window.read_back() == 500
    window.drop_last(700)
    assert _state(window) == {"first": "ERROR 3001", "count": 801, "behind": 699}
    assert window.spot_of(0) == (0, index.lines(1500, 1501)[0].start)
    assert index.place_of(*window.spot_of(0)) == 1500
    while window.read_on() is not None:
        pass
    assert window.lines[-2:] == ["ERROR 5999", "ERROR last"]
    found = list(places_with(index, lambda line: "7" in line[-1:], gives_up=lambda: False))
    assert len(found) == 600
    assert found[:2] == [3, 8]
    assert list(places_with(index, lambda line: "last" in line, gives_up=lambda: False)) == [3000]
