"""A workspace for every handler, from the plan to the result: real runs, real kills."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from anabranch.core.ids import StreamId
from anabranch.engine.workspaces.layers.mounting import mounted_below
from tests.e2e.program import Program, Running, until
from tests.e2e.test_run import content, converged
from tests.engine.repositories import FAR_LINES, git, write

SEED = os.environ.get("ANABRANCH_SEED", "20261130")
CONSOLE = "console"
KILLS = int(os.environ.get("ANABRANCH_KILLS", "5"))


def plan(program: Program, command: str, items: int | dict[str, Any], **more: Any) -> None:
    each = items if isinstance(items, dict) else list(range(items))
    stream = {"each": each, "command": command, "handler_workspace": "each", **more}
    program.plan({"fan": stream})


def begun(program: Program) -> Running:
    running = program.begin("run", "--headless")
    until(program.run_folders, "a run")
    return running


def kept(program: Program) -> Path:
    return program.folder().handlers(StreamId("fan"))


def lines(program: Program, kind: str) -> list[list[Any]]:
    book = kept(program) / "book"
    found = book.read_text().splitlines() if book.exists() else []
    return [row for line in found if (row := json.loads(line))[0] == kind]


def refs(program: Program, kind: str) -> list[str]:
    shape = "--format=%(refname)"
    return git(program.project, "for-each-ref", shape, f"refs/anabranch/{kind}").split()


def processes(program: Program, word: str) -> Iterator[psutil.Process]:
    """Yield the processes of this test whose command line has a word; nobody else's."""
    name, _, value = program.mark.partition("=")
    for process in psutil.process_iter():
        try:
            if process.environ().get(name) == value and word in " ".join(process.cmdline()):
                yield process
        except psutil.Error:
            continue


def process_of(program: Program, word: str) -> psutil.Process:
    """Return the one whose command line has a word: a child has it too, until it is its own."""
    found = {process.pid: process for process in processes(program, word)}
    (process,) = (p for p in found.values() if p.ppid() not in found)
    return process


def kill(program: Program, word: str) -> None:
    process_of(program, word).kill()


def wait_for_more(program: Program, running: Running, count: int) -> None:
    """Wait until so many more handlers have ended, or all of it has."""
    wanted = len(lines(program, "e")) + count
    until(lambda: running.has_ended or len(lines(program, "e")) >= wanted, "handlers ended")


def commit_of(program: Program) -> str:
    return str(program.status()["commit"])


# --- what it is ----------------------------------------------------------------------------------


def test_handlers_that_would_be_in_each_others_way_work_side_by_side(program: Program) -> None:
    """Each commits in its own workspace, sees no half of others, and all of it is the result."""
    write(program.project, {"far": FAR_LINES})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "far")
    command = (
        'test -z "$(git status --porcelain)" && test $PWD = $ANABRANCH_WORKSPACE && '
        "sed -i s/^line.{index}0$/new{index}0/ far && echo {item} > of-{item} && "
        "git add -A && git -c user.name=x -c user.email=x@x commit -qm 'handler {item}' && "
        "echo {item} > $ANABRANCH_RESULT"
    )
    plan(program, command, 4, max_parallel=4)
    commit = converged(program)
    assert content(program, commit, "far").count("new") == 3
    assert [content(program, commit, f"of-{n}").strip() for n in range(4)] == list("0123")
    subjects = git(program.project, "log", "--format=%s", commit).splitlines()
    assert {f"handler {n}" for n in range(4)} <= set(subjects)
    assert (kept(program) / "results.jsonl").read_text().count("result") == 4
    assert list((kept(program) / "workspaces").iterdir()) == []
    assert refs(program, "partial") == []


