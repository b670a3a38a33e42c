"""Workspaces made of layers: real runs, real mounts, a console that is killed, a machine that was
started anew."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.core.ids import StreamId
from anabranch.engine.workspaces.layers.mounting import (
    hide_all_below,
    mounted_below,
    why_not_layers,
)
from anabranch.engine.workspaces.layers.place import NOTE
from tests.e2e.program import Program, until
from tests.engine.repositories import git

LAYERS: dict[str, Any] = {"isolation": {"method": "overlay"}}
FOLDERS: dict[str, Any] = {"isolation": {"method": "worktree"}}
STREAMS = {
    "adds": "mkdir -p new/deep; echo n > new/deep/n.txt; chmod +x README.md",
    "removes": "rm -r src; mkdir src; echo b > src/b.txt",
    "renames": {"command": "mv new moved; git mv README.md READ.md", "depends_on": ["adds"]},
    "commits": "echo c > c.txt; git add c.txt; "
    "git -c user.name=c -c user.email=c@d commit -qm c; echo more >> c.txt",
}


@pytest.fixture
def layered(program: Program, tmp_path: Path) -> Iterator[Program]:
    """The program where layers can be had; what is mounted in the end is taken away."""
    why_not = why_not_layers(tmp_path)
    if why_not:
        pytest.skip(f"no layers here: {why_not}")
    yield program
    program.end_everything()
    hide_all_below(tmp_path)


def result(program: Program) -> str:
    """Run the plan and return the tree of its result."""
    program.expect(0, "run", "--headless")
    return git(program.project, "rev-parse", f"{program.status()['commit']}^{{tree}}")


def test_they_bring_the_same_result_as_folders(layered: Program) -> None:
    layered.plan(STREAMS, **FOLDERS)
    expected = result(layered)
    assert layered.streams()["removes"]["workspace_made"]["method"] == "worktree"
    layered.plan(STREAMS, **LAYERS)
    assert result(layered) == expected
    made = {"method": "overlay", "in_namespace": False, "enter": None}
    assert layered.streams()["removes"]["workspace_made"] == made
    where = Path(layered.streams()["removes"]["workspace"])
    assert os.path.ismount(where)
    assert git(where, "status", "--porcelain").split("\n")[0] == " D src/a.txt"
    layered.expect(0, "gc")
    assert not mounted_below(layered.state_home)
    assert not [path for path in layered.folder().path.rglob("upper") if path.exists()]


def test_after_a_reboot_what_lies_in_the_upper_layer_is_kept(layered: Program) -> None:
    """Processes and mounts are gone then. An empty folder is not taken for a stream's work."""
    first = "if [ $ANABRANCH_ATTEMPT = 1 ]; then echo kept > kept.txt; echo there; sleep 60; fi"
    layered.plan({"work": {"command": f"{first}; echo done > done.txt", "retries": 1}}, **LAYERS)
    host = layered.begin("run", "--headless")
    layered.await_log("work", "there")
    host.kill()
    layered.end_everything()
    hide_all_below(layered.state_home)
    layered.expect(0, "resume", "--headless")
    (partial,) = layered.status()["streams"][0]["partial"]
    shown = git(layered.project, "show", "--stat", "--format=", partial)
    assert [line.split()[0] for line in shown.splitlines()[:-1]] == ["kept.txt"]
    commit = layered.status()["commit"]
    assert git(layered.project, "ls-tree", "--name-only", commit).split()[:2] == [
        "README.md",
        "done.txt",
    ]


def with_handlers(program: Program) -> dict[str, Any]:
    command = (
        f"test $(stat -f -c %T .) = overlayfs && echo {{item}} > of-{{item}} && echo at work && "
        f"until test {{index}} -lt 2 -o -e {program.scratch}/go; do sleep 0.02; done"
    )
    each = {"each": list(range(4)), "command": command, "max_parallel": 2, "retries": 1}
    return {"fan": {**each, "handler_workspace": "each"}}


