"""Runs from the plan to the result: every key of a stream does what it says, in a real process."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from tests.e2e.program import Program
from tests.engine.repositories import git, write


def converged(program: Program, *arguments: str) -> str:
    """Run the plan, which must converge; return the result's commit."""
    answer = program.expect(0, "run", "--headless", *arguments)
    assert "converged" in answer.out
    commit = program.status()["commit"]
    assert isinstance(commit, str)
    return commit


def content(program: Program, commit: str, path: str) -> str:
    """Return a file of the result."""
    return git(program.project, "show", f"{commit}:{path}")


def test_results_flow_along_the_dependencies(program: Program) -> None:
    """A stream starts from the base and the results of what it depends on, and of nothing else."""
    program.plan(
        {
            "one": "echo 1 > one.txt",
            "two": "echo 2 > two.txt",
            "sum": {"command": "cat one.txt two.txt > sum.txt", "depends_on": ["one", "two"]},
            "alone": "ls > $ANABRANCH_STREAM.txt",
        }
    )
    commit = converged(program)
    assert content(program, commit, "sum.txt") == "1\n2\n"
    assert content(program, commit, "alone.txt").split() == ["README.md", "alone.txt", "src"]


def test_a_retry_never_takes_the_workspace_of_a_stream_named_like_it(
    program: Program, tmp_path: Path
) -> None:
    """``a`` tried again and a living ``a.2`` work apart, and all their work arrives."""
    wait = f"until [ -e {tmp_path}/%s ]; do sleep 0.05; done"
    commit = "echo p > p.txt; git add p.txt; git commit -qm p; echo u > u.txt"
    program.plan(
        {
            "a": {
                "command": f"if [ $ANABRANCH_ATTEMPT = 1 ]; then {wait % 'busy'}; exit 1; fi;"
                f" echo a > a.txt; touch {tmp_path}/again",
                "retries": 1,
            },
            "a.2": f"{commit}; touch {tmp_path}/busy; {wait % 'again'}; echo end > end.txt",
        },
        max_parallel=2,
    )
    commit = converged(program)
    found = {f"{n}.txt": content(program, commit, f"{n}.txt") for n in ("a", "p", "u", "end")}
    assert found == {"a.txt": "a\n", "p.txt": "p\n", "u.txt": "u\n", "end.txt": "end\n"}


def test_workspaces_of_attempts_that_are_over_are_given_back(program: Program) -> None:
    """While the run goes on; their work is kept. What was built in them in masses stays there."""
    write(program.project, {".gitignore": "built*\n"})
    work = "echo $ANABRANCH_ATTEMPT > work.txt; echo b > built; test $ANABRANCH_ATTEMPT = 3"
    masses = "head -c 40000000 /dev/zero > built; test $ANABRANCH_ATTEMPT = 2"
    program.plan(
        {"small": {"command": work, "retries": 2}, "large": {"command": masses, "retries": 1}}
    )
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "ignore")
    commit = converged(program)
    assert content(program, commit, "work.txt") == "3\n"
    left = {path.name for path in program.folder().workspaces.iterdir()}
    assert left == {"small@3", "large", "large@2"}
    kept = program.streams()["small"]["partial"]
    assert [content(program, ref, "work.txt") for ref in kept] == ["1\n", "2\n"]
    gone = [e["attempt"] for e in program.events() if e["type"] == "workspace_reclaimed"]
    assert gone == [1, 2]


def test_a_change_in_the_second_of_the_checkout_is_kept(program: Program) -> None:
    """git compares whole seconds; a change of the same size in the same one counts."""
    write(program.project, {f"file{n}.txt": "abc\n" for n in range(4)})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-q", "-m", "files")
    change = "printf X | dd of=file{}.txt bs=1 conv=notrunc status=none; sleep 1.1"
    program.plan({f"s{n}": change.format(n) for n in range(4)}, max_parallel=4)
    commit = converged(program)
    assert [content(program, commit, f"file{n}.txt") for n in range(4)] == ["Xbc\n"] * 4


