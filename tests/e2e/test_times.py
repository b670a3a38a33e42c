"""Streams that wait for the clock, in real runs: a time of day, a spread, a rate."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from anabranch.core.ids import StreamId
from tests.e2e.program import Program, Running, until

TOKYO = "Asia/Tokyo"
LATER = """
import time
real = time.time
time.time = lambda: real() + {seconds}
"""


def in_seconds(seconds: float, zone: str = TOKYO) -> tuple[str, datetime]:
    """Return a time of day that comes in so many seconds, or a little less, and its instant."""
    then = (datetime.now(ZoneInfo(zone)) + timedelta(seconds=seconds)).replace(microsecond=0)
    return f"{then:%H:%M:%S}", then


def at_later(program: Program, seconds: float, *arguments: str) -> Running:
    """Start a command on whose wall it is so many seconds later."""
    folder = program.scratch / f"later-{seconds:g}"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(LATER.format(seconds=seconds))
    return program.begin(*arguments, PYTHONPATH=str(folder))


def happened(program: Program, kind: str, stream: str) -> list[dict[str, Any]]:
    return [e for e in program.events() if e["type"] == kind and e["stream"] == stream]


def waits(program: Program, stream: str) -> list[dict[str, Any]]:
    if not program.run_folders():
        return []
    found: list[dict[str, Any]] = program.streams()[stream]["waits_for"]
    return [wait for wait in found if wait["kind"] == "time" and wait["until"]]


def test_a_stream_starts_at_its_time_of_day_and_holds_no_slot_before(program: Program) -> None:
    """In its zone; whoever asks is told what it waits for and until when."""
    at, then = in_seconds(4)
    program.plan(
        {"timed": {"command": "true", "at": at, "zone": TOKYO}, "b": "true"}, max_parallel=1
    )
    host = program.begin("run", "--headless")
    until(lambda: waits(program, "timed"), "it says what it waits for")
    (wait,) = waits(program, "timed")
    assert wait["name"] == f"{then:%Y-%m-%d %H:%M}{f':{at[6:]}' * (at[6:] != '00')} JST"
    assert abs((datetime.fromisoformat(wait["until"]) - then).total_seconds()) < 0.1
    status = program.asked(0, "status", "--json").json()
    (timed,) = [s for s in status["streams"] if s["stream"] == "timed"]
    assert datetime.fromisoformat(timed["expected"]["start"]) >= then - timedelta(seconds=0.1)
    assert f"waits for {wait['name']}" in program.asked(0, "streams").out
    answer = host.wait()
    assert answer.code == 0
    assert f"waits for {wait['name']}" in answer.out + answer.err
    (started,) = happened(program, "stream_started", "timed")
    (other,) = happened(program, "stream_succeeded", "b")
    began = datetime.fromisoformat(started["time"])
    assert datetime.fromisoformat(other["time"]) < then <= began + timedelta(seconds=0.1)
    assert (began - then).total_seconds() < 10


def test_a_console_killed_while_it_waits_is_followed_by_one_that_starts_it_once(
    program: Program,
) -> None:
    at, then = in_seconds(5)
    diary = program.scratch / "diary"
    timed = {"command": f"echo ran >> {diary}", "at": at, "zone": TOKYO}
    program.plan({"timed": timed, "after": {"command": "true", "depends_on": ["timed"]}})
    first = program.begin("run", "--headless")
    until(lambda: waits(program, "timed"), "it waits")
    first.kill()
    second = program.begin("resume", "--headless")
    assert second.wait().code == 0
    assert diary.read_text() == "ran\n"
    (started,) = happened(program, "stream_started", "timed")
    assert datetime.fromisoformat(started["time"]) >= then - timedelta(seconds=0.1)
    assert happened(program, "window_missed", "timed") == []
    assert program.expect(0, "resume", "--headless").code == 0
    assert diary.read_text() == "ran\n"


def killed_while_waiting(program: Program, catch_up: str) -> Path:
    """Have a console killed while a stream waits for a time in an hour."""
    at, _ = in_seconds(3600)
    diary = program.scratch / "diary"
    timed = {"command": f"echo ran >> {diary}", "at": at, "zone": TOKYO, "catch_up": catch_up}
    program.plan({"timed": timed})
    host = program.begin("run", "--headless")
    until(lambda: waits(program, "timed"), "it waits")
    host.kill()
    return diary


def test_a_time_that_nobody_hosted_is_caught_up_with_once(program: Program) -> None:
    diary = killed_while_waiting(program, "once")
    assert at_later(program, 7200, "resume", "--headless").wait().code == 0
    assert diary.read_text() == "ran\n"
    (missed,) = happened(program, "window_missed", "timed")
    assert missed["catch_up"] == "once"
    assert 3500 < missed["late_seconds"] < 3700
    assert "while nobody hosted the run" in missed["reason"]
    assert missed["reason"].endswith("it starts now")


def test_after_a_time_that_is_skipped_it_waits_for_the_next(program: Program) -> None:
    diary = killed_while_waiting(program, "skip")
    host = at_later(program, 7200, "resume", "--headless")
    until(lambda: happened(program, "window_missed", "timed"), "it is told")
    until(lambda: len(happened(program, "window_found", "timed")) == 2, "the next one is found")
    (wait,) = waits(program, "timed")
    ahead = datetime.fromisoformat(wait["until"]) - datetime.now().astimezone()
    assert timedelta(hours=22.5) < ahead < timedelta(hours=25.5)
    assert not diary.exists()
    host.kill()


def test_who_does_not_want_to_wait_stops_it_and_has_it_tried_again(program: Program) -> None:
    """It starts at once then, whatever its time of day."""
    at, _ = in_seconds(3600)
    gate = program.scratch / "gate"
    timed = {"command": "true", "at": at, "zone": TOKYO}
    program.plan({"timed": timed, "b": f"until test -e {gate}; do sleep 0.05; done"})
    host = program.begin("run", "--headless", "--keep-going")
    until(lambda: waits(program, "timed"), "it waits")
    program.asked(0, "stop", program.folder().run, "timed")
    until(lambda: program.streams()["timed"]["state"] == "stopped", "it is stopped")
    program.asked(0, "recover", "timed", "hard")
    until(lambda: program.streams()["timed"]["state"] == "succeeded", "it has run")
    gate.touch()
    assert host.wait().code == 0


def test_a_spread_is_decided_once_and_told(program: Program) -> None:
    program.plan({"a": {"command": "true", "spread": "3s"}})
    host = program.begin("run", "--headless")
    answer = host.wait()
    assert answer.code == 0
    (queued,) = happened(program, "stream_queued", "a")
    assert 0 <= queued["not_before"] < 3.5
    assert queued["window"] == "its moment within 3 s"
    began = program.state().streams[StreamId("a")].first_started_at
    assert began is not None
    assert began >= queued["not_before"]
    assert "waits for its moment within 3 s" in answer.out + answer.err


def test_attempts_keep_to_their_rate(program: Program) -> None:
    """Whatever the backoff of the recovery is; a killed console does not make it forget."""
    rate = {"at_most": 1, "per": "3s"}
    program.plan({"a": {"command": "exit 1", "retries": 2, "rate": rate, "optional": True}})
    first = program.begin("run", "--headless")
    until(lambda: waits(program, "a"), "it waits for its rate")
    assert waits(program, "a")[0]["name"] in ("its rate, 1 start in 3.0 s", "its next attempt")
    first.kill()
    assert program.begin("resume", "--headless").wait().code == 0
    starts = [e["happened_at"] for e in happened(program, "stream_started", "a")]
    assert len(starts) == 3
    assert all(late - early >= 3.0 for early, late in pairwise(starts))


def test_handlers_of_a_stream_keep_to_its_rate(program: Program) -> None:
    each = [f"i{n}" for n in range(5)]
    rate = {"at_most": 2, "per": 1}
    program.plan({"a": {"command": "echo {item}", "each": each, "rate": rate, "max_parallel": 5}})
    program.expect(0, "run", "--headless")
    found = happened(program, "handler_finished", "a")
    began = sorted(e["began_at"] for e in found)
    assert len(began) == 5
    assert all(late - early >= 0.95 for early, late in zip(began, began[2:], strict=False))
