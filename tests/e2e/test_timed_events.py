"""Timed events of real streams come in the order of their stamps, whoever is killed meanwhile."""

from __future__ import annotations

import json
import time

from tests.e2e.program import Program, until

SAY = "until ab-stream broadcast {body} --window 60 --stamp {stamp}; do sleep 0.05; done"
"""Between two engines nobody takes an event in, and the program that tells it is told so."""


def test_timed_events_are_read_in_order_once_all_are_past_their_window(program: Program) -> None:
    """Two tell of one window in any order, and the console is killed before they are past it."""
    end = (int(time.time()) - 30) // 60 * 60  # the end of a window, not two windows ago

    def says(*told: tuple[str, int]) -> str:
        return "; ".join(SAY.format(body=body, stamp=end + after) for body, after in told)

    def when(name: str) -> str:
        return f"until test -e {program.scratch / name}; do sleep 0.02; done"

    def done(name: str) -> str:
        return f"touch {program.scratch / name}"

    north = [says(("n1", -7), ("n2", -5)), done("north"), when("go"), says(("n3", 1))]
    south = [when("north"), says(("s1", -10), ("s2", -6)), done("south"), when("go")]
    south += [says(("s3", 2), ("late", -1))]
    reads = "until ab-stream inbox > seen && grep -q body seen; do sleep 0.05; done; cat seen"
    streams = {"north": "; ".join(north), "south": "; ".join(south), "reader": reads}
    program.plan(streams, max_parallel=3)
    first = program.begin("run", "--headless")
    until((program.scratch / "south").exists, "both have told their first")
    until(lambda: len(told(program)) == 4, "all of it is heard")
    first.kill()
    assert [e for e in program.events() if e["type"] == "window_closed"] == []
    second = program.begin("resume", "--headless")
    (program.scratch / "go").touch()
    assert second.wait().code == 0
    found = json.loads(program.log("reader").splitlines()[-1])["messages"]
    assert [(m["from"], m["body"]) for m in found[:4]] == [
        ("south", "s1"),
        ("north", "n1"),
        ("south", "s2"),
        ("north", "n2"),
    ]
    assert found[0]["stamp"] == {
        "at": end - 10,
        "logical": 0,
        "source": "south",
        "is_late": False,
    }
    events = program.events()
    kinds = [e["type"] for e in events]
    assert kinds.index("window_closed") > [i for i, k in enumerate(kinds) if k == "message_held"][4]
    sent = [e["body"] for e in events if e["type"] == "message_sent"]
    assert sent[:4] == ["s1", "n1", "s2", "n2"]
    assert sorted(sent) == ["late", "n1", "n2", "n3", "s1", "s2", "s3"]
    timeline = program.expect(0, "report", "--format", "json").json()["timeline"]
    assert (timeline["check"], timeline["late"]) == ("ok", 0)
    assert timeline["windows"] >= 2


def told(program: Program) -> list[str]:
    return [e["body"] for e in program.events() if e["type"] == "message_held"]


def test_handlers_of_one_stream_are_one_source(program: Program) -> None:
    """They share its clock: what a later one tells is never stamped before what was told."""
    end = (int(time.time()) - 30) // 60 * 60
    say = "ab-stream broadcast {item} --window 60 --stamp {item}"
    items = [str(end - before) for before in (5, 9, 2)]
    fan = {"command": say, "each": items, "max_parallel": 1}
    reads = "until ab-stream inbox > seen && grep -q body seen; do sleep 0.05; done; cat seen"
    program.plan({"fan": fan, "reader": reads}, max_parallel=2)
    assert program.begin("run", "--headless").wait().code == 0
    found = json.loads(program.log("reader").splitlines()[-1])["messages"]
    assert [m["body"] for m in found] == items
    stamps = [(m["stamp"]["at"], m["stamp"]["logical"], m["stamp"]["source"]) for m in found]
    assert stamps == [(end - 5, 0, "fan"), (end - 5, 1, "fan"), (end - 2, 0, "fan")]
    (closed,) = [e for e in program.events() if e["type"] == "window_closed"]
    assert (closed["released"], closed["late"]) == (3, 0)
    timeline = program.expect(0, "report", "--format", "json").json()["timeline"]
    assert timeline["check"] == "ok"