def test_handlers_have_layers_too_and_a_reboot_loses_nothing_of_theirs(layered: Program) -> None:
    """All processes and mounts are gone in the middle: what was merged is, the rest is kept."""
    layered.plan(with_handlers(layered), **LAYERS)
    host = layered.begin("run", "--headless")
    until(layered.run_folders, "a run")
    book = layered.folder().handlers(StreamId("fan")) / "book"
    until(lambda: book.exists() and book.read_text().count('["e"') == 2, "two are done")
    workspaces = layered.folder().handlers(StreamId("fan")) / "workspaces"
    until(lambda: all((workspaces / n / f"of-{n}").exists() for n in "23"), "two are at work")
    host.kill()
    layered.end_everything()
    hide_all_below(layered.state_home)
    (layered.scratch / "go").touch()
    layered.expect(0, "resume", "--headless")
    commit = layered.status()["commit"]
    there = git(layered.project, "ls-tree", "--name-only", commit).split()
    assert {f"of-{number}" for number in range(4)} <= set(there)
    kept = git(layered.project, "for-each-ref", "--format=%(refname)", "refs/anabranch/partial")
    half = [ref for ref in kept.split() if "fan@" in ref]
    assert [git(layered.project, "show", f"{ref}:of-{n}") for n, ref in enumerate(half, 2)] == [
        *("2\n", "3\n")
    ]
    assert not [place for place in mounted_below(layered.state_home) if "handlers" in place.parts]
    layered.expect(0, "gc")
    assert not [path for path in layered.folder().path.rglob("upper") if path.exists()]


def test_a_workspace_in_which_somebody_stands_stays(layered: Program) -> None:
    """It is theirs until they leave; then it goes like any other."""
    layered.plan({"one": "echo 1 > 1.txt"}, **LAYERS)
    layered.expect(0, "run", "--headless")
    where = Path(layered.streams()["one"]["workspace"])
    visitor = subprocess.Popen(["sleep", "600"], cwd=where)
    try:
        (row,) = json.loads(layered.expect(5, "gc", "--json").out)["runs"][0]["workspaces"]
        assert (row["outcome"], os.path.ismount(where)) == ("kept", True)
        assert (where / "1.txt").read_text() == "1\n"
    finally:
        visitor.kill()
        visitor.wait()
    layered.expect(0, "gc")
    assert not where.exists()


def test_a_console_in_another_container_is_refused_with_the_reason(layered: Program) -> None:
    """Two views of the disk, and one upper layer: whoever does not see it leaves it alone."""
    layered.through = ("unshare", "-m")
    wait = f"echo $$; until test -e {layered.scratch}/go; do sleep 0.02; done"
    layered.plan({"waits": f"echo w > w.txt; {wait}; ls > seen.txt"}, **LAYERS)
    host = layered.begin("run", "--headless")
    until(lambda: layered.run_folders() and layered.log("waits"), "it runs")
    host.kill()
    layered.through = ()
    refused = layered.expect(3, "resume", "--headless")
    assert "shown in another container or mount namespace" in refused.err
    assert layered.status()["state"] == "interrupted"
    inside = layered.log("waits").split()[0]
    layered.through = ("nsenter", "-m", "-t", inside, f"--wd={layered.project}")
    resumed = layered.begin("resume", "--headless")
    layered.through = ()
    until(lambda: layered.status()["state"] == "running", "it is hosted again")
    (layered.scratch / "go").touch()
    assert resumed.wait().code == 0
    commit = layered.status()["commit"]
    assert git(layered.project, "show", f"{commit}:seen.txt").split()[-1] == "w.txt"
    layered.expect(0, "gc")
    assert not [path for path in layered.folder().path.rglob("upper") if path.exists()]


def test_a_plan_that_insists_on_them_is_refused_where_they_cannot_be_had(
    program: Program, tmp_path: Path
) -> None:
    program.plan({"a": "true"}, **LAYERS)
    comma = tmp_path / "state,home"
    answer = program.begin("run", "--headless", XDG_STATE_HOME=str(comma)).wait()
    assert answer.code == 2
    assert 'method = "overlay" cannot be had here: a comma' in answer.err
    assert 'write method = "auto"' in answer.err
    assert "Traceback" not in answer.err


# --- without the right to mount ------------------------------------------------------------------

UNPRIVILEGED = ("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")


@pytest.fixture
def confined(program: Program, tmp_path: Path) -> Iterator[Program]:
    """The program without the right to mount, where user namespaces can be had."""
    program.through = UNPRIVILEGED if os.geteuid() == 0 else ()
    probe = (*program.through, "unshare", "-Um", "true")
    if shutil.which("setpriv") is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("no user namespaces here")
    yield program
    program.end_everything()


