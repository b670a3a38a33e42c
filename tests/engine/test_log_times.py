"""When lines of a log were written: never more exactly than it is known, whatever happens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anabranch.engine.log_reading import LogTail
from anabranch.engine.log_times import LogTimes as Known
from anabranch.engine.log_window import LogWindow
from anabranch.holder import log_times
from anabranch.holder.log import Log
from anabranch.holder.log_times import APART_SECONDS, ENTRY_BYTES, LogTimes

BEGUN = 1_700_000_000.0


class Clock:
    """Both clocks of a machine, in the place of the module ``time``."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ahead = BEGUN

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.ahead + self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(log_times, "time", made)
    return made


def new_run(place: Path) -> int:
    """Return a descriptor of an empty run's folder."""
    (place / "logs").mkdir(parents=True)
    return os.open(place, os.O_RDONLY | os.O_DIRECTORY)


def known_of(place: Path) -> Known:
    known = Known(place / "logs" / "a.1.log")
    known.look()
    return known


def test_what_comes_within_a_moment_has_one_entry_and_silence_none(
    clock: Clock, tmp_path: Path
) -> None:
    """Ten writes a second are four entries; an hour of nothing is nothing."""
    log = Log("a.1", new_run(tmp_path))
    for _ in range(20):
        log.write(b"line\n")
        clock.now += 0.1
    clock.now += 3600
    log.write(b"late\n")
    assert (tmp_path / "logs" / "a.1.times").stat().st_size == 8 * ENTRY_BYTES
    known = known_of(tmp_path)
    late = known.at(20 * 5)
    assert late is not None
    assert late.wall == pytest.approx(clock.time(), abs=0.001)
    assert late.within_seconds == APART_SECONDS
    first = known.at(2 * 5)
    assert first is not None
    assert first.wall == pytest.approx(BEGUN + 100, abs=0.001)


steps = st.lists(
    st.tuples(st.integers(1, 1500), st.sampled_from([0.0, 0.01, 0.1, 0.3, 1.0, 70.0, 9000.0])),
    max_size=100,
)
LONG = [(1 + 97 * n % 1500, (0.01, 0.2, 0.3, 2.0, 0.1)[n % 5]) for n in range(220)]
"""Enough for the log to be cut several times, and its times to be thinned out between."""


@given(steps)
@example(LONG)
@example([(1400, 0.4)] * 90)
@example([(300, 0.1)] * 400)
def test_every_line_that_has_a_time_was_written_then(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, float]]
) -> None:
    """However the file is thinned out and the log of a flood is cut; and it stays bounded."""
    place, clock = tmp_path_factory.mktemp("run"), Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_times, "time", clock)
        log = Log("a.1", new_run(place), 24 * 1024)
        log._times = LogTimes("a.1", log._times._run, most_entries=16)
        written: dict[str, float] = {}
        for number, (length, pause) in enumerate(steps):
            line = f"{number} {'x' * length}"
            log.write(f"{line}\n".encode())
            written[line.split()[0]] = clock.time()
            clock.now += pause
    os.close(log._times._run)
    known, tail = known_of(place), LogTail(place / "logs" / "a.1.log")
    lines = tail.read_new(1 << 20)
    assert len(known._known.offsets) <= 16 + 8
    for start, line in zip(tail.new_starts, lines, strict=True):
        moment = known.at(start)
        if not line or line.startswith("[anabranch"):
            assert moment is None
        else:
            assert moment is not None
            at = written[line.split()[0]]
            assert moment.wall - 0.001 <= at <= moment.wall + moment.within_seconds + 0.001


def test_a_holder_killed_while_it_cuts_leaves_no_false_time(clock: Clock, tmp_path: Path) -> None:
    """What was to be moved has no time; what comes before it has."""
    run = new_run(tmp_path)
    times = LogTimes("a.1", run)
    for number in range(10):
        times.grows(number * 100)
        clock.now += 1
    times.is_cut(350)
    known = known_of(tmp_path)
    assert known.at(349) is not None
    assert [known.at(at) for at in (350, 400, 5000)] == [None] * 3


def test_a_holder_that_goes_on_takes_up_what_is_there(clock: Clock, tmp_path: Path) -> None:
    """An entry that a kill has torn is written over."""
    run = new_run(tmp_path)
    LogTimes("a.1", run).grows(0)
    path = tmp_path / "logs" / "a.1.times"
    path.write_bytes(path.read_bytes() + b"torn")
    clock.now += 5
    LogTimes("a.1", run).grows(50)
    known = known_of(tmp_path)
    moments = [known.at(0), known.at(60)]
    assert [round(m.wall - BEGUN) for m in moments if m] == [100, 105]


def test_where_times_cannot_be_written_none_is_told(clock: Clock, tmp_path: Path) -> None:
    """A folder stands in the file's place; or it goes wrong later: the log goes on all the same."""
    log = Log("a.1", new_run(tmp_path))
    (tmp_path / "logs" / "a.1.times").mkdir()
    log.write(b"one\n")
    clock.now += 1
    log.write(b"two\n")
    assert (tmp_path / "logs" / "a.1.log").read_bytes() == b"one\ntwo\n"
    assert known_of(tmp_path).at(0) is None


def test_what_stands_in_the_file_may_be_anything(tmp_path: Path) -> None:
    """A stream can write there too: no time that no clock can show, and no error."""
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "a.1.times"
    for content in (b"", b"x", b"\xff" * 1000, os.urandom(999)):
        path.write_bytes(content)
        moment = known_of(tmp_path).at(7)
        assert moment is None or moment.wall < 1e12
    path.unlink()
    path.symlink_to("/etc/hostname")
    assert known_of(tmp_path).at(7) is None


def test_a_window_has_times_and_one_of_a_run_of_before_has_none(
    clock: Clock, tmp_path: Path
) -> None:
    """Read on, and read back; also the last line, which has no end yet."""
    log, path = Log("a.1", new_run(tmp_path)), tmp_path / "logs" / "a.1.log"
    for number in range(5):
        log.write(b"line %d\n" % number)
        clock.now += 1
    log.write(b"no end")
    window = LogWindow.at(path, 14)
    window.read_on()
    assert window.read_back() == 2
    moments = [window.moment_of(index) for index in range(6)]
    assert [round(moment.wall - BEGUN) - 100 for moment in moments if moment] == [*range(6)]
    (tmp_path / "logs" / "a.1.times").unlink()
    window = LogWindow.near_end(path)
    window.read_on()
    assert window.lines[-1] == "no end"
    assert [window.moment_of(index) for index in range(6)] == [None] * 6
