"""Setup and teardown: a workspace is ready before its command runs, whatever dies meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from anabranch.core import inputs
from anabranch.engine.performers.processes import ProcessSpec, SetupSpec
from tests.e2e.program import Program, Running, until
from tests.engine.repositories import git

if TYPE_CHECKING:
    from tests.e2e.conftest import Crew


def with_setup(crew: Crew, script: str, command: str, seconds: float = 60.0) -> ProcessSpec:
    """Say that stream ``s`` is set up by one script and runs another."""
    spec = crew.spec("s", "/bin/sh", "-c", command)
    return replace(spec, setup=SetupSpec(("/bin/sh", "-c", script), "/", seconds))


def commit(project: Path, files: dict[str, str]) -> None:
    """Write files of a project and commit them."""
    for name, content in files.items():
        (project / name).write_text(content)
    git(project, "add", "-A")
    git(project, "commit", "-qm", "files")


def setup_log(crew: Crew) -> str:
    """Return what the setup has written."""
    path = crew.run_folder / "logs" / "s.1.setup.log"
    return path.read_text() if path.exists() else ""


async def test_the_command_runs_when_its_setup_has_ended_well(crew: Crew, tmp_path: Path) -> None:
    """Each has its own log, and the stream has started when its command has."""
    ready = tmp_path / "ready"
    script = f"echo installs; sleep 0.1; touch {ready}"
    await crew.processes.start(with_setup(crew, script, f"test -e {ready} && echo works"))
    ended = await crew.exited("s")
    began, done, started, _ = crew.of("s")
    assert isinstance(began, inputs.SetupBegan)
    assert isinstance(done, inputs.SetupDone)
    assert isinstance(started, inputs.ProcessStarted)
    assert (done.exit_code, done.failure, ended.exit_code) == (0, "", 0)
    assert done.seconds >= 0.1
    assert started.happened_at >= began.happened_at + 0.1
    assert (setup_log(crew), crew.log("s")) == ("installs\n", "works\n")


@pytest.mark.parametrize(
    ("script", "seconds", "failure"),
    [
        ("echo no such package; exit 3", 60.0, "setup failed: exit 3: no such package"),
        ("kill -9 $$", 60.0, "setup failed: ended by signal 9"),
        ("sleep 60 & wait", 0.2, "setup failed: it took longer than 0.2 s"),
    ],
)
async def test_the_command_never_runs_when_its_setup_fails(
    crew: Crew, script: str, seconds: float, failure: str
) -> None:
    """It says how and what it said last; what it has started is ended with it."""
    await crew.processes.start(with_setup(crew, script, "echo it ran", seconds))
    ended = await crew.exited("s")
    began, done, _ = crew.of("s")
    assert isinstance(began, inputs.SetupBegan)
    assert isinstance(done, inputs.SetupDone)
    assert (done.failure, ended.error, ended.exit_code) == (failure, failure, None)
    assert crew.log("s") == ""


async def test_a_stop_ends_a_setup(crew: Crew) -> None:
    """The whole tree of it, and the command does not begin."""
    await crew.processes.start(with_setup(crew, "echo begun; sleep 60 & wait", "echo it ran"))
    await crew.until(lambda: "begun" in setup_log(crew), "the setup begins")
    await crew.stop("s", 1.0)
    ended = await crew.exited("s")
    assert ended.survivors_ended >= 0
    assert crew.log("s") == ""


# --- in a run ------------------------------------------------------------------------------------


def test_a_setup_outlives_the_console_and_runs_once(program: Program, tmp_path: Path) -> None:
    """Killed without a word during it, the console comes back to the same setup."""
    times, go = tmp_path / "times", tmp_path / "go"
    script = f"echo $$ >> {times}; until test -e {go}; do sleep 0.02; done; echo ready > dep.txt"
    program.plan({"s": "cat dep.txt"}, isolation={"setup": script})
    first = program.begin("run", "--headless")
    until(lambda: times.exists() and times.read_text(), "the setup begins")
    until(lambda: program.streams()["s"]["state"] == "setting_up", "it is told")
    first.kill()
    again = program.begin("resume", "--headless")
    until(lambda: any(e["type"] == "run_resumed" for e in program.events()), "it goes on")
    assert program.streams()["s"]["state"] == "setting_up"
    for command in ("status", "streams", "runs", "report"):
        assert "setting_up" not in program.run(command).out, "people read it as words"
    assert "setting up" in program.run("status").out
    go.touch()
    assert again.wait().code == 0
    assert len(times.read_text().split()) == 1
    assert program.log("s") == "ready\n"
    kinds = [e["type"] for e in program.events()]
    assert [k for k in kinds if k.startswith("setup")] == ["setup_started", "setup_finished"]


def waiting(tmp_path: Path, name: str) -> str:
    """Return a script that notes that it runs, and alone, and waits for somebody."""
    seen, alone, go = (tmp_path / f"{name}.{what}" for what in ("seen", "alone", "go"))
    return (
        f"mkdir {alone} || echo overlap >> {seen}; echo run >> {seen}; "
        f"until test -e {go}; do sleep 0.02; done; rmdir {alone}"
    )


def hosted(program: Program, command: str) -> Running:
    """Start a console, and wait until it hosts the run."""
    is_anew = command == "run"
    before = 0 if is_anew else len(program.events())
    console = program.begin(command, "--headless")
    until(lambda: is_anew or len(program.events()) > before, "it hosts the run")
    return console


def killed_during(program: Program, tmp_path: Path, command: str, name: str) -> None:
    """Kill the console without a word while a script waits."""
    console, seen = hosted(program, command), tmp_path / f"{name}.seen"
    until(lambda: seen.exists() and seen.read_text(), f"the {name} begins")
    console.kill()


def test_setup_and_teardown_run_once_whenever_the_console_is_killed(
    program: Program, tmp_path: Path
) -> None:
    """During either, and again while the next one waits: nothing overlaps, nothing is lost."""
    up, down = waiting(tmp_path, "setup"), waiting(tmp_path, "teardown")
    program.plan({"s": {"command": "echo work > out.txt", "setup": up, "teardown": down}})
    killed_during(program, tmp_path, "run", "setup")
    (tmp_path / "setup.go").touch()
    killed_during(program, tmp_path, "resume", "teardown")
    killed_during(program, tmp_path, "resume", "teardown")
    last = hosted(program, "resume")
    (tmp_path / "teardown.go").touch()
    assert last.wait().code == 0
    for name in ("setup", "teardown"):
        assert (tmp_path / f"{name}.seen").read_text() == "run\n"
    found = program.streams()["s"]
    assert (found["state"], found.get("warnings") or []) == ("succeeded", [])
    assert git(program.project, "show", f"{program.status()['commit']}:out.txt") == "work\n"


def test_a_teardown_that_was_cut_off_is_run_again_and_that_is_told(
    program: Program, tmp_path: Path
) -> None:
    """As if the machine had gone down: nobody knows how far it came."""
    down = waiting(tmp_path, "teardown")
    program.plan({"s": {"command": "echo work > out.txt", "teardown": down}})
    killed_during(program, tmp_path, "run", "teardown")
    program.end_everything()
    (tmp_path / "teardown.alone").rmdir()
    (tmp_path / "teardown.go").touch()
    program.expect(0, "resume", "--headless")
    assert (tmp_path / "teardown.seen").read_text() == "run\nrun\n"
    cut_off = "teardown of attempt 1: it was cut off, and was run again from the beginning (exit 0)"
    assert cut_off in program.streams()["s"]["warnings"]
    assert git(program.project, "show", f"{program.status()['commit']}:out.txt") == "work\n"


def test_a_setup_that_fails_is_tried_again_in_a_new_workspace(
    program: Program, tmp_path: Path
) -> None:
    """What it said is at hand, and what it left behind is torn down, each time."""
    seen, torn = tmp_path / "seen", tmp_path / "torn"
    script = (
        f"echo installs; pwd >> {seen}; test $(wc -l < {seen}) -gt 1 || {{ echo no net; exit 3; }}"
    )
    down = f'echo "$ANABRANCH_STREAM $ANABRANCH_ATTEMPT $PWD" >> {torn}; echo is down'
    program.plan(
        {"s": {"command": "echo works > out.txt", "retries": 1, "teardown": down}},
        isolation={"setup": script},
    )
    program.expect(0, "run", "--headless")
    (retry,) = [e for e in program.events() if e["type"] == "retry_scheduled"]
    assert retry["reason"].startswith("setup failed: exit 3: no net")
    assert retry["failure_class"] == "setup failed"
    first, second = seen.read_text().split()
    assert first != second
    assert torn.read_text() == f"s 1 {first}\ns 2 {second}\n"
    assert program.run("logs", "s", "--setup", "--attempt", "1").out == "installs\nno net\n"
    assert program.run("logs", "s", "--teardown").out == "is down\n"


def test_a_teardown_that_fails_is_told_and_loses_nothing(program: Program) -> None:
    """A stopped stream is torn down too; its work is kept before."""
    program.plan(
        {"s": {"command": "echo work > out.txt", "teardown": "rm -rf .; echo bad; exit 4"}}
    )
    program.expect(0, "run", "--headless")
    found = program.streams()["s"]
    assert found["state"] == "succeeded"
    assert "teardown of attempt 1: exit 4: bad" in found["warnings"]
    assert git(program.project, "show", f"{program.status()['commit']}:out.txt") == "work\n"


# --- what an earlier one made --------------------------------------------------------------------

INSTALLS = """
mkdir -p env/bin env/empty
printf '#!%s/env/bin/python\\n' "$PWD" > env/bin/tool
ln -s "$PWD/env/bin/tool" env/link
cat deps > env/installed
echo run >> $TIMES
"""


def test_what_a_setup_made_is_used_again_where_its_inputs_are_the_same(
    program: Program, tmp_path: Path
) -> None:
    """Each stream has its own copy, which names its own workspace, whoever's the setup is."""
    times, own = tmp_path / "times", tmp_path / "own"
    commit(program.project, {".gitignore": "env/\n", "deps": "one\n"})
    looks = "cat env/installed; head -1 env/bin/tool; readlink env/link; ls -d env/empty"
    streams = {n: {"command": f"{looks}; echo {n} > env/installed"} for n in ("a", "b")}
    of_its_own = {
        "command": looks.replace("env/installed", "../deps"),
        "working_dir": "src",
        "setup": f"TIMES={own}; {INSTALLS.replace('cat deps', 'cat ../deps')}",
    }
    isolation = {"setup": f"TIMES={times}; {INSTALLS}", "setup_inputs": ["deps"]}

    def logs() -> str:
        program.plan({**streams, "own": of_its_own}, isolation=isolation)
        program.expect(0, "run", "--headless")
        for name, found in program.streams().items():
            at = found["workspace"] + ("/src" if name == "own" else "")
            said = f"one\n#!{at}/env/bin/python\n{at}/env/bin/tool\nenv/empty\n"
            assert program.log(name) == said
            assert name != "own" or not found.get("warnings"), "what a setup made is no loss"
        return program.run("logs", "--setup").out

    first = logs()
    assert first.count("kept for others: 1 entry") == 2
    assert "is used again (copied, " in first
    assert logs().count("is used again") == 3
    assert (times.read_text(), own.read_text()) == ("run\n", "run\n")
