"""The guardian over real processes: every kind of trouble is noticed, and mended without loss.

Each fault below is a stream of a run in which another one works all the time. What the troubled
attempt had written is looked up afterwards, and the one that works must never have been touched.
With ``ANABRANCH_FAULT_RUNS`` each fault is run so many times, and a table of times is printed.
"""

from __future__ import annotations

import os
import signal
import statistics
import textwrap
import time
from datetime import datetime
from typing import Any, NamedTuple

import pytest

from tests.e2e.program import Program, until
from tests.engine.repositories import git

RUNS = int(os.environ.get("ANABRANCH_FAULT_RUNS", "1"))
WORKER = "for i in 1 2 3 4 5 6 7; do echo $i >> work.txt; echo $i; sleep 0.4; done"


class Fault(NamedTuple):
    """What goes wrong in the first attempt.

    ``remedy`` is the rung that must mend it, ``tells`` an event that it brings about besides.
    """

    command: str
    remedy: str = "hard"
    heartbeat: float = 1.0
    tells: str = "stream_started"


FAULTS = {
    "hangs without work": Fault("sleep 600"),
    "hangs after output": Fault("echo begun; sleep 600"),
    "stops itself": Fault("kill -STOP $$"),
    "ignores TERM": Fault("trap '' TERM; while :; do sleep 600; done"),
    "forked twice and left": Fault("(setsid sh -c 'trap \"\" TERM; sleep 600' &) ; sleep 600"),
    "floods, then hangs": Fault("yes | head -c 90000000; sleep 600", tells="output_cut"),
    "waits for a zombie": Fault("sh -c 'sleep 0.1 & exec sleep 600'"),
    "heartbeats, then silence": Fault("ab-stream heartbeat >/dev/null; sleep 600"),
    "crashes": Fault("kill -SEGV $$", remedy="retry"),
}


def plan_for(program: Program, fault: Fault, **more: Any) -> None:
    """Write a plan in which one stream gets into trouble once, and another one works."""
    script = (
        f"echo precious > precious.txt\nif [ $ANABRANCH_ATTEMPT = 1 ]; then {fault.command}\nfi\n"
    )
    script += "echo mended > mended.txt"
    recovery = {"soft_grace": 0.5, "max_retries": 1, **more}
    program.plan(
        {
            "troubled": {"command": script, "heartbeat": {"timeout": fault.heartbeat}},
            "works": {"command": WORKER, "heartbeat": {"timeout": 3}},
        },
        max_parallel=2,
        recovery=recovery,
    )


def times(events: list[dict[str, Any]]) -> dict[str, float]:
    """Return how long it took to notice, to decide and to run again, in seconds."""

    def at(kind: str, attempt: int | None = None) -> float:
        found = next(
            e
            for e in events
            if e["type"] == kind
            and e.get("stream") == "troubled"
            and attempt in (None, e.get("attempt"))
        )
        return datetime.fromisoformat(found["time"].replace("Z", "+00:00")).timestamp()

    asked, again = at("stream_stop_requested"), at("stream_queued", 2)
    return {
        "detect": at("stream_stalled") - at("stream_started", 1),
        "end": at("stream_exited", 1) - asked,
        "keep": at("retry_scheduled") - at("stream_exited", 1),
        "start": at("stream_started", 2) - again,
    }


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_mended_and_nothing_is_lost(name: str, program: Program) -> None:
    """Noticed, ended with all its processes, its work kept, and run again; nobody else touched."""
    fault = FAULTS[name]
    plan_for(program, fault)
    measured: list[dict[str, float]] = []
    for _ in range(RUNS):
        program.expect(0, "run", "--headless")
        events = program.events()
        streams = program.streams()
        assert (streams["troubled"]["attempt"], streams["works"]["attempt"]) == (2, 1)
        begun = [e for e in events if e["type"] == "recovery_started"]
        remedies = [e["remedy"] for e in begun if (e["stream"], e["attempt"]) == ("troubled", 1)]
        assert remedies == ([] if fault.remedy == "retry" else ["soft", "hard"])
        assert fault.tells in [e["type"] for e in events if e.get("stream") == "troubled"]
        assert (program.folder().path / "logs" / "troubled.1.log").stat().st_size < 70_000_000
        (kept,) = streams["troubled"]["partial"]
        assert git(program.project, "show", f"{kept}:precious.txt") == "precious\n"
        assert not program.processes(), "a process of the ended attempt goes on"
        if fault.remedy != "retry":
            measured.append(times(events))
    if RUNS > 1 and measured:
        table = {part: statistics.mean(m[part] for m in measured) for part in measured[0]}
        print(f"\n{name}: " + ", ".join(f"{p} {s * 1000:.0f} ms" for p, s in table.items()))


