"""What a drill makes of a plan: the user's own commands, and only the time limits it must."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import Plan
from anabranch.drilling.faults import Fault, FaultKind, check_faults, usual_faults
from anabranch.drilling.rehearsal import CONFLICT_FILE, rehearsal_of, slow_seconds
from anabranch.errors import UsageError
from anabranch.testing import plan_of, stream

A, B, C = (StreamId(name) for name in "abc")


def a_plan() -> Plan:
    return plan_of(stream("a"), stream("b"), stream("c", "b"), stream("typed", tty=True))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(FaultKind.KILL, (StreamId("aa"),)), "no stream 'aa'"),
        (Fault(FaultKind.CONFLICT, (A, A)), "itself"),
        (Fault(FaultKind.STALL, (StreamId("typed"),)), "its silence means nothing"),
        (Fault(FaultKind.CONFLICT, (B, C)), "c is built on b"),
        (Fault(FaultKind.CONFLICT, (C, B)), "c is built on b"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_the_next_step(fault: Fault, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        check_faults(a_plan(), [fault])
    assert refused.value.hint


def test_without_a_word_one_is_killed_and_another_stalls() -> None:
    assert [f.words for f in usual_faults(a_plan())] == ["kill a", "stall b"]


def test_only_who_must_be_silent_is_hurried_and_it_is_told() -> None:
    plan = a_plan()
    made = rehearsal_of(plan, [Fault(FaultKind.STALL, (A,)), Fault(FaultKind.KILL, (B,))], 5.0)
    hurried = {s.id: s.heartbeat_timeout_seconds for s in made.plan.streams}
    before = {s.id: s.heartbeat_timeout_seconds for s in plan.streams}
    assert hurried == {**before, A: 5.0}
    assert [c for c in made.changes if c.startswith("a may be silent for 5 s")]
    assert not [c for c in made.changes if c.startswith(("b ", "c "))]
    assert made.plan.streams[2] == plan.streams[2]


def test_a_slow_start_stays_within_what_its_plan_allows() -> None:
    made = rehearsal_of(a_plan(), [Fault(FaultKind.SLOW_START, (A,))], 5.0)
    assert slow_seconds(made.plan.streams[0]) < made.plan.streams[0].heartbeat_timeout_seconds


@settings(max_examples=25, deadline=None)
@given(words=st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=4))
def test_the_users_command_gets_its_very_arguments(words: list[str]) -> None:
    """Whatever stands around it, and its exit code is the stream's."""
    command = ("/bin/sh", "-c", 'printf "%s\\0" "$@"; exit 7', "sh", *words)
    plan = a_plan()
    plan = replace(plan, streams=(replace(plan.streams[0], command=command), *plan.streams[1:]))
    faults = [Fault(FaultKind.KILL, (A,)), Fault(FaultKind.CONFLICT, (A, B))]
    made = rehearsal_of(plan, faults, 5.0).plan.streams[0].command
    ended = subprocess.run(made, env={**os.environ, "ANABRANCH_ATTEMPT": "2"}, capture_output=True)
    assert ended.returncode == 7
    assert ended.stdout.decode() == "".join(f"{word}\0" for word in words or [""])


def test_both_sides_of_a_conflict_write_another_line(tmp_path: Path) -> None:
    made = rehearsal_of(a_plan(), [Fault(FaultKind.CONFLICT, (A, B))], 5.0)
    found = set()
    for one in made.plan.streams[:2]:
        env = {"ANABRANCH_STREAM": one.id, "ANABRANCH_ATTEMPT": "1", "PATH": os.environ["PATH"]}
        subprocess.run(one.command, env={**env, "ANABRANCH_WORKSPACE": str(tmp_path)}, check=True)
        found.add((tmp_path / CONFLICT_FILE).read_text())
    assert len(found) == 2
