"""An attempt about single handlers: those that are asked for run, the others stay as they are."""

from __future__ import annotations

import json
import os

import pytest

from anabranch.handlers import asked, book
from tests.handlers.test_crowd import Fan, fan, until

__all__ = ["fan"]

WELL = "echo {index} >> done; test -e ok.{index} && echo {index} > $ANABRANCH_RESULT"
"""Fails until something says that it may succeed."""


def may_succeed(fan: Fan, *places: int) -> None:
    for place in places:
        (fan.work / f"ok.{place}").touch()


def left(fan: Fan, attempt: int) -> list[int]:
    lines = list(book.lines(str(fan.state / "book")))
    return [line[1] for line in lines if line[0] == book.LEFT and line[3] == attempt]


def stopped(fan: Fan) -> list[str]:
    lines = book.lines(str(fan.state / "book"))
    return [book.stopped_of(line)[1] for line in lines if line[0] == book.STOPPED]


def counts(fan: Fan) -> tuple[int, ...]:
    found = json.loads((fan.state / "counts").read_text())
    return tuple(found[key] for key in ("total", "succeeded", "failed", "not_tried_again"))


def test_only_what_is_asked_for_runs_and_what_is_said_is_about_all(fan: Fan) -> None:
    may_succeed(fan, 0, 4)
    fan.run(WELL, range(5))
    may_succeed(fan, 1, 2)
    code, out = fan.run(WELL, range(5), only=[(2, 9)])
    assert code == 1
    assert fan.done() == {"0": 1, "1": 1, "2": 2, "3": 1, "4": 1}
    assert left(fan, 2) == [1, 3]
    assert counts(fan) == (5, 3, 2, 2)
    assert (
        "3 of 5 handlers succeeded (2 of them before), 2 failed (2 of them not tried again)" in out
    )
    assert stopped(fan) == ["2 handlers have failed, not tried again"]
    assert [r["index"] for r in fan.results()] == [0, 2, 4]


def test_when_the_last_one_has_succeeded_the_whole_has(fan: Fan) -> None:
    may_succeed(fan, 0)
    fan.run(WELL, range(3))
    may_succeed(fan, 1, 2)
    assert fan.run(WELL, range(3), only=[(1, 8)])[0] == 1
    code, out = fan.run(WELL, range(3), only=[(2, 9)])
    assert (code, counts(fan)) == (0, (3, 3, 0, 0))
    assert "3 of 3 handlers succeeded (2 of them before), 0 failed" in out
    assert [r["result"] for r in fan.results()] == [0, 1, 2]


def test_one_that_fails_again_is_told_apart_from_those_that_were_left(fan: Fan) -> None:
    fan.run(WELL, range(3))
    code, out = fan.run(WELL, range(3), only=[(1, 8)])
    assert code == 1
    assert "failed: 1: exit 1" in out
    assert counts(fan) == (3, 0, 3, 2)
    assert stopped(fan) == ["3 handlers have failed, 2 of them not tried again"]


def test_what_was_never_begun_is_not_begun_now(fan: Fan) -> None:
    """The stream had given up before; the reason says how many there are."""
    fan.run(WELL, range(9), width=1, most_failures=1)
    may_succeed(fan, *range(9))
    code, _ = fan.run(WELL, range(9), only=[(0, 1)])
    assert code == 1
    assert fan.done() == {"0": 2, "1": 1}
    assert stopped(fan)[-1] == "1 handler has failed, not tried again, 7 not begun"
    assert counts(fan)[1:] == (1, 1, 1)


def test_more_that_is_asked_for_meanwhile_runs_too_and_each_asking_counts_once(fan: Fan) -> None:
    """Also one that the attempt was begun for, and that comes by the file as well."""
    command = (
        "echo {index} >> done; test {index} != 1 || test ! -e again || cat gate; test -e again"
    )
    fan.run(command, range(4))
    (fan.work / "again").touch()
    gate = fan.work / "gate"
    os.mkfifo(gate)
    running = fan.start(command, range(4), only=[(1, 7)])
    until(lambda: fan.done()["1"] == 2)
    with (fan.state / asked.NAME).open("a") as file:
        for place, cause in ((1, 7), (3, 8), (3, 8)):
            file.write(asked.line(2, place, cause))
    until(lambda: fan.done()["3"] == 2)
    gate.write_text("")
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert fan.done() == {"0": 1, "1": 2, "2": 1, "3": 2}
    assert "3: tried again, as you asked" in out
    assert stopped(fan) == ["2 handlers have failed, not tried again"]
    assert counts(fan) == (4, 2, 2, 2)
    lines = book.lines(str(fan.state / "book"))
    assert [book.heard_of(line) for line in lines if line[0] == book.HEARD] == [(2, 7), (2, 8)]