def test_commands_run_as_they_are_written(program: Program) -> None:
    """A string goes to ``sh -c``; an array is run as is; environment and folder are the plan's."""
    awkward = "a b $HOME 'q' \"d\" \\ * ü"
    show = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]))"
    program.plan(
        {
            "array": {
                "command": [sys.executable, "-c", show, awkward],
                "working_dir": "src",
                "env": {"OF_THE_PLAN": awkward},
            },
            "shell": 'echo "$ANABRANCH_STREAM $ANABRANCH_ATTEMPT $((1 + 1))"',
        }
    )
    converged(program)
    arguments, folder, environment = json.loads(program.log("array"))
    workspace = program.streams()["array"]["workspace"]
    assert arguments == [awkward]
    assert folder == f"{workspace}/src"
    assert environment["OF_THE_PLAN"] == awkward
    assert environment["ANABRANCH_WORKSPACE"] == workspace
    assert environment["ANABRANCH_RUN"] == program.folder().run
    assert program.log("shell") == "shell 1 2\n"


def test_a_stream_that_fails_is_tried_again_as_often_as_the_plan_says(program: Program) -> None:
    """``retries`` of a stream goes before the plan's ``max_retries``; attempts start afresh."""
    counted = 'echo x > partial.txt; test "$ANABRANCH_ATTEMPT" -ge 3'
    program.plan(
        {"thrice": counted, "once": {"command": "exit 7", "retries": 0, "optional": True}},
        recovery={"max_retries": 2},
    )
    converged(program)
    streams = program.streams()
    assert (streams["thrice"]["state"], streams["thrice"]["attempt"]) == ("succeeded", 3)
    assert (streams["once"]["state"], streams["once"]["attempt"]) == ("failed", 1)
    assert streams["once"]["exit_code"] == 7
    assert len(streams["thrice"]["partial"]) == 2


def test_a_stream_that_cannot_be_run_fails_once_and_says_why(program: Program) -> None:
    """No such program, no permission, no such folder: no retry would help."""
    write(program.project, {"plain.txt": "not a program\n"})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-q", "-m", "plain")
    program.plan(
        {
            "missing": {"command": ["no-such-program-anywhere"], "optional": True},
            "forbidden": {"command": ["./plain.txt"], "optional": True},
            "homeless": {"command": "true", "working_dir": "no/such/folder", "optional": True},
            "fine": "true",
        }
    )
    converged(program)
    streams = program.streams()
    assert streams["missing"]["reason"] == "cannot find no-such-program-anywhere"
    assert (streams["missing"]["exit_code"], streams["missing"]["attempt"]) == (127, 1)
    assert "cannot run ./plain.txt" in streams["forbidden"]["reason"]
    assert streams["forbidden"]["exit_code"] == 126
    assert "no/such/folder" in streams["homeless"]["reason"]
    assert streams["homeless"]["state"] == "failed"


def test_a_timeout_ends_the_whole_tree(program: Program) -> None:
    """The command, its children and those that left its session are ended; the reason is told."""
    program.plan(
        {
            "slow": {
                "command": "setsid sleep 600 & sleep 600 & wait",
                "timeout": 0.5,
                "retries": 0,
                "optional": True,
            }
        }
    )
    program.expect(0, "run", "--headless")
    slow = program.streams()["slow"]
    assert slow["state"] == "failed"
    assert "longer than its timeout of 0.5 s" in slow["reason"]
    assert slow["exit_code"] == 143
    program.await_quiet()


