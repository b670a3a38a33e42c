"""Fusion in real runs: real workspaces that go from one stream to the next."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from tests.e2e.program import Program, until
from tests.engine.repositories import git

NONE: Mapping[str, dict[str, Any]] = {}
LINKS = ("a", "b", "c", "d", "e")


def chain(
    program: Program, changed: Mapping[str, dict[str, Any]] = NONE, *, fusion: bool = True
) -> None:
    """A plan of links that each write a file of their own, and say which files they see."""
    streams: dict[str, Any] = {}
    for before, name in zip(("", *LINKS), LINKS, strict=False):
        streams[name] = {"command": f"echo {name} > {name}.txt; echo sees $(ls [a-e].txt)"}
        if before:
            streams[name]["depends_on"] = [before]
        streams[name] |= changed.get(name, {})
    program.plan(streams, fusion=fusion)


def fused(program: Program) -> dict[str, str | None]:
    return {name: s["goes_on_from"] for name, s in program.streams().items()}


def tree_of(program: Program) -> str:
    return git(program.project, "rev-parse", f"{program.status()['branch']}^{{tree}}").strip()


def test_a_chain_whose_links_are_known_to_be_short_runs_in_one_workspace(program: Program) -> None:
    """The first run teaches; the second is fused, and everything else is as it was."""
    chain(program)
    program.expect(0, "run", "--headless")
    assert set(fused(program).values()) == {None}
    unfused = tree_of(program)
    program.expect(0, "run", "--headless")
    assert fused(program) == {"a": None, "b": "a", "c": "b", "d": "c", "e": "d"}
    assert tree_of(program) == unfused
    known = program.streams()
    assert len({s["commit"] for s in known.values()}) == len(LINKS)
    for number, name in enumerate(LINKS, 1):
        assert known[name]["files_changed"] == 1
        seen = " ".join(f"{link}.txt" for link in LINKS[:number])
        assert f"sees {seen}" in program.log(name)
    assert [s["workspace"] is None for s in known.values()] == [True] * 4 + [False]
    (group,) = program.status()["fusion"]
    assert [(m["stream"], m["behind"], m["stands"]) for m in group["members"]] == [
        ("a", 4, True), ("b", 3, True), ("c", 2, True), ("d", 1, True), ("e", 0, True)
    ]  # fmt: skip
    assert "4 streams went on in 1 workspace" in program.asked(0, "report").out
    program.expect(0, "approve")
    assert sorted(p.name for p in program.project.glob("[a-e].txt")) == [f"{n}.txt" for n in LINKS]
    assert "a.txt" in git(program.project, "ls-tree", "-r", "--name-only", known["a"]["commit"])


def test_it_is_switched_off_by_one_line(program: Program) -> None:
    chain(program)
    program.expect(0, "run", "--headless")
    chain(program, fusion=False)
    program.expect(0, "run", "--headless")
    assert set(fused(program).values()) == {None}


def test_the_link_that_fails_is_tried_again_in_a_workspace_of_its_own(program: Program) -> None:
    """Those before are not run again, and what they have done is there."""
    chain(program)
    program.expect(0, "run", "--headless")
    began, marker = program.scratch / "began", program.scratch / "failed-once"
    count = f"echo $ANABRANCH_STREAM >> {began}; "
    fails = f"echo half > half.txt; test -e {marker} || {{ touch {marker}; exit 1; }}"
    again: dict[str, dict[str, Any]] = {
        n: {"command": f"{count}echo {n} > {n}.txt; echo sees $(ls)"} for n in LINKS
    }
    again["c"] = {"command": f"{count}echo c > c.txt; {fails}", "retries": 1}
    chain(program, again)
    program.expect(0, "run", "--headless")  # teaches the new commands
    began.unlink()
    marker.unlink()
    program.expect(0, "run", "--headless")
    known = program.streams()
    assert fused(program)["b"] == "a"
    assert (known["c"]["attempt"], known["c"]["goes_on_from"]) == (2, None)
    assert known["d"]["goes_on_from"] is None
    assert sorted(began.read_text().split()) == ["a", "b", "c", "c", "d", "e"]
    (partial,) = known["c"]["partial"]
    kept = git(program.project, "ls-tree", "--name-only", partial).split()
    assert {"a.txt", "b.txt", "c.txt", "half.txt"} <= set(kept)
    assert "sees" in program.log("d")


def test_what_git_ignores_is_handed_to_nobody(program: Program) -> None:
    (program.project / ".gitignore").write_text("cache/\n")
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "rules")
    leaves = "echo a > a.txt; mkdir cache; echo secret > cache/x"
    reads = "echo b > b.txt; ls; test ! -e cache"
    chain(program, {"a": {"command": leaves}, "b": {"command": reads}})
    program.expect(0, "run", "--headless")
    program.expect(0, "run", "--headless")
    assert fused(program)["b"] is None
    assert fused(program)["c"] == "b"


def test_a_stream_that_has_used_git_keeps_its_workspace(program: Program) -> None:
    commits = "echo a > a.txt; git add -A; git -c user.name=a -c user.email=b commit -qm mine"
    chain(program, {"a": {"command": commits}})
    program.expect(0, "run", "--headless")
    program.expect(0, "run", "--headless")
    assert fused(program)["b"] is None
    assert "mine" in git(program.project, "log", "--format=%s", program.streams()["e"]["commit"])


def test_the_console_is_killed_in_the_middle_of_a_chain(program: Program) -> None:
    chain(program)
    program.expect(0, "run", "--headless")
    gate = program.scratch / "gate"
    waits = f"echo c > c.txt; echo waits; until test -e {gate}; do sleep 0.02; done"
    gate.touch()
    chain(program, {"c": {"command": waits}})
    program.expect(0, "run", "--headless")
    gate.unlink()
    host = program.begin("run", "--headless")
    until(lambda: program.status()["state"] == "running", "the run goes on")
    program.await_log("c", "waits")
    host.send(signal.SIGKILL)
    host.wait()
    gate.touch()
    program.expect(0, "resume", "--headless")
    assert fused(program) == {"a": None, "b": "a", "c": "b", "d": "c", "e": "d"}
    assert {s["attempt"] for s in program.streams().values()} == {1}
    assert program.expect(0, "report", "--format", "json").json()["integrity"]["state"] == "ok"


def test_streams_that_start_alike_take_turns_in_one_workspace(program: Program) -> None:
    """None of them sees what another has written."""
    streams = {n: {"command": f"echo {n} > {n}.txt; ls"} for n in LINKS}
    program.plan(streams, max_parallel=1)
    program.expect(0, "run", "--headless")
    program.expect(0, "run", "--headless")
    found = fused(program)
    assert sum(before is not None for before in found.values()) == 4
    for name in LINKS:
        log = program.log(name)
        assert [n for n in LINKS if f"{n}.txt" in log] == [name]
    names = git(program.project, "ls-tree", "--name-only", program.status()["branch"]).split()
    assert {f"{n}.txt" for n in LINKS} <= set(names)
