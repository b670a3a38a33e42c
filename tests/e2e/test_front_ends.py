"""What is asked of a run holds whether a console shows it or lines of text do."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.e2e.program import PROGRAM, Program, until
from tests.e2e.terminals import ALTERNATE_SCREEN, on_terminal


def test_a_time_limit_ends_the_run_also_under_a_console(program: Program) -> None:
    """Without colours, which is no reason to show no console."""
    code, painted = on_terminal(
        program, "run", "--time-limit", "1.5s", "--", "sleep 60", NO_COLOR="1"
    )
    assert ALTERNATE_SCREEN in painted
    assert code == 124, painted[-2000:]
    assert program.status()["state"] == "stopped"
    assert "the time limit was reached" in painted.rsplit("\x1b", 1)[-1]


def test_in_the_background_of_a_terminal_it_is_told_as_text(program: Program) -> None:
    """Whoever paints from the background is stopped by the terminal."""
    code, painted = on_terminal(program, "run", "--", "echo x > x", in_background=True)
    assert code == 0
    assert ALTERNATE_SCREEN not in painted
    assert "commands converged" in painted


def test_without_a_command_one_looks_at_the_latest_run(program: Program) -> None:
    """On a terminal and where there is one; else the help, which is no error."""
    answer = program.expect(0)
    assert "Usage: anabranch" in answer.out
    assert not answer.err
    program.expect(0, "run", "--headless", "--", "echo x > x")
    before = program.events()
    code, painted = on_terminal(program, once=("converged", "q"))
    assert (code, ALTERNATE_SCREEN in painted) == (0, True)
    assert program.events() == before


def test_a_group_of_commands_alone_is_told_as_help(program: Program) -> None:
    """Nothing is wrong, so there is no complaint around it and no way to the help that it is."""
    for group in ("state", "plugins"):
        answer = program.asked(2, group)
        assert answer.err.startswith(f"Usage: anabranch {group} [OPTIONS] COMMAND")
        assert "see: anabranch" not in answer.err
        assert answer.out == ""
        error = program.asked(2, group, "--json").json()["error"]
        assert error["code"] == "usage"


def test_a_slip_in_what_to_stop_names_runs_and_streams(program: Program) -> None:
    """A first word may be either, so both are told."""
    program.plan({"api": "true"})
    program.expect(0, "run", "--headless")
    answer = program.asked(2, "stop", "apj").err
    assert "there is no run and no stream 'apj'" in answer
    assert (
        f"the latest here: {program.folder().run}; its streams that have not ended: none" in answer
    )


def test_a_console_that_cannot_be_shown_says_why(program: Program) -> None:
    program.expect(0, "run", "--headless", "--", "true")
    code, painted = on_terminal(program, "console", TERM="dumb")
    assert code == 2
    assert "TERM" in painted
    code, painted = on_terminal(program, "console", in_background=True)
    assert code == 2
    assert "background" in painted


@pytest.mark.parametrize(
    ("arguments", "env", "is_stopped"),
    [
        ([], {"CI": "true"}, True),
        ([], {"CI": "false"}, False),
        (["--on-interrupt", "leave"], {"CI": "true"}, False),
        (["--on-interrupt", "stop"], {}, True),
    ],
)
def test_what_an_interruption_does_to_the_streams(
    program: Program, arguments: list[str], env: dict[str, str], is_stopped: bool
) -> None:
    """A cancelled job of CI leaves nothing behind; elsewhere streams run on unless asked."""
    program.plan({"s": "echo ready; sleep 60"})
    running = program.begin("run", "--headless", *arguments, **env)
    program.await_log("s", "ready")
    running.send(signal.SIGTERM)
    answer = running.wait()
    assert answer.code == 130
    assert program.status()["state"] == ("stopped" if is_stopped else "interrupted")
    if is_stopped:
        program.await_quiet()
    assert ("CI is set" in answer.err) == (bool(env) and env["CI"] == "true" and not arguments)


def test_an_interruption_means_the_same_under_a_console(program: Program) -> None:
    """Whatever ends the console from outside ends the streams, where that was asked for."""
    program.plan({"s": "echo ready; kill -TERM $CONSOLE; sleep 60"})
    code, painted = on_terminal(program, "run", "--on-interrupt", "stop", as_variable="CONSOLE")
    assert (code, ALTERNATE_SCREEN in painted) == (130, True)
    assert program.status()["state"] == "stopped"
    program.await_quiet()


def test_who_was_started_to_outlive_its_terminal_does(program: Program) -> None:
    """As ``nohup anabranch run &`` is: a hang-up that is ignored from the beginning stays so."""
    program.plan({"s": "echo ready; until test -e ../go; do sleep 0.05; done"})
    command = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *PROGRAM, "run", "--headless"]
    process = subprocess.Popen(
        command,
        cwd=program.project,
        env=program.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        program.await_log("s", "ready")
        process.send_signal(signal.SIGHUP)
        (program.folder().workspaces / "go").touch()
        assert process.wait(60) == 0
    finally:
        process.kill()


def test_a_second_interruption_leaves_streams_to_end_by_themselves(program: Program) -> None:
    program.plan({"s": "trap 'echo asked' TERM; echo ready; while true; do sleep 0.1; done"})
    running = program.begin("run", "--headless", "--on-interrupt", "stop")
    program.await_log("s", "ready")
    running.send(signal.SIGINT)
    until(lambda: "once more" in running.err, "it says what a second one does")
    running.send(signal.SIGINT)
    assert running.wait().code == 130