def test_a_failure_skips_what_depends_on_it_and_fails_the_run(program: Program) -> None:
    """Exit 1; the reason names the culprit; with --keep-going the others are run to their end."""
    program.plan(
        {
            "bad": {"command": "exit 9", "retries": 0},
            "needs-bad": {"command": "true", "depends_on": ["bad"]},
            "needs-that": {"command": "true", "depends_on": ["needs-bad"]},
            "good": "echo good > good.txt",
        }
    )
    answer = program.expect(1, "run", "--headless", "--keep-going")
    assert "bad" in answer.err
    streams = program.streams()
    assert {name: s["state"] for name, s in streams.items()} == {
        "bad": "failed",
        "needs-bad": "skipped",
        "needs-that": "skipped",
        "good": "succeeded",
    }
    assert "bad" in streams["needs-bad"]["reason"]
    assert f"anabranch resume {program.folder().run}" in answer.err


def test_a_failed_run_goes_on_after_mending(program: Program) -> None:
    """``resume`` runs what failed and was skipped once more; what succeeded is not run again."""
    mended = program.scratch / "mended"
    count = program.scratch / "count"
    program.plan(
        {
            "good": f"echo x >> {count}; echo good > good.txt",
            "bad": {"command": f"test -e {mended}", "retries": 0, "depends_on": ["good"]},
            "last": {"command": "echo last > last.txt", "depends_on": ["bad"]},
        }
    )
    program.expect(1, "run", "--headless")
    mended.touch()
    program.expect(0, "resume", "--headless")
    assert count.read_text() == "x\n"
    assert content(program, program.status()["commit"], "last.txt") == "last\n"


def test_resuming_a_converged_run_tells_so_and_ends(program: Program) -> None:
    """There is nothing left to do: exit 0 again, as often as one likes, and the result stays."""
    program.plan({"s": "echo x > x.txt"})
    commit = converged(program)
    for _ in range(2):
        assert "converged" in program.expect(0, "resume", "--headless").out
    assert program.status()["commit"] == commit


def test_conditions_and_windows(program: Program) -> None:
    """``completed`` waits for any end, ``started`` for the beginning, ``after`` for the time."""
    gate = program.scratch / "gate"
    program.plan(
        {
            "fails": {"command": "exit 1", "retries": 0, "optional": True},
            "cleanup": {
                "command": "true",
                "depends_on": {"fails": {"condition": "completed"}},
            },
            "server": f"until test -e {gate}; do sleep 0.05; done",
            "client": {
                "command": f"touch {gate}",
                "depends_on": {"server": {"condition": "started"}},
            },
            "later": {"command": "true", "depends_on": ["cleanup"], "after": "1s"},
        },
        max_parallel=4,
    )
    converged(program)
    events = program.events()
    at = {(e["type"], e.get("stream")): index for index, e in enumerate(events)}
    assert at["stream_failed", "fails"] < at["stream_started", "cleanup"]
    assert at["stream_started", "server"] < at["stream_started", "client"]
    state = program.state()
    ended, began = (state.streams[name] for name in map(StreamId, ("cleanup", "later")))
    assert began.first_started_at is not None
    assert ended.ended_at is not None
    assert began.first_started_at - ended.ended_at >= 1.0


def test_a_terminal_stream_has_one(program: Program) -> None:
    """``tty = true`` gives a terminal for input and output; without it there is none."""
    test = "test -t 0 && test -t 1 && echo terminal || echo none"
    program.plan({"with": {"command": test, "tty": True}, "without": test})
    converged(program)
    assert program.log("with").strip() == "terminal"
    assert program.log("without").strip() == "none"