def test_a_retry_goes_on_from_the_last_checkpoint(program: Program) -> None:
    """What came after it is kept beside, and is not there any more: files and shared state."""
    script = """
    set -e
    if [ $ANABRANCH_ATTEMPT = 1 ]; then
        echo one > one.txt; rm README.md
        ab-stream state set k '"good"' > /dev/null
        ab-stream checkpoint half > /dev/null
        echo broken > broken.txt
        ab-stream state set k '"half-done"' > /dev/null
        kill -SEGV $$
    fi
    ab-stream state get k | grep -q '"good"'
    [ "$ANABRANCH_CHECKPOINT_LABEL" = half ]; [ -e one.txt ]; ! [ -e broken.txt ]
    git status --porcelain | grep -q one.txt
    echo two > two.txt
    """
    program.plan({"s": textwrap.dedent(script)}, recovery={"max_retries": 1})
    program.expect(0, "run", "--headless")
    (kept,) = program.streams()["s"]["partial"]
    assert git(program.project, "show", f"{kept}:broken.txt") == "broken\n"
    merged = git(program.project, "ls-tree", "--name-only", program.status()["branch"]).split()
    assert {"one.txt", "two.txt"} <= set(merged)
    assert not {"README.md", "broken.txt"} & set(merged)
    assert program.expect(0, "state", "get", "k", "--json").json()["value"] == "good"
    (answer,) = [e for e in program.events() if e["type"] == "state_restored"]
    back = program.expect(0, "state", "restore", str(answer["was"]), "--stream", "s", "--json")
    assert back.json()["keys"] == ["k"]
    assert program.expect(0, "state", "get", "k", "--json").json()["value"] == "half-done"


def test_an_answer_calls_it_off(program: Program) -> None:
    """A stream that reads its inbox and answers is never ended."""
    script = """
    sleep 2
    while ! ab-stream inbox --wait 10 | grep -q status_asked; do :; done
    ab-stream heartbeat --status 'still here'
    """
    program.plan(
        {"slow": {"command": textwrap.dedent(script), "heartbeat": {"timeout": 1}}},
        recovery={"soft_grace": 20},
    )
    program.expect(0, "run", "--headless")
    finished = [e for e in program.events() if e["type"] == "recovery_finished"]
    assert [(e["remedy"], e["outcome"]) for e in finished] == [("soft", "recovered")]
    assert program.streams()["slow"]["attempt"] == 1


TRAPS = "trap 'echo heard by a trap; exit 0' USR1; while :; do sleep 0.1; done"


@pytest.mark.parametrize(
    ("stream", "heard"),
    [
        ({"command": TRAPS, "ask": {"signal": "USR1"}}, "heard by a trap"),
        (
            {
                "command": "read line; echo heard $line",
                "tty": True,
                "ask": {"line": "how are you"},
            },
            "heard how are you",
        ),
        (
            {
                "command": "while ! [ -e asked ]; do sleep 0.1; done; cat asked",
                "ask": {"command": "echo $ANABRANCH_STREAM is $ANABRANCH_DIAGNOSIS > asked"},
            },
            "s is never started",
        ),
    ],
    ids=["signal", "line", "command"],
)
def test_a_stream_is_asked_in_the_way_that_its_plan_says(
    program: Program, stream: dict[str, Any], heard: str
) -> None:
    program.plan({"s": {**stream, "heartbeat": {"timeout": 1}}}, recovery={"soft_grace": 20})
    program.expect(0, "run", "--headless")
    assert heard in program.log("s")
    assert program.streams()["s"]["attempt"] == 1
    assert "stream_asked" in [event["type"] for event in program.events()]


WORKS_WHEN_ASKED = """exec python3 -c '
import signal, time
signal.signal(signal.SIGUSR1, lambda *_: sum(range(5_000_000)))
time.sleep(600)'"""

HUNG: list[dict[str, dict[str, Any]]] = [
    {
        "a-line": {"tty": True, "ask": {"line": "are you there?"}},
        "a-signal": {"command": WORKS_WHEN_ASKED, "ask": {"signal": "USR1"}},
        "a-file": {"ask": {"command": "date >> asked; sleep 0.1; date >> asked"}},
    },
    {
        "a-hidden-line": {
            "tty": True,
            "command": "stty -echo; sleep 600",
            "ask": {"line": "are you there?"},
        },
        "a-waking-signal": {"ask": {"signal": "CONT"}},
        "a-heartbeat": {"ask": {"command": "ab-stream heartbeat --status alive; true"}},
    },
]
"""By what a hung stream is asked; at most three are ended at once."""


