"""How ceilings are held: by a control group where there is one to divide, else by limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.core.ids import RunId, StreamId
from anabranch.engine import ceilings
from anabranch.engine.ceilings import Way, ceilings_of, probe, processors_for, sweep
from anabranch.engine.health import examine
from anabranch.testing import stream
from tests.core.given import given


def tree(root: Path, groups: dict[str, str], controllers: str = "cpuset cpu io memory") -> Path:
    """Make what looks like cgroup v2: each group with what it hands on."""
    for name, handed_on in groups.items():
        group = root / name
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.subtree_control").write_text(handed_on + "\n")
        (group / "cgroup.procs").write_text("")
    (root / "cgroup.controllers").write_text(controllers + "\n")
    return root


def own(folder: Path, place: str) -> Path:
    """Make what tells the groups of a process."""
    file = folder / "own"
    file.write_text(f"4:memory:/elsewhere\n0::{place}\n")
    return file


DELEGATED = {"": "cpu memory", "user.slice": "memory", "user.slice/app": "cpu memory io"}


@pytest.mark.parametrize(
    ("groups", "place", "found"),
    [
        (DELEGATED | {"user.slice/app/scope": ""}, "/user.slice/app/scope", "user.slice/app"),
        (DELEGATED, "/user.slice/app", "user.slice/app"),
        (DELEGATED, "/user.slice", ""),
        ({"": "cpu memory"}, "/", ""),
    ],
)
def test_the_nearest_group_that_hands_both_controllers_on_is_divided(
    tmp_path: Path, groups: dict[str, str], place: str, found: str
) -> None:
    root = tree(tmp_path / "root", groups)
    assert probe(root, own(tmp_path, place)) == Way(str(root / found))


def test_where_there_is_none_it_is_said_why_and_what_would_help(tmp_path: Path) -> None:
    """No controllers, not handed on, not ours, not there at all, or a hybrid without any."""
    nothing = probe(tmp_path / "nowhere", tmp_path / "own")
    assert (nothing.folder, nothing.why_not) == (
        "",
        "cgroup v2 has no controller of cpu or memory here",
    )
    root = tree(tmp_path / "a", {"": "memory", "x": "pids"})
    kept = probe(root, own(tmp_path, "/x"))
    assert kept.why_not == "cgroup v2 is not delegated to this user"
    assert "systemd-run --user --scope" in kept.mend
    less = tree(tmp_path / "b", {"": "memory cpu"}, controllers="memory pids")
    assert probe(less, own(tmp_path, "/")).why_not == "cgroup v2 has no controller of cpu here"
    (tmp_path / "own").write_text("4:memory:/elsewhere\n")
    assert "no group" in probe(root, tmp_path / "own").why_not
    hybrid = tree(tmp_path / "c" / "unified", {"": "cpu memory"})
    assert probe(tmp_path / "c", own(tmp_path, "/")).folder == str(hybrid)


def test_doctor_says_which_way_there_is(tmp_path: Path) -> None:
    (found,) = [f for f in examine(tmp_path) if f.subject == "ceilings"]
    assert found.verdict == "ok"
    assert found.message.startswith(probe().words)
    assert probe().mend in found.message


@pytest.mark.parametrize(
    ("cores", "taken", "expected"),
    [
        (0, 0, []),
        (1, 0, [2]),
        (1, 3, [9]),
        (1.5, 1, [5, 7]),
        (2, 3, [9, 2]),
        (4, 1, []),  # all that there are: nothing is to be chosen
        (99, 0, []),
    ],
)
def test_whole_processors_are_chosen_after_those_of_others(
    cores: float, taken: int, expected: list[int]
) -> None:
    assert processors_for(cores, taken, {2, 5, 7, 9}) == expected


def test_a_holder_is_told_of_the_ceilings_of_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that is limited runs on the next processors; the group is named by its attempt."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    run = given(
        stream("a", limits={"cpu_cores": 1}),
        stream("b", limits={"cpu_cores": 2, "memory_mb": 300}),
        stream("c"),
    )
    found = ceilings_of(run.state, StreamId("b"), "b.1", Way("/groups"))
    assert found == {
        "group": "/groups/anabranch-r-b.1",
        "memory_mb": 300,
        "cpu_cores": 2,
        "processors": [1, 2],
        "kills_all": True,
    }
    assert ceilings_of(run.state, StreamId("a"), "a.1", Way())["group"] == ""
    assert ceilings_of(run.state, StreamId("c"), "c.1", Way("/groups")) == {}


def test_groups_that_killed_holders_have_left_are_taken_away(tmp_path: Path) -> None:
    """Those of this run that are empty; a run without ceilings looks for none."""
    how, run = Way(str(tmp_path)), given(stream("a", limits={"memory_mb": 100}))
    for name in ("anabranch-r-a.1", "anabranch-r-a.2", "anabranch-other-a.1", "foreign"):
        (tmp_path / name).mkdir()
    (tmp_path / "anabranch-r-a.2" / "lives").touch()
    sweep(given(stream("a")).state, how)
    assert len(list(tmp_path.iterdir())) == 4
    sweep(run.state, how)
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"anabranch-r-a.2", "anabranch-other-a.1", "foreign"}


def test_what_lives_on_in_the_group_of_a_killed_holder_is_ended(tmp_path: Path) -> None:
    group = tmp_path / "anabranch-r-a.1"
    group.mkdir()
    ceilings.remove_group(RunId("r"), "a.1", Way(str(tmp_path)))
    assert (group / "cgroup.kill").read_text() == "1"
    (group / "cgroup.kill").unlink()
    ceilings.remove_group(RunId("r"), "a.1", Way(""))
    assert group.exists()
