"""Workspaces out of a pool that is filled while streams work: real runs, one after another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from anabranch.engine.workspaces.reflink import why_not_reflink
from tests.e2e.program import Program, until
from tests.e2e.test_layers import FOLDERS, STREAMS, result
from tests.e2e.test_layers import confined as confined

POOL: dict[str, Any] = {"isolation": {"method": "pool"}, "max_parallel": 2}


def ready(program: Program) -> dict[int, Path]:
    """The checkouts that nobody has taken, by their inodes."""
    places = program.state_home.glob("anabranch/projects/*/store*/pool/[!.]*/files")
    return {found.stat().st_ino: found.parent for found in places}


def test_it_is_filled_while_a_stream_works_and_the_next_one_takes_of_it(program: Program) -> None:
    wait = f"echo there; until test -e {program.scratch}/go; do sleep 0.02; done"
    after = {"command": "cat work.txt", "depends_on": ["works"]}
    program.plan({"works": f"echo w > work.txt; {wait}", "goes_on": after}, **POOL)
    host = program.begin("run", "--headless")
    until(lambda: len(ready(program)) == 2, "two checkouts are made ahead")
    before = ready(program)
    (program.scratch / "go").touch()
    assert host.wait().code == 0
    assert Path(program.streams()["goes_on"]["workspace"]).stat().st_ino in before
    assert not list(program.state_home.glob("anabranch/projects/*/store*/pool/.made-*"))


def test_what_is_given_back_is_taken_again_and_changes_no_result(program: Program) -> None:
    program.plan(STREAMS, **FOLDERS)
    expected = result(program)
    program.plan(STREAMS, **POOL)
    assert result(program) == expected
    for found in ready(program).values():
        shutil.rmtree(found)
    program.expect(0, "gc")
    before = ready(program)
    assert len(before) == 2
    assert "checkouts made ahead" in program.expect(0, "runs", "--sizes").err
    assert result(program) == expected
    places = [s["workspace"] for s in program.streams().values() if s["workspace"]]
    taken = {Path(place).stat().st_ino for place in places}
    assert taken & set(before)


def test_doctor_says_that_there_is_a_pool_and_how_much_is_in_it(confined: Program) -> None:
    if not why_not_reflink(confined.scratch):
        pytest.skip("files share their blocks here")
    wait = f"until test -e {confined.scratch}/go; do sleep 0.02; done"
    confined.plan({"works": wait, "waits": wait}, **POOL)
    host = confined.begin("run", "--headless")
    until(lambda: len(ready(confined)) == 2, "two checkouts are made ahead")
    said = confined.expect(0, "doctor").out
    (confined.scratch / "go").touch()
    assert host.wait().code == 0
    assert "taken from checkouts made ahead (2 are ready), or written file by file" in said