@pytest.mark.parametrize("hung", HUNG, ids=["line-signal-file", "hidden-waking-heartbeat"])
def test_a_hung_stream_is_ended_whatever_asking_it_leaves_behind(
    program: Program, hung: dict[str, dict[str, Any]]
) -> None:
    """An echo, a handler's work, a file, a call: what the asker does is no sign of the asked."""
    streams = {
        name: {"command": "sleep 600", **how, "heartbeat": {"timeout": 1.5}}
        for name, how in hung.items()
    }
    for stream in streams.values():
        stream["command"] = f"[ $ANABRANCH_ATTEMPT = 2 ] || {{ {stream['command']}; }}"
    program.plan(streams, max_parallel=3, recovery={"soft_grace": 2.5, "max_retries": 1})
    program.expect(0, "run", "--headless", "--time-limit", "60s")
    begun = [e for e in program.events() if e["type"] == "recovery_started"]
    stories = {name: [e["remedy"] for e in begun if e["stream"] == name] for name in streams}
    assert stories == {name: ["soft", "hard"] for name in streams}


def test_what_fails_for_everybody_is_held_back_until_it_goes_again(program: Program) -> None:
    """A real service that is away: nobody uses up retries meanwhile, and all get through."""
    up = program.scratch / "up"
    agent = program.scratch / "agent"
    agent.write_text(f"#!/bin/sh\n[ -e {up} ] && exit 0\necho HTTP 429 Too Many Requests\nexit 1\n")
    agent.chmod(0o755)
    program.plan(
        {f"s{n}": {"command": f"{agent} --task {n}", "capabilities": ["llm"]} for n in range(6)},
        max_parallel=2,
        recovery={"max_retries": 6},
    )
    running = program.begin("run", "--headless")

    def openings() -> int:
        return [e["type"] for e in program.events()].count("breaker_opened")

    until(lambda: program.run_folders() and openings() >= 2, "a probe has failed too")
    up.touch()
    assert running.wait().code == 0
    streams = program.streams()
    assert sum(s["attempt"] == 1 for s in streams.values()) >= 2
    answer = program.expect(0, "breakers", "--json").json()["breakers"]
    assert [row["state"] for row in answer if row["breaker"] == "capability llm"] == ["closed"]


def test_a_failure_of_a_permanent_kind_is_not_tried_again(program: Program) -> None:
    """It is laid aside with its class, and one command tries it again."""
    mended = program.scratch / "mended"
    program.plan(
        {"s": f"[ -e {mended} ] && exit 0; echo schema 7 is unknown; exit 3"},
        recovery={"max_retries": 5, "permanent_failures": ["schema [0-9]+ is unknown"]},
    )
    program.expect(1, "run", "--headless")
    (letter,) = program.status()["dead_letters"]
    assert (letter["attempts"], letter["failure_class"]) == (1, "permanent, by the plan")
    assert "schema 7 is unknown" in letter["reason"]
    mended.touch()
    program.expect(0, "recover", "s", "hard")
    assert program.status()["dead_letters"] == []


def test_a_console_that_slept_ends_nobody(program: Program) -> None:
    """While nobody looked no stream grew older: stopped for longer than every limit, and woken."""
    program.plan(
        {"quiet": {"command": "sleep 3; echo done", "heartbeat": {"timeout": 2}}},
        recovery={"soft_grace": 1},
    )
    running = program.begin("run", "--headless")
    until(
        lambda: program.run_folders() and program.streams()["quiet"]["state"] == "running",
        "the stream runs, of which it is to sleep through nearly all",
    )
    running.send(signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 2.5, "it has slept")
    running.send(signal.SIGCONT)
    assert running.wait().code == 0
    assert program.streams()["quiet"]["attempt"] == 1


def test_who_is_beyond_help_needs_a_person_and_is_recovered_by_hand(program: Program) -> None:
    """Exit 4 with everything kept; ``recover`` tells beforehand, refuses, and does it."""
    healed = program.scratch / "healed"
    script = f"echo work > w.txt; test -e {healed} || sleep 600"
    program.plan(
        {"stuck": {"command": script, "heartbeat": {"timeout": 1}}},
        recovery={"soft_grace": 0.3, "max_retries": 0, "fallback": "sequential"},
    )
    answer = program.expect(4, "run", "--headless")
    assert "anabranch recover stuck hard" in answer.out + answer.err
    dry = program.expect(0, "recover", "stuck", "hard", "--dry-run")
    assert "attempt 3 of stuck starts" in dry.out
    assert program.expect(0, "recover", "stuck", "hard", "--dry-run", "--json").json()["steps"]
    assert "no stream 'stick'" in program.expect(2, "recover", "stick", "hard").err
    healed.write_text("")
    program.expect(0, "recover", "stuck", "hard")
    assert program.status()["state"] == "converged"


def test_a_running_stream_is_recovered_beside_its_console(program: Program) -> None:
    """Another command asks; the host does it, and the stream runs again."""
    plan_for(program, Fault("sleep 600", heartbeat=600.0))
    running = program.begin("run", "--headless")
    until(
        lambda: program.run_folders() and program.streams()["troubled"]["state"] == "running",
        "the stream runs",
    )
    program.expect(0, "recover", "troubled", "hard")
    assert running.wait().code == 0
    by = [e["by"] for e in program.events() if e["type"] == "recovery_started"]
    assert by == ["operator"]