def test_the_result_is_that_of_one_workspace_for_all(program: Program) -> None:
    """Where handlers touch different files it makes no difference for what comes out."""
    names = [f"src/f{n}.txt" for n in range(6)]
    write(program.project, dict.fromkeys(names, "old\n"))
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "files")
    command = "sed -i s/old/new/ {item}; touch {dir}/{stem}.done"
    trees = set()
    for workspace in ("stream", "each"):
        items = {"glob": "src/f*.txt"}
        plan(program, command, items, handler_workspace=workspace, max_parallel=3)
        trees.add(git(program.project, "rev-parse", f"{converged(program)}^{{tree}}"))
    assert len(trees) == 1


def test_what_conflicts_is_kept_named_and_tried_again_from_the_newest(
    program: Program, tmp_path: Path
) -> None:
    """Both append to one file at the same time: the second does it again, alone."""
    command = (
        f"echo {{item}} >> list; touch {tmp_path}/at-{{index}}; "
        f"until test -e {tmp_path}/at-0 -a -e {tmp_path}/at-1; do sleep 0.01; done"
    )
    plan(program, command, 2, max_parallel=2, retries=0)
    commit = converged(program)
    assert sorted(content(program, commit, "list").split()) == ["0", "1"]
    (ref,) = (one for one in refs(program, "partial") if "fan@" in one)
    late = ref.rpartition("@")[2].partition(".")[0]
    assert git(program.project, "show", f"{ref}:list") == f"{late}\n"
    log = program.log("fan")
    said = "it does not merge with what other handlers have done: list; its work is kept by"
    assert f"{late}: {said} {ref}" in log
    assert "2 of 2 handlers succeeded, 0 failed" in log


def test_half_done_work_of_a_handler_that_fails_is_kept_and_not_merged(program: Program) -> None:
    plan(program, "echo {item} > of-{item}; test {item} != 1", 3, retries=0)
    program.expect(1, "run", "--headless")
    (ref,) = refs(program, "partial/*/fan@1.1")
    assert git(program.project, "show", f"{ref}:of-1") == "1\n"
    assert f"failed: 1: exit 1; its work is kept by {ref}" in program.log("fan")
    (whole,) = (r for r in refs(program, "partial") if r.endswith("/fan.1"))
    names = git(program.project, "ls-tree", "--name-only", whole).split()
    assert {"of-0", "of-2"} <= set(names)
    assert "of-1" not in names


def test_a_retry_runs_only_what_failed_and_starts_from_what_is_merged(
    program: Program, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    command = f"echo {{item}} >> ran.{{item}}; ls; test {{item}} != 2 -o -e {go} || ! touch {go}"
    plan(program, command, 4, max_parallel=1, retries=1)
    commit = converged(program)
    ran = [content(program, commit, f"ran.{n}") for n in range(4)]
    assert ran == ["0\n", "1\n", "2\n", "3\n"], "the half of the first try is not in the second"
    assert "4 of 4 handlers succeeded (3 of them before)" in program.log("fan", 2)
    assert {"ran.0", "ran.1", "ran.3"} <= set(
        program.expect(0, "logs", "fan", "--handler", "2").out.split()
    )


def test_a_working_dir_is_found_in_each_workspace(program: Program) -> None:
    write(program.project, {"sub/x": "x\n"})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "sub")
    plan(program, "basename $PWD > {item}", 2, working_dir="sub")
    commit = converged(program)
    assert content(program, commit, "sub/1") == "sub\n"


def test_a_folder_that_is_no_repository_works_the_same(program: Program) -> None:
    (program.project / ".git").rename(program.scratch / "git")
    plan(program, "echo {item} > of-{item}", 3)
    program.expect(0, "run", "--headless")
    result = program.folder().result
    assert [(result / f"of-{n}").read_text() for n in range(3)] == ["0\n", "1\n", "2\n"]


def test_in_the_users_own_folder_it_is_refused(program: Program) -> None:
    plan(program, "x", 2)
    with (program.project / "anabranch.toml").open("a") as file:
        file.write('[coordination.isolation]\nworkspace = "shared"\n')
    assert "works in your own folder, and nothing is merged" in program.expect(2, "check").err


