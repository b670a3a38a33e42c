"""Handlers that are tried again within the attempt: hung, killed for want of memory, asked for."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from anabranch.handlers import asked, memory
from anabranch.handlers.memory import MemoryKills
from anabranch.handlers.silence import EXCUSED, Sign, Silence
from tests.handlers.test_crowd import Fan, fan, until

__all__ = ["fan"]

ONCE = "test -e tried.{index} || {{ touch tried.{index}; %s; }}; echo {index} >> done"


def whys(fan: Fan, place: int) -> list[str]:
    return [ended.why for ended in fan.ended() if ended.place == place]


def test_what_is_killed_for_want_of_memory_runs_again_alone(fan: Fan) -> None:
    """After all others, and with nothing beside it."""
    command = (
        "mkdir now.{index}; ls -d now.* | wc -l > beside.{index}; sleep 0.02; rmdir now.{index}; "
        + ONCE % "test {index} -ge 2 || kill -KILL $$"
    )
    code, out = fan.run(command, range(9))
    assert (code, fan.done()) == (0, {str(n): 1 for n in range(9)})
    assert "9 of 9 handlers succeeded, 0 failed" in out
    assert {ended.place for ended in fan.ended()[-2:]} == {0, 1}
    assert [(fan.work / f"beside.{n}").read_text().strip() for n in (0, 1)] == ["1", "1"]
    first, last = whys(fan, 0)
    assert first.startswith("killed")
    assert first.endswith("it is tried again, alone")
    assert last == ""


def test_killed_again_and_again_it_fails_in_the_end(fan: Fan) -> None:
    """Its budget is its own: the stream's retries are not asked."""
    code, out = fan.run("echo {index} >> tries; test {index} = 1 || kill -KILL $$", range(2))
    assert code == 1
    assert fan.done("tries") == {"0": 3, "1": 1}
    assert "1 of 2 handlers succeeded, 1 failed" in out
    assert "failed: 0: killed" in out


def test_what_waits_to_run_alone_when_all_is_stopped_has_failed(fan: Fan) -> None:
    command = "test {index} != 0 || kill -KILL $$; exit 3"
    code, out = fan.run(command, range(9), width=1, most_failures=2)
    assert code == 1
    assert "failed: 0: it was to be tried again" in out
    assert "stopped: more than 2 handlers have failed" in out


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b"oom_kill 3\n", b"oom_kill 4\n", "killed for want of memory, by the kernel"),
        (b"oom_kill 3\n", b"oom_kill 3\n", "killed, and not by us: perhaps for want of memory"),
        (b"", b"", "killed, and not by us: perhaps for want of memory"),
    ],
)
def test_it_says_of_whom_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes, after: bytes, words: str
) -> None:
    counts = tmp_path / "vmstat"
    monkeypatch.setattr(memory, "COUNTS", str(counts))
    counts.write_bytes(b"pgfault 7\n" + before)
    kills = MemoryKills()
    counts.write_bytes(b"pgfault 9\n" + after)
    assert kills.words() == words


def test_one_that_does_nothing_is_noticed_ended_and_tried_again(fan: Fan) -> None:
    """The others go on, and are done before it is."""
    code, out = fan.run(
        ONCE % "test {index} != 0 || sleep 60", range(20), silent_seconds=0.5, hang_tries=1
    )
    assert code == 0, out
    assert fan.done() == {str(n): 1 for n in range(20)}
    assert whys(fan, 0) == ["it did nothing for 0.5 s; it is tried again", ""]
    assert next(iter(fan.ended())).place != 0
    assert "0: it did nothing for 0.5 s, and is ended" in out


def test_without_a_chance_one_that_does_nothing_fails(fan: Fan) -> None:
    code, out = fan.run("test {index} = 1 || sleep 60", range(2), silent_seconds=0.3)
    assert code == 1
    assert "failed: 0: it did nothing for 0.3 s" in out