def test_output_of_any_kind_is_kept_byte_by_byte_and_shown_harmlessly(program: Program) -> None:
    """A line of a megabyte, binary, and control sequences: all in the log, none in our output."""
    bomb = r"printf '\033[2J\033]0;owned\007\033[31m\033P$q\233[2J\302\233[2J%s' >&2; exit 3"
    program.plan(
        {
            "long": "head -c 1000000 /dev/zero | tr '\\0' x; echo",
            "binary": "head -c 100000 /dev/urandom | tee out.bin",
            "bomb": {"command": bomb, "retries": 0, "optional": True},
            "name": {"command": ["no-such-\x1b[2J-program"], "optional": True},
        }
    )
    report = program.expect(0, "run", "--headless")
    assert program.log("long") == "x" * 1_000_000 + "\n"
    folder = program.folder().path
    kept = (folder / "logs" / "binary.1.log").read_bytes()
    result = program.status()["commit"]
    assert git(program.project, "cat-file", "-s", f"{result}:out.bin").strip() == "100000"
    assert len(kept) == 100_000
    shown = [report.out, report.err]
    for command in ("status", "streams", "events", "report", "runs"):
        answer = program.asked(0, command)
        shown += [answer.out, answer.err]
    shown.append(program.asked(0, "report", "--format", "md").out)
    for text in shown:
        assert "\x1b" not in text
        assert "\x9b" not in text
        assert "\x07" not in text


def test_two_streams_that_disagree_need_the_operator(program: Program) -> None:
    """Exit 4; both sides are kept and named; after mending one, ``resume`` converges."""
    program.plan(
        {
            "left": "sed -i '1s/.*/left/' src/a.txt",
            "right": "sed -i '1s/.*/right/' src/a.txt",
            "other": "echo other > other.txt",
        }
    )
    answer = program.expect(4, "run", "--headless")
    assert "src/a.txt" in answer.err + answer.out
    status = program.status()
    assert status["state"] == "needs_operator"
    (final,) = status["convergence"]
    assert final["conflicts"] == [{"paths": ["src/a.txt"], "streams": ["left", "right"]}]
    streams = program.streams()
    sides = [Path(streams[name]["workspace"]) / "src/a.txt" for name in ("left", "right")]
    assert [side.read_text().splitlines()[0] for side in sides] == ["left", "right"]
    sides[1].write_bytes(sides[0].read_bytes())
    program.expect(0, "resume", "--headless")
    commit = program.status()["commit"]
    assert content(program, commit, "src/a.txt").startswith("left\n")
    assert content(program, commit, "other.txt") == "other\n"


def test_a_conflict_is_settled_by_merging_the_other_side(program: Program) -> None:
    """What the hint says works: git merge in the late side's workspace, settle, resume."""
    program.plan(
        {
            "left": "sed -i '1s/.*/left/' src/a.txt",
            "right": "sed -i '1s/.*/right/' src/a.txt; echo more > more.txt",
        }
    )
    program.expect(4, "run", "--headless")
    hint = program.status()["hint"]
    workspace = Path(program.streams()["right"]["workspace"])
    other = re.search(r"git merge (\w+)", hint)
    assert other is not None
    assert str(workspace) in hint
    me = ("-c", "user.name=U", "-c", "user.email=u@x.org")
    git(workspace, "add", "-A")
    git(workspace, *me, "commit", "-q", "-m", "mine")
    git(workspace, *me, "merge", "-q", "-X", "ours", other[1])
    (workspace / "src/a.txt").write_text("both\n")
    program.expect(0, "resume", "--headless")
    commit = program.status()["commit"]
    assert content(program, commit, "src/a.txt") == "both\n"
    assert content(program, commit, "more.txt") == "more\n"


@pytest.mark.parametrize(
    ("policy", "optional", "code"), [("quarantine", False, 1), ("quarantine", True, 0)]
)
def test_a_conflicting_stream_can_be_left_out(
    program: Program, policy: str, optional: bool, code: int
) -> None:
    """``quarantine`` leaves the later one out, keeps its work, and merges the rest."""
    program.plan(
        {
            "left": {"command": "echo left > same.txt", "converge": "point"},
            "right": {
                "command": "echo right > same.txt",
                "converge": "point",
                "optional": optional,
            },
            "other": {"command": "echo other > other.txt", "converge": "point"},
        },
        convergence={"point": {"on_conflict": policy}},
    )
    answer = program.expect(code, "run", "--headless")
    assert "same.txt" in answer.err
    commit = program.status()["commit"]
    assert content(program, commit, "same.txt") == "left\n"
    assert content(program, commit, "other.txt") == "other\n"
    right = program.streams()["right"]
    assert right["state"] == "quarantined"
    assert Path(right["workspace"], "same.txt").read_text() == "right\n"