# --- kills ---------------------------------------------------------------------------------------


def slow(tmp_path: Path, at: int) -> str:
    """A command whose handlers append to a list outside, and wait from one of them on."""
    go = tmp_path / "go"
    return (
        f"echo {{item}} > of-{{item}}; echo {{item}} >> {tmp_path}/ran; "
        f"until test {{index}} -lt {at} -o -e {go}; do sleep 0.01; done"
    )


def ran(tmp_path: Path) -> Counter[str]:
    return Counter((tmp_path / "ran").read_text().split())


def all_there(program: Program, count: int) -> bool:
    names = git(program.project, "ls-tree", "--name-only", commit_of(program)).split()
    return {f"of-{n}" for n in range(count)} <= set(names)


def test_the_consoles_death_is_nothing_to_them(program: Program, tmp_path: Path) -> None:
    plan(program, slow(tmp_path, 3), 8, max_parallel=2)
    console = begun(program)
    until(lambda: len(lines(program, "e")) == 3, "three handlers")
    console.kill()
    (tmp_path / "go").touch()
    until(lambda: len(lines(program, "e")) == 8, "the others")
    program.expect(0, "resume", "--headless")
    assert all_there(program, 8)
    assert set(ran(tmp_path).values()) == {1}


def test_the_death_of_the_program_that_runs_them_loses_nothing(
    program: Program, tmp_path: Path
) -> None:
    """What is merged stays merged and is not done again; what was half done is kept."""
    plan(program, slow(tmp_path, 3), 8, max_parallel=2)
    running = begun(program)
    until(lambda: len(lines(program, "e")) == 3 and len(lines(program, "b")) == 5, "two at work")
    until(lambda: set("34") <= set(ran(tmp_path)), "both have written")
    kill(program, "handlers/__main__.py")
    until(lambda: len(lines(program, "b")) == 7, "another attempt")
    (tmp_path / "go").touch()
    assert running.wait().code == 0
    assert all_there(program, 8)
    assert {item for item, count in ran(tmp_path).items() if count > 1} <= {"3", "4"}
    half = [ref for ref in refs(program, "partial") if "fan@" in ref]
    assert [ref.rpartition("/")[2] for ref in half] == ["fan@3.1", "fan@4.1"]
    assert git(program.project, "show", f"{half[0]}:of-3") == "3\n"
    assert list((kept(program) / "workspaces").iterdir()) == []


def test_the_death_of_the_program_that_keeps_their_workspaces_is_nothing_to_them(
    program: Program, tmp_path: Path
) -> None:
    plan(program, slow(tmp_path, 3), 8, max_parallel=2)
    running = begun(program)
    until(lambda: len(lines(program, "e")) == 3 and len(lines(program, "b")) == 5, "two at work")
    kill(program, "anabranch.engine.handler_workspaces")
    (tmp_path / "go").touch()
    assert running.wait().code == 0
    assert all_there(program, 8)
    assert set(ran(tmp_path).values()) == {1}
    assert [ref for ref in refs(program, "partial") if "fan@" in ref] == []


def test_killed_between_a_merge_and_its_note_it_is_not_done_again(
    program: Program, tmp_path: Path
) -> None:
    """The program that runs them is stopped while the merge is made, and never goes on."""
    go = tmp_path / "go"
    command = (
        f"echo {{item}} >> {tmp_path}/ran; echo {{item}} >> of-{{item}}; "
        f"echo {{item}} > $ANABRANCH_RESULT; until test -e {go}; do sleep 0.01; done"
    )
    plan(program, command, 1)
    running = begun(program)
    until(lambda: (tmp_path / "ran").exists(), "it runs")
    crowd = process_of(program, "handlers/__main__.py")
    merged = f"partial/{program.folder().run}/fan@0.1"
    keeper = process_of(program, "anabranch.engine.handler_workspaces")
    keeper.suspend()
    go.touch()
    until(lambda: not list(processes(program, "sleep 0.01")) and _has_asked(crowd), "it has ended")
    crowd.suspend()
    keeper.resume()
    until(lambda: refs(program, "handlers") and _merges(program) == 1, "it is merged")
    crowd.kill()
    assert running.wait().code == 0
    assert ran(tmp_path) == {"0": 1}
    assert content(program, commit_of(program), "of-0") == "0\n"
    assert refs(program, merged) == []
    assert json.loads((kept(program) / "results.jsonl").read_text()) == {"index": 0, "result": 0}