def test_in_a_namespace_it_is_the_same_and_outlives_the_console(confined: Program) -> None:
    (confined.project / ".git/info/exclude").write_text(".env\n")
    (confined.project / ".env").write_text("what git ignores and work needs\n")
    isolation = {"method": "overlay", "include": [".env"]}
    wait = f"echo there; until test -e {confined.scratch}/go; do sleep 0.02; done"
    waits = f"set -e; grep needs .env; echo w > w.txt; {wait}; ls > seen.txt"
    confined.plan({**STREAMS, "waits": waits}, isolation=isolation)
    host = confined.begin("run", "--headless")
    confined.await_log("waits", "there")
    host.kill()
    shown = confined.expect(0, "diff", "waits", "--stat").out
    assert "w.txt" in shown
    outside = Path(confined.streams()["waits"]["workspace"])
    assert os.listdir(outside) == [NOTE], "nobody outside has it in this place"
    enter = "anabranch enter waits"
    made = {"method": "overlay", "in_namespace": True, "enter": enter}
    assert confined.streams()["waits"]["workspace_made"] == made
    assert "anabranch enter STREAM goes inside" in confined.expect(0, "status").out
    (confined.scratch / "go").touch()
    confined.expect(0, "resume", "--headless")
    commit = confined.status()["commit"]
    names = git(confined.project, "show", f"{commit}:seen.txt").split()
    assert names == ["README.md", "seen.txt", "src", "w.txt"]
    confined.expect(0, "gc")
    assert not [path for path in confined.folder().path.rglob("upper") if path.exists()]
    confined.await_quiet()


def test_what_an_earlier_setup_made_is_shown_below_them(confined: Program) -> None:
    """It takes no room, names the new workspace, and nobody's change of it reaches the next one."""
    (confined.project / ".git/info/exclude").write_text("env/\n")
    setup = "mkdir env; echo $PWD > env/where; echo as made > env/large; echo once >> $ONCE"
    isolation = {"method": "overlay", "setup": setup, "setup_inputs": ["README.md"]}
    once = {"ONCE": str(confined.scratch / "once")}
    looks = {"command": "cat env/large env/where; echo mine > env/mine", "env": once}
    for turn in ("first", "second", "third"):
        confined.plan({"looks": looks}, isolation=isolation)
        confined.expect(0, "run", "--headless")
        found = confined.streams()["looks"]
        assert confined.log("looks") == f"as made\n{found['workspace']}\n"
        said = confined.run("logs", "looks", "--setup").out
        assert ("(shown, and takes no room)" in said) == (turn != "first"), said
    (upper,) = confined.folder().project.store.glob(f"runs/{confined.folder().run}/layers/*/upper")
    assert sorted(os.listdir(upper / "env")) == ["mine", "where"]
    assert (confined.scratch / "once").read_text() == "once\n"
    confined.expect(0, "gc")
    confined.await_quiet()


def test_the_namespace_is_found_again_by_whoever_is_left_in_it(confined: Program) -> None:
    """Its keeper is killed, too: a second mount of one upper layer would be nobody's workspace."""
    wait = f"echo there; until test -e {confined.scratch}/go; do sleep 0.02; done"
    confined.plan({"waits": f"echo w > w.txt; {wait}; ls > seen.txt"}, **LAYERS)
    host = confined.begin("run", "--headless")
    confined.await_log("waits", "there")
    host.kill()
    note = json.loads((confined.state_home / "anabranch" / "namespace.json").read_text())
    confined.kill(note["keeper"])
    resumed = confined.begin("resume", "--headless")
    until(lambda: confined.status()["state"] == "running", "it is hosted again")
    (confined.scratch / "go").touch()
    assert resumed.wait().code == 0
    commit = confined.status()["commit"]
    assert git(confined.project, "show", f"{commit}:seen.txt").split()[-1] == "w.txt"
    again = json.loads((confined.state_home / "anabranch" / "namespace.json").read_text())
    assert (again["mounts"], again["keeper"] != note["keeper"]) == (note["mounts"], True)
    confined.expect(0, "gc")
    confined.await_quiet()


def test_handlers_have_layers_in_a_namespace(confined: Program) -> None:
    confined.plan(with_handlers(confined), **LAYERS)
    (confined.scratch / "go").touch()
    confined.expect(0, "run", "--headless")
    commit = confined.status()["commit"]
    there = git(confined.project, "ls-tree", "--name-only", commit).split()
    assert {f"of-{number}" for number in range(4)} <= set(there)
    confined.expect(0, "gc")
    confined.await_quiet()