def test_dependencies_that_disagree_stop_who_needs_both(program: Program) -> None:
    """The conflict shows before the dependent starts, and names the path."""
    program.plan(
        {
            "left": "echo left > same.txt",
            "right": "echo right > same.txt",
            "both": {"command": "cat same.txt", "depends_on": ["left", "right"]},
        }
    )
    answer = program.expect(4, "run", "--headless")
    assert "same.txt" in answer.err
    assert program.streams()["both"]["attempt"] <= 1
    assert program.log("both") == ""


@pytest.mark.parametrize("kind", ["isolated", "clone"])
def test_what_a_stream_does_to_its_repository_stays_there(program: Program, kind: str) -> None:
    """Commits, branches and a hard reset in a workspace leave the user's branches alone."""
    script = (
        "git -c user.name=S -c user.email=s@x.org commit -q --allow-empty -m own;"
        "git checkout -q -b elsewhere; echo new > new.txt; git add new.txt;"
        "git -c user.name=S -c user.email=s@x.org commit -q -m new; echo last > last.txt"
    )
    program.plan({"s": script}, isolation={"workspace": kind})
    head = git(program.project, "rev-parse", "HEAD")
    commit = converged(program)
    assert content(program, commit, "new.txt") == "new\n"
    assert content(program, commit, "last.txt") == "last\n"
    assert git(program.project, "rev-parse", "HEAD") == head
    assert git(program.project, "branch", "--show-current").strip() == "main"


def test_shared_streams_work_in_the_users_folder(program: Program) -> None:
    """``shared`` has no workspace: changes are in the checkout at once, and there is no result."""
    program.plan({"s": "echo here > here.txt; pwd"}, isolation={"workspace": "shared"})
    program.expect(0, "run", "--headless")
    assert (program.project / "here.txt").read_text() == "here\n"
    assert program.log("s").strip() == str(program.project)
    assert program.status()["commit"] is None


def test_a_plan_in_a_subfolder_works_there(program: Program) -> None:
    """With ``-C`` into a folder of a repository, streams run in that folder of their workspaces."""
    sub = program.project / "src"
    program.plan({"s": "ls > listed.txt"}).rename(sub / "anabranch.toml")
    program.expect(0, "-C", str(sub), "run", "--headless", cwd=str(program.scratch))
    commit = program.status()["commit"]
    assert content(program, commit, "src/listed.txt").split() == ["a.txt", "listed.txt"]
    assert program.asked(0, "-C", str(sub), "runs", "--json").json()["runs"]


def test_a_repository_without_commits_works(tmp_path: Path) -> None:
    """The base is the empty tree; the result is on its branch and the checkout still has none."""
    project = tmp_path / "empty"
    project.mkdir()
    git(project, "init", "-q", "-b", "main")
    program = Program(project, tmp_path / "state", tmp_path / "scratch")
    try:
        program.plan({"s": "echo first > first.txt"})
        commit = converged(program)
        assert content(program, commit, "first.txt") == "first\n"
        assert git(project, "rev-parse", "--verify", "-q", "HEAD", check=False) == ""
    finally:
        program.end_everything()


def test_uncommitted_work_can_be_the_base(program: Program) -> None:
    """``include_uncommitted`` starts from the checkout as it is, untracked files and all."""
    write(program.project, {"src/a.txt": "changed\n", "untracked.txt": "untracked\n"})
    program.plan(
        {"s": "cat src/a.txt untracked.txt > seen.txt"}, isolation={"include_uncommitted": True}
    )
    assert content(program, converged(program), "seen.txt") == "changed\nuntracked\n"