def _merges(program: Program) -> int:
    (ref,) = refs(program, "handlers")
    return git(program.project, "log", "--format=%s", ref).count("Merged the work of")


def _has_asked(crowd: psutil.Process) -> bool:
    return not crowd.children() or all("sh" not in p.name() for p in crowd.children())


@pytest.mark.parametrize("signal_number", [signal.SIGTERM])
def test_stopped_it_keeps_what_was_half_done(
    program: Program, tmp_path: Path, signal_number: signal.Signals
) -> None:
    plan(program, slow(tmp_path, 2), 6, max_parallel=2, retries=0)
    running = begun(program)
    until(lambda: len(lines(program, "e")) == 2, "two handlers")
    until(lambda: set("23") <= set(ran(tmp_path)), "both have written")
    crowd = process_of(program, "handlers/__main__.py")
    os.kill(crowd.pid, signal_number)
    assert running.wait().code == 1
    half = [ref.rpartition("/")[2] for ref in refs(program, "partial")]
    assert half == ["fan.1", "fan@2.1", "fan@3.1"]
    assert "it was asked to stop; its work is kept by" in program.log("fan")


def test_killed_again_and_again_nothing_is_lost_or_merged_twice(
    program: Program, tmp_path: Path
) -> None:
    """Whatever of the three is killed, whenever: each item's line stands once in the result."""
    chance = random.Random(SEED)
    count = 24
    command = (
        "echo {item} >> list-$(expr {item} % 5); echo {item} > of-{item}; sleep 0.0{index}; "
        "echo {item} > $ANABRANCH_RESULT"
    )
    plan(program, command, count, max_parallel=3, retries=12)
    running = begun(program)
    words = ["handlers/__main__.py", "anabranch.engine.handler_workspaces", CONSOLE]
    for _ in range(KILLS):
        wait_for_more(program, running, 1 + chance.randrange(3))
        word = chance.choice(words)
        if word != CONSOLE:
            for process in processes(program, word):
                process.kill()
        elif not running.has_ended:
            running.kill()
            running = program.begin("resume", "--headless")
    code = running.wait(120).code
    while code != 0:
        assert code == 1, running.err
        code = program.run("resume", "--headless").code
    commit = commit_of(program)
    assert all_there(program, count)
    merged = Counter("".join(content(program, commit, f"list-{n}") for n in range(5)).split())
    assert merged == {str(n): 1 for n in range(count)}
    results = (kept(program) / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in results] == list(range(count))
    assert list((kept(program) / "workspaces").iterdir()) == []
    assert mounted_below(kept(program)) == []


def test_what_is_left_in_workspaces_is_given_back_by_gc(program: Program, tmp_path: Path) -> None:
    """Where it could not be kept at once it is there until then, and is kept then."""
    plan(program, "mkfifo .gitattributes; echo {item} > of-{item}; exit 1", 1, retries=0)
    program.expect(1, "run", "--headless")
    assert "its work is kept by" not in program.log("fan")
    (left,) = (kept(program) / "workspaces").iterdir()
    (left / ".gitattributes").unlink()
    program.expect(0, "gc")
    assert not left.exists()
    (ref,) = refs(program, "rescue")
    assert git(program.project, "show", f"{ref}:of-0") == "0\n"
