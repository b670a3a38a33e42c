"""The convergence types, in real processes with real git: when streams meet, and what comes of it.

``ANABRANCH_SYNC_SECONDS`` says how long the bench of checkpoint syncs runs; the default keeps the
suite quick, 60 is the full bench.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import Program, until
from tests.engine.repositories import git, write

SYNC_SECONDS = float(os.environ.get("ANABRANCH_SYNC_SECONDS", "7"))
SYNCING_STREAM = Path(__file__).with_name("syncing_stream.py")
LINES = "".join(f"line {number}\n" for number in range(1, 21))
WAIT = "while ! {}; do sleep 0.05; done"


def types_of(program: Program) -> list[str]:
    return [event["type"] for event in program.events()]


def content(program: Program, path: str) -> str:
    return git(program.project, "show", f"{program.status()['commit']}:{path}")


def with_lines(program: Program) -> None:
    write(program.project, {"shared.txt": LINES, "go/.keep": ""})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-q", "-m", "lines")


def set_line(number: int, text: str) -> str:
    return f"sed -i 's/^line {number}$/{text}/' shared.txt"


# --- progressive ---------------------------------------------------------------------------------


def test_progressive_dependents_start_from_the_merge_while_others_still_work(
    program: Program,
) -> None:
    """`late` waits for a file that only `heir` makes, and `heir` needs what was merged before."""
    signal = program.scratch / "heir-was-here"
    program.plan(
        {
            "one": "echo 1 > one.txt",
            "two": "echo 2 > two.txt",
            "heir": {
                "command": f"cat one.txt two.txt > sum.txt && touch {signal}",
                "depends_on": {
                    "one": {"condition": "converged"},
                    "two": {"condition": "converged"},
                },
            },
            "late": f"{WAIT.format(f'[ -e {signal} ]')}; echo late > late.txt",
        },
        convergence_type="progressive",
    )
    program.expect(0, "run", "--headless")
    assert content(program, "sum.txt") == "1\n2\n"
    assert content(program, "late.txt") == "late\n"
    merges = [e for e in program.events() if e["type"] == "convergence_merged"]
    assert len(merges) >= 2
    assert [m["is_final"] for m in merges] == [False] * (len(merges) - 1) + [True]


def test_progressive_a_conflict_holds_up_only_the_late_stream(program: Program) -> None:
    """The queue goes on without it; in the end a person decides, and all of it is merged."""
    with_lines(program)
    first, last = program.scratch / "first", program.scratch / "last"
    program.plan(
        {
            "a": set_line(2, "two by a") + f" && touch {first}",
            "b": f"{WAIT.format(f'[ -e {first} ]')}; sleep 1; "
            f"{set_line(2, 'two by b')}; touch {last}",
            "c": f"{WAIT.format(f'[ -e {last} ]')}; sleep 1; echo c > c.txt",
        },
        convergence_type="progressive",
    )
    program.expect(4, "run", "--headless")
    types = types_of(program)
    assert "convergence_left_out" in types
    point = program.status()["convergence"][-1]
    assert point["merged"] == ["a", "c"]
    program.expect(0, "resolve", "--theirs", "--all")
    program.expect(0, "resume", "--headless")
    assert "two by b" in content(program, "shared.txt")
    assert content(program, "c.txt") == "c\n"


# --- checkpoint ----------------------------------------------------------------------------------


def test_checkpoint_streams_that_opted_in_get_the_others_work_while_they_run(
    program: Program,
) -> None:
    """`b` ends only once it sees what `a` wrote; `c`, which did not opt in, never sees it."""
    with_lines(program)
    seen = program.scratch / "seen"
    program.plan(
        {
            "a": f"{set_line(2, 'two by a')}; {WAIT.format(f'[ -e {seen} ]')}",
            "b": {
                "command": f"{WAIT.format('grep -q by.a shared.txt')}; "
                f"{set_line(19, 'b')}; touch {seen}",
                "sync": True,
            },
            "c": f"{WAIT.format(f'[ -e {seen} ]')}; grep -c by.a shared.txt > c.txt; true",
        },
        convergence_type="checkpoint",
        checkpoint_interval=1,
    )
    program.expect(0, "run", "--headless")
    assert content(program, "shared.txt") == LINES.replace("line 2\n", "two by a\n").replace(
        "line 19\n", "b\n"
    )
    assert content(program, "c.txt") == "0\n"
    types = types_of(program)
    assert "stream_synced" in types
    kept = git(program.project, "for-each-ref", "--format=%(refname)", "refs/anabranch/checkpoint")
    assert "/@final.1" in kept


def test_checkpoint_lines_written_back_from_an_old_copy_are_never_dropped_in_silence(
    program: Program,
) -> None:
    """An editor saves its old copy over what was brought: the person decides, nothing is lost."""
    with_lines(program)
    done = program.scratch / "done"
    save = "sed 's/^line 19$/nineteen by b/' ../old > shared.txt; rm ../old"
    program.plan(
        {
            "a": f"sed -i 's/^line 2$/line 2\\nbrought by a/' shared.txt; "
            f"{WAIT.format(f'[ -e {done} ]')}",
            "b": {
                "command": f"cp shared.txt ../old; {WAIT.format('grep -q by.a shared.txt')}; "
                f"{save}; touch {done}",
                "sync": True,
            },
        },
        convergence_type="checkpoint",
        checkpoint_interval=1,
    )
    program.expect(4, "run", "--headless")
    point = program.status()["convergence"][-1]
    assert point["conflicts"][-1]["paths"] == ["shared.txt"]
    warned = program.streams()["b"]["warnings"]
    assert any("as it was before others' lines were brought in" in text for text in warned)
    merged = program.scratch / "merged"
    merged.write_text(
        LINES.replace("line 2\n", "line 2\nbrought by a\n").replace("line 19\n", "nineteen by b\n")
    )
    program.expect(0, "resolve", "shared.txt", "--file", str(merged))
    program.expect(0, "resume", "--headless")
    assert content(program, "shared.txt") == merged.read_text()


def test_checkpoint_a_kill_between_merge_and_offer_loses_nothing(program: Program) -> None:
    """The host dies while an offer waits for a quiet moment; the next one brings it."""
    with_lines(program)
    calm = program.scratch / "calm"
    busy = f"while ! [ -e {calm} ]; do date +%N > noise.txt; sleep 0.1; done"
    program.plan(
        {
            "a": f"{set_line(2, 'two by a')}; {WAIT.format(f'[ -e {calm}.seen ]')}",
            "b": {
                "command": f"{busy}; {WAIT.format('grep -q by.a shared.txt')}; touch {calm}.seen",
                "sync": True,
            },
        },
        convergence_type="checkpoint",
        checkpoint_interval=1,
    )
    running = program.begin("run", "--headless")
    until(lambda: program.run_folders() and "sync_offered" in types_of(program), "it is offered")
    running.kill()
    assert "stream_synced" not in types_of(program)
    resumed = program.begin("resume", "--headless")
    calm.touch()
    assert resumed.wait().code == 0
    assert "two by a" in content(program, "shared.txt")
    assert "stream_synced" in types_of(program)


def test_checkpoint_a_stream_that_ends_while_files_are_brought_takes_none_for_its_own(
    program: Program,
) -> None:
    """Its author writes the files once more: that is no conflict with anybody."""
    many = 400
    write = "i=0; while [ $i -lt {many} ]; do echo {word} $i > many/$i; i=$((i+1)); done"
    ended = program.scratch / "ended"
    program.plan(
        {
            "author": "; ".join(
                (
                    "mkdir many",
                    write.format(many=many, word="first"),
                    WAIT.format(f"[ -e {ended} ]"),
                    write.format(many=many, word="second"),
                )
            ),
            "reader": {
                "command": f"while ! [ -d many ]; do :; done; touch {ended}",
                "sync": True,
            },
        },
        convergence_type="checkpoint",
        checkpoint_interval=1,
    )
    program.expect(0, "run", "--headless")
    assert "stream_synced" in types_of(program)
    assert content(program, f"many/{many - 1}").split()[0] == "second"


def test_checkpoint_six_streams_that_edit_and_commit_get_each_others_files_whole(
    program: Program,
) -> None:
    """No own file is lost, no file of another is ever missing or torn for a reader inside."""
    names = [f"s{number}" for number in range(6)]
    program.plan(
        {
            name: {
                "command": [
                    *(sys.executable, "-I", str(SYNCING_STREAM)),
                    *(name, str(SYNC_SECONDS), str(number % 2)),
                ],
                "sync": True,
            }
            for number, name in enumerate(names)
        },
        convergence_type="checkpoint",
        checkpoint_interval=1,
        max_parallel=6,
    )
    program.expect(0, "run", "--headless")
    reports: dict[str, dict[str, Any]] = {
        name: json.loads(program.log(name).strip().splitlines()[-1]) for name in names
    }
    for name, report in reports.items():
        assert (report["missing"], report["torn"]) == (0, 0), (name, report)
        assert report["reads"] > 0
        for path, count in report["last"].items():
            assert content(program, path).split()[2] == str(count), (name, path)
    assert sum(report["brought"] for report in reports.values()) > 0
    synced = [e for e in program.events() if e["type"] == "stream_synced"]
    assert sum(e["files"] for e in synced) > 0
    assert not [e for e in program.events() if e["type"] in ("conflict_found", "conflict_foreseen")]


# --- points --------------------------------------------------------------------------------------


def test_a_stream_meets_others_at_two_points_of_different_types(program: Program) -> None:
    program.plan(
        {
            "core": "echo core > core.txt",
            "docs": "echo docs > docs.txt",
            "tests": "echo tests > tests.txt",
            "after": {
                "command": "ls *.txt > seen.log",
                "depends_on": {"core": {"condition": "converged"}},
            },
        },
        convergence={
            "book": {"type": "progressive", "streams": ["core", "docs"]},
            "code": {"streams": ["core", "tests"]},
        },
    )
    program.expect(0, "run", "--headless")
    points = {p["point"]: p for p in program.status()["convergence"]}
    assert (points["book"]["type"], sorted(points["book"]["merged"])) == (
        "progressive",
        ["core", "docs"],
    )
    assert sorted(points["code"]["merged"]) == ["core", "tests"]
    assert "core.txt" in content(program, "seen.log")


# --- all of them ---------------------------------------------------------------------------------

QUICK = {"c": 0.4, "d": 0.8, "e": 1.2, "f": 1.6}


def when(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("kind", ["barrier", "progressive", "checkpoint"])
def test_eight_streams_come_to_the_same_result_under_each_type(kind: str, program: Program) -> None:
    """Two of them conflict, which is known long before; what differs is how long work waits."""
    with_lines(program)
    settled = LINES.replace("line 2\n", "two by both\n")
    streams: dict[str, Any] = {name: f"{set_line(2, f'two by {name}')}; sleep 4" for name in "ab"}
    for name, seconds in QUICK.items():
        streams[name] = f"sleep {seconds}; echo {name} > {name}.txt"
    streams["g"] = {"command": "cat c.txt d.txt > g.txt", "depends_on": ["c", "d"]}
    streams["h"] = {"command": "cat e.txt > h.txt", "depends_on": ["e"]}
    program.plan(
        streams,
        convergence_type=kind,
        max_parallel=8,
        checkpoint_interval=1,
        convergence={"final": {"resolver": f"printf %s '{settled}' > shared.txt"}},
    )
    program.expect(0, "run", "--headless")
    events = program.events()
    at = {e["stream"]: when(e) for e in events if e["type"] == "stream_succeeded"}
    foreseen = next(when(e) for e in events if e["type"] == "conflict_foreseen")
    assert foreseen < min(at["a"], at["b"]), "it is known while both still run"
    made = {name: content(program, f"{name}.txt") for name in "cdefgh"}
    assert made == {"g": "c\nd\n", "h": "e\n"} | {name: f"{name}\n" for name in QUICK}
    assert content(program, "shared.txt") == settled
    waited = {s: max(0.0, when(merge_of(events, s)) - at[s]) for s in streams}
    mean = statistics.mean(waited.values())
    early = min(at["a"], at["b"]) - foreseen
    print(
        f"\n{kind}: work waits {mean:.2f} s to be merged; the conflict is known {early:.1f} s early"
    )


def merge_of(events: list[dict[str, Any]], stream: str) -> dict[str, Any]:
    """Return the first event that brought a stream's work together with that of others."""
    for event in events:
        if event["type"] == "convergence_merged" and stream in event["merged"]:
            return event
        works = event["works"] if event["type"] == "checkpoint_merged" else ()
        if any(work["stream"] == stream for work in works):
            return event
    raise AssertionError(f"{stream} was never merged")


def test_checkpoint_a_stream_that_is_never_at_rest_gets_the_others_work_too(
    program: Program,
) -> None:
    """No quiet moment comes, so moments are made; until then the wait is shown, with its reason."""
    with_lines(program)
    program.plan(
        {
            "a": f"{set_line(2, 'two by a')}; sleep 8",
            "restless": {
                "command": "while ! grep -q by.a shared.txt; do date +%N > own.txt; sleep 0.1; "
                "done; echo got it",
                "sync": True,
            },
        },
        convergence_type="checkpoint",
        checkpoint_interval=1,
    )
    program.expect(0, "run", "--headless")
    events = program.events()
    waits = [e for e in events if e["type"] == "sync_delayed"]
    assert {(e["stream"], e["reason"]) for e in waits} == {
        ("restless", "its files are never at rest")
    }
    synced = [e for e in events if e["type"] == "stream_synced" and e["files"]]
    assert synced[0]["was_held"]
    assert "got it" in program.log("restless")
    answer = program.streams()["restless"]["sync"]
    assert (answer["state"], answer["files"]) == ("brought", 1)