def test_commands_can_be_given_without_a_plan(program: Program) -> None:
    """``run -- "a" "b"`` makes a plan of them; nothing is written into the project."""
    before = sorted(os.listdir(program.project))
    program.expect(0, "run", "--headless", "--", "echo 1 > one.txt", "echo 2 > two.txt")
    commit = program.status()["commit"]
    assert content(program, commit, "one.txt") == "1\n"
    assert sorted(os.listdir(program.project)) == before


def test_a_project_that_moved_is_told_so(program: Program) -> None:
    """Resuming a run whose project is gone is refused with words."""
    program.plan({"s": {"command": "exit 1", "retries": 0}})
    program.expect(1, "run", "--headless")
    run = program.folder().run
    program.project.rename(program.project.with_name("moved"))
    answer = program.expect(2, "resume", run, "--headless", cwd=str(program.scratch))
    assert "project" in answer.err
    program.project.with_name("moved").rename(program.project)


def test_files_of_variables_are_read_at_each_start(program: Program) -> None:
    """From the project, though git ignores them; what they hold now, not what they held before."""
    write(
        program.project, {".gitignore": ".env\n", ".env": 'SECRET="a $b c"\nPLAIN=from the file\n'}
    )
    change = f"sed -i s/SECRET/CHANGED/ {program.project}/.env; exit 1"
    show = 'echo "$SECRET|$CHANGED|$PLAIN"; test "$CHANGED" ||'
    program.plan(
        {
            "a": {
                "command": f"{show} {{ {change}; }}",
                "env_file": ".env",
                "env": {"PLAIN": "from the plan"},
                "retries": 1,
            }
        }
    )
    converged(program)
    logs = [program.log("a", attempt).strip() for attempt in (1, 2)]
    assert logs == ["a $b c||from the plan", "|a $b c|from the plan"]


def test_what_is_impossible_here_is_refused_before_anything_starts(program: Program) -> None:
    """`check` warns, for the plan may be meant for another machine; a run would fail late."""
    program.plan(
        {
            "first": "touch /tmp/never",
            "large": {"command": "true", "resources": {"cpu_cores": 9999}},
            "secret": {"command": "true", "env_file": [".env"]},
        },
    )
    checked = program.asked(0, "check", "--json").json()
    codes = {warning["code"] for warning in checked["warnings"]}
    assert codes == {"impossible-resources", "missing-env-file"}
    strict = program.asked(2, "check", "--strict", "--json").json()
    assert {error["key"] for error in strict["errors"]} == {
        "streams.large.resources.cpu_cores",
        "streams.secret.env_file[0]",
    }
    answer = program.asked(2, "run", "--headless")
    assert "it needs 9999 cpu_cores" in answer.err
    assert "env_file '.env' is not there" in answer.err
    assert not program.run_folders()


def test_a_capture_that_fails_runs_nothing_again(program: Program) -> None:
    """A filter is broken: what could be captured is kept; once it is mended the work goes on."""
    broken = program.project.parent / "broken"
    broken.touch()
    git(program.project, "config", "filter.f.clean", f"test ! -e {broken} && cat")
    git(program.project, "config", "filter.f.required", "true")
    write(program.project, {".gitattributes": "*.f filter=f\n"})
    program.plan({"work": "echo x > x.f; echo y > y.txt"})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "filter")
    answer = program.expect(1, "run", "--headless")
    assert "its work could not be captured" in answer.out + answer.err
    (stream,) = program.status()["streams"]
    assert stream["attempt"] == 1
    (ref,) = stream["partial"]
    assert git(program.project, "show", f"{ref}:y.txt") == "y\n"
    broken.unlink()
    program.expect(0, "resume", "--headless")
    assert git(program.project, "show", f"{program.status()['branch']}:x.f") == "x\n"
    assert program.status()["streams"][0]["attempt"] == 1