def test_what_comes_as_the_last_one_ends_is_heard_and_what_comes_too_late_is_not(fan: Fan) -> None:
    """What is written between two looks counts; when nothing more is started it does not."""
    path = fan.state / asked.NAME
    ask = "echo {{index}} >> done; echo '[{attempt}, 0, 5]' >> " + str(path)
    first = ask.format(attempt=1)
    fan.run(f"{first}; exit 1", range(2), width=1)
    assert fan.done() == {"0": 2, "1": 1}
    second = ask.format(attempt=2)
    fan.run(f"{second}; exit 1", [7], most_failures=0)
    assert fan.done() == {"0": 3, "1": 1}
    lines = list(book.lines(str(fan.state / "book")))
    assert [book.heard_of(line) for line in lines if line[0] == book.HEARD] == [(1, 5)]


@pytest.mark.parametrize("asked_for", [0, 1])
def test_of_items_that_are_the_same_the_one_that_is_asked_for_runs(
    fan: Fan, asked_for: int
) -> None:
    command = "echo $ANABRANCH_INDEX >> done; test $ANABRANCH_INDEX = 2 -o -e ok"
    fan.run(command, ["x", "x", "x"])
    (fan.work / "ok").touch()
    fan.run(command, ["x", "x", "x"], only=[(asked_for, 1)])
    assert fan.done() == {str(n): 1 + (n == asked_for) for n in range(3)}
    assert counts(fan) == (3, 2, 1, 1)


def test_what_is_done_no_more_is_done_again_as_a_retry_would(fan: Fan) -> None:
    """Its workspace is another one; what had failed is left there as well."""
    may_succeed(fan, 0)
    fan.run(WELL, range(3))
    may_succeed(fan, 1, 2)
    fan.run(WELL, range(3), only=[(1, 1)], trusts_book=False)
    assert fan.done() == {"0": 2, "1": 2, "2": 1}
    assert [r["index"] for r in fan.results()] == [0, 1]


def graph(fan: Fan) -> dict[str, str]:
    command = "echo {0} >> done; test -e {0}.ok"
    after = {"a": [], "b": ["a"], "c": ["b"], "x": [], "y": ["x"], "z": []}
    tasks = [
        {"id": name, "command": command.format(name), "after": names}
        for name, names in after.items()
    ]
    (fan.work / "tasks").write_text(json.dumps({"tasks": tasks}))
    for name in ("b.ok", "y.ok", "z.ok"):
        (fan.work / name).touch()
    return {"graph": "tasks"}


def test_what_waits_for_a_task_that_is_asked_for_runs_when_that_has_succeeded(fan: Fan) -> None:
    """And is not begun behind one that is left."""
    source = graph(fan)
    fan.run(None, source)
    assert fan.done() == {"a": 1, "x": 1, "z": 1}
    for name in ("a.ok", "x.ok"):
        (fan.work / name).touch()
    code, _ = fan.run(None, source, only=[(0, 1)])
    assert code == 1
    assert fan.done() == {"a": 2, "b": 1, "c": 1, "x": 1, "z": 1}
    assert left(fan, 2) == [3]
    assert counts(fan) == (6, 3, 2, 1)
    assert stopped(fan)[-1] == (
        "2 handlers have failed, 1 of them not tried again; "
        "1 task was not started, as what goes before has failed"
    )
    (fan.work / "c.ok").touch()
    assert fan.run(None, source, only=[(2, 2), (3, 3)])[0] == 0
    assert fan.done() == {"a": 2, "b": 1, "c": 2, "x": 2, "y": 1, "z": 1}
