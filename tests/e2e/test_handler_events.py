"""What is heard of handlers: an event each, exactly once, and no flood where people read."""

from __future__ import annotations

import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e.program import Program, until


def ends(program: Program) -> list[dict[str, Any]]:
    lines = program.expect(0, "events", "--json").json_lines()
    return [line for line in lines if line["type"] == "handler_finished"]


def has_ends(book: Path, count: int) -> bool:
    return book.exists() and book.read_text().count('["e"') >= count


def is_resumed(program: Program, times: int) -> bool:
    lines = program.expect(0, "events", "--json").json_lines()
    return [line["type"] for line in lines].count("run_resumed") >= times


def counts(program: Program) -> dict[str, int]:
    (stream,) = program.expect(0, "status", "--json").json()["streams"]
    found: dict[str, int] = stream["handlers"]
    return found


def test_each_handler_is_an_event_before_the_end_of_its_attempt(program: Program) -> None:
    program.plan(
        {
            "fan": {
                "each": ["a", "b", "c\u202e\x1b[2J"],
                "command": "test {item} = a || { touch again; test -e again{index}; }",
                "retries": 0,
                "max_parallel": 1,
            }
        }
    )
    program.expect(1, "run", "--headless")
    lines = program.expect(0, "events", "--json").json_lines()
    types = [line["type"] for line in lines]
    assert types.count("handler_finished") == 3
    assert types.index("stream_failed") > max(
        number for number, kind in enumerate(types) if kind == "handler_finished"
    )
    found = {e["item"]: (e["outcome"], e["exit_code"], e["attempt"]) for e in ends(program)}
    assert found == {
        "a": ("succeeded", 0, 1),
        "b": ("failed", 1, 1),
        "c\u202e\x1b[2J": ("failed", 1, 1),
    }
    heard = program.expect(0, "events").out
    assert "\x1b[2J" not in heard
    assert "\u202e" not in heard
    assert counts(program) == {
        "total": 3,
        "succeeded": 1,
        "failed": 2,
        "running": 0,
        "not_tried_again": 0,
    }


def test_a_console_killed_again_and_again_hears_each_end_once(
    program: Program, tmp_path: Path
) -> None:
    """What happened while nobody was there is heard by whoever comes back, and nothing twice."""
    gate = tmp_path / "gate"
    gate.mkdir()
    command = f"until test -e {gate}/$((ANABRANCH_INDEX / 5)); do sleep 0.01; done"
    command += "; test {index} != 7"
    fan = {"each": list(range(20)), "command": command, "max_parallel": 3, "retries": 0}
    program.plan({"fan": fan})
    console = program.begin("run", "--headless")
    until(lambda: program.run_folders(), "a run")
    book = program.folder().path / "handlers" / "fan" / "book"
    for killed in range(4):
        (gate / str(killed)).touch()
        until(partial(has_ends, book, 5 * (killed + 1)), "five more have ended")
        console.send(signal.SIGKILL)
        console.wait()
        if killed < 3:
            console = program.begin("resume", "--headless")
            until(partial(is_resumed, program, killed + 1), "it is resumed")
    program.expect(1, "resume", "--headless")
    # A console that came to the end before it was killed has the failed one tried again, by resume.
    first = [e for e in ends(program) if e["attempt"] == 1]
    heard = Counter((e["handler"], e["tries"], e["outcome"]) for e in first)
    assert heard == {(n, 1, "failed" if n == 7 else "succeeded"): 1 for n in range(20)}
    assert counts(program) == {
        "total": 20,
        "succeeded": 19,
        "failed": 1,
        "running": 0,
        "not_tried_again": 0,
    }


def test_what_people_read_names_a_few_failures_and_no_success(program: Program) -> None:
    program.plan(
        {
            "fan": {
                "each": list(range(12)),
                "command": "test {index} -lt 5",
                "max_parallel": 1,
                "retries": 0,
            }
        }
    )
    heard = program.expect(1, "run", "--headless").err
    named = [line.split("fan")[1] for line in heard.splitlines() if "  handler " in line]
    assert [line.split(" after")[0].strip() for line in named] == [
        "handler 5 (5): exit 1",
        "handler 6 (6): exit 1",
        "handler 7 (7): exit 1",
    ]


def test_a_retry_tells_of_what_it_runs_and_counts_what_it_leaves_out(program: Program) -> None:
    program.plan(
        {
            "fan": {
                "each": list(range(4)),
                "command": "test {index} != 2 -o -e again || { touch again; false; }",
                "max_parallel": 1,
            }
        }
    )
    program.expect(0, "run", "--headless")
    heard = [(e["attempt"], e["handler"], e["outcome"]) for e in ends(program)]
    assert heard == [
        *[(1, 0, "succeeded"), (1, 1, "succeeded"), (1, 2, "failed"), (1, 3, "succeeded")],
        (2, 2, "succeeded"),
    ]
    lines = program.expect(0, "events", "--json").json_lines()
    assert [line["count"] for line in lines if line["type"] == "handlers_skipped"] == [3]
    assert counts(program) == {
        "total": 4,
        "succeeded": 4,
        "failed": 0,
        "running": 0,
        "not_tried_again": 0,
    }