@pytest.mark.parametrize(
    "works",
    [
        "for n in 1 2 3 4 5 6 7 8; do sleep 0.1; echo $n; done",
        "n=0; while test $n -lt 2000000; do n=$((n+1)); done",
    ],
)
def test_one_that_writes_or_works_is_left_alone(fan: Fan, works: str) -> None:
    code, out = fan.run(works, ["a"], silent_seconds=0.45)
    assert code == 0, out


def test_who_waits_for_an_answer_is_not_silent(fan: Fan) -> None:
    """The engine says so by a file, and when it is over."""
    excuse = fan.state / EXCUSED
    excuse.touch()
    os.mkfifo(fan.work / "answer")
    running = fan.start("touch begun; read answer < answer", ["a"], silent_seconds=0.3)
    until((fan.work / "begun").exists)
    looks = Silence(0.3).look_seconds
    until_later = time.monotonic() + 0.3 + 10 * looks
    until(lambda: time.monotonic() > until_later)
    assert running.poll() is None
    excuse.unlink()
    out, _ = running.communicate(timeout=60)
    assert "it did nothing for 0.3 s" in out


def test_one_that_takes_too_long_is_tried_again_too(fan: Fan) -> None:
    code, _ = fan.run(ONCE % "sleep 60", ["a"], timeout_seconds=0.4, hang_tries=1)
    assert code == 0
    assert whys(fan, 0) == ["it took longer than 0.4 s; it is tried again", ""]


def test_a_person_has_one_ended_and_tried_again(fan: Fan) -> None:
    """And one that has failed; what has succeeded is left alone, and so is another attempt's."""
    command = (
        "test {index} != 3 || until test -e go; do sleep 0.01; done; echo {index} >> tries; "
        "test {index} != 0 -o -e mended || exit 1; "
        "test {index} != 1 -o -e again || { touch again; exec sleep 60; }"
    )
    running = fan.start(command, range(4), width=4)
    until(lambda: {"0", "1", "2"} <= set(fan.done("tries")))
    until(lambda: {e.place for e in fan.ended()} >= {0, 2})
    (fan.work / "mended").touch()
    with (fan.state / asked.NAME).open("a") as file:
        wanted = [(1, 0, 7), (1, 1, 8), (1, 2, 9), (1, 1, 8), (2, 3, 10), (1, 0, 7)]
        file.writelines(asked.line(*one) for one in wanted)
        file.write("nonsense\n[1]\n")
    until(lambda: fan.done("tries")["0"] == 2 and fan.done("tries")["1"] == 2)
    (fan.work / "go").touch()
    out, _ = running.communicate(timeout=60)
    assert "4 of 4 handlers succeeded, 0 failed" in out
    assert fan.done("tries") == {"0": 2, "1": 2, "2": 1, "3": 1}
    assert whys(fan, 1) == ["you had it ended; it is tried again", ""]


# --- the account of silence ----------------------------------------------------------------------


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    found: dict[int, int] = {}
    monkeypatch.setattr("anabranch.handlers.silence.group_ticks", lambda _: found)
    return found


def test_silence_is_counted_from_the_last_sign(ticks: dict[int, int]) -> None:
    silence = Silence(10.0)
    assert silence.look({7: 0}, 0.0) == []
    for now in range(1, 10):
        assert silence.look({7: 0}, float(now)) == []
    ticks[7] = 1
    assert silence.look({7: 0}, 10.0) == []
    assert silence.look({7: 5}, 11.0) == []
    for now in range(12, 21):
        assert silence.look({7: 5}, float(now)) == []
    assert silence.look({7: 5}, 21.0) == [7]


def test_time_in_which_nobody_looked_makes_nobody_older(ticks: dict[int, int]) -> None:
    silence = Silence(10.0)
    silence.look({7: 0}, 0.0)
    assert silence.look({7: 0}, 1_000_000.0) == []


def test_a_number_that_is_anothers_now_begins_anew(ticks: dict[int, int]) -> None:
    silence = Silence(2.0)
    silence.look({7: 0}, 0.0)
    silence.look({}, 1.0)
    assert silence.look({7: 0}, 2.0) == []
    assert Sign(1, 2) != Sign(2, 1)
