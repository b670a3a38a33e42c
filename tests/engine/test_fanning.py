"""What an attempt of a stream with handlers is told of the attempts before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from anabranch.core.events import HandlerRecoveryRequested
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.inputs import RecoverHandler
from anabranch.core.model.state import State
from anabranch.core.plans.plan import FanPlan, StreamPlan
from anabranch.engine.performers.fanning import fanned_out
from anabranch.engine.performers.going_on import (
    captured,
    note_captured,
    note_going_on,
)
from anabranch.engine.performers.processes import ProcessSpec
from anabranch.engine.workspaces import Repository
from anabranch.paths import RunFolder
from tests.core.given import given

FAN = StreamId("fan")
PLAN = StreamPlan(FAN, ("/bin/sh", "-c", "x"), "x", fan=FanPlan({"items": ["a"]}, "x {item}"))

NOWHERE = Path("/nowhere")
REPO = Repository("git", NOWHERE, NOWHERE, NOWHERE, "", NOWHERE, NOWHERE)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def trusts(run: RunFolder, attempt: int, plan: StreamPlan = PLAN) -> bool:
    return bool(job_of(run, given(plan).state, attempt)["trusts_book"])


def job_of(run: RunFolder, state: State, attempt: int) -> dict[str, Any]:
    fan = state.stream_plan(FAN).fan
    assert fan is not None
    spec = ProcessSpec(FAN, Attempt(attempt), ("x",), "/", {})
    path = fanned_out(state, fan, spec, run, REPO).argv[-1]
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


def test_the_book_counts_only_where_the_workspace_has_what_it_tells_of(run: RunFolder) -> None:
    assert not trusts(run, 1)
    note_going_on(run, FAN, Attempt(2))
    assert trusts(run, 2)
    assert not trusts(run, 3), "the next one has to be noted itself"


def test_in_the_users_own_folder_it_always_counts(run: RunFolder) -> None:
    assert trusts(run, 7, replace(PLAN, workspace="shared"))


def test_an_attempt_is_told_which_handlers_somebody_has_asked_for(run: RunFolder) -> None:
    """And what tells each asking from every other: one that comes by the file too counts once."""
    fanned = given(replace(PLAN, max_retries=0))
    assert job_of(run, fanned.state, 1)["only"] is None
    fanned.run("fan")
    fanned.fail("fan")
    causes = []
    for place in (2, 0):
        fanned.give(RecoverHandler(stream=FAN, handler=place))
        (one,) = [e for e in fanned.records if isinstance(e.event, HandlerRecoveryRequested)][-1:]
        causes.append(one.seq)
    assert job_of(run, fanned.state, 2)["only"] == [[2, causes[0]], [0, causes[1]]]


def test_what_is_not_known_to_be_kept_whole_is_not_gone_on_from(run: RunFolder) -> None:
    assert captured(run, FAN, Attempt(1)) is None
    note_captured(run, FAN, Attempt(1), has_nothing=True)
    assert captured(run, FAN, Attempt(1)) == "nothing"
    note_captured(run, FAN, Attempt(2), has_nothing=False)
    assert captured(run, FAN, Attempt(2)) == "work"
    assert captured(run, FAN, Attempt(1)) is None


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"attempt": 2}', "\x00" * 9])
def test_a_note_that_makes_no_sense_is_none(run: RunFolder, text: str) -> None:
    run.handlers(FAN).mkdir(parents=True)
    for name in ("captured", "goes_on"):
        (run.handlers(FAN) / name).write_text(text)
    assert captured(run, FAN, Attempt(2)) is None
    assert trusts(run, 2) is (text == '{"attempt": 2}')
