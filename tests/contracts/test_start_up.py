"""A start loads and asks for what it needs, and no more: people and scripts wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.repositories import make_repository

ROOT = Path(__file__).parents[2]
HEAVY = ("textual", "pydantic", "asyncio", "watchdog", "psutil")


READING = [
    "status",
    "streams",
    "runs",
    "report",
    "locks",
    "state",
    "messages",
    "convergence",
    "attention",
]


@pytest.mark.parametrize("name", READING)
def test_a_reading_command_imports_nothing_heavy(name: str) -> None:
    """People wait for every import; these commands are typed often, and by scripts."""
    program = (
        f"import sys, anabranch_console.cli.main, anabranch_console.cli.{name};"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_program_that_maps_handlers_loads_no_engine() -> None:
    """The names are there with the package; what they need is loaded when they are asked for."""
    program = (
        "import sys, anabranch; before = 'asyncio' in sys.modules; anabranch.map_handlers;"
        "print([before, *(m for m in ('apsw', 'psutil', 'pluggy') if m in sys.modules)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[False]"


def test_garbage_is_collected_again_once_a_command_is_loaded() -> None:
    """Nobody looks for garbage while modules load; a run that is hosted for days makes some."""
    program = (
        "import gc; from anabranch_console.cli.main import cli; import click;"
        "assert cli.get_command(click.Context(cli), 'status') is not None;"
        "print(gc.isenabled(), gc.get_freeze_count() > 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "True True"


def test_looking_for_a_result_loads_nothing_of_workspaces() -> None:
    program = (
        "import sys, anabranch_console.cli.status, anabranch.engine.result_presence;"
        "print('anabranch.engine.workspaces' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"


def test_the_built_in_plugins_load_nothing_that_only_an_import_of_a_plan_needs() -> None:
    program = (
        "import sys; from anabranch.plugins import load_plugins; load_plugins();"
        "print([m for m in ('pydantic', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


MOST_GIT_CALLS = 20
MOST_GIT_CALLS_IN_ALL = 27
NOT_FOR_COMMANDS = {
    "anabranch.config.building",
    "anabranch.config.fans",
    "anabranch.engine.handler_book",
    "anabranch.engine.performers.fanning",
    "anabranch.engine.workspaces.handler_folders",
    "anabranch.handlers.book",
    "anabranch.handlers.sources",
    "anabranch_plugins.importers.compose",
    "anabranch_plugins.importers.parallel_lines",
    "anabranch_plugins.importers.process_compose",
    "anabranch_plugins.importers.procfile",
    "anabranch_plugins.importers.wfcommons",
    "anabranch_plugins.reports.junit_suite",
    "importlib.metadata",
    "pydantic",
    "statistics",
    "tomllib",
    "urllib.request",
    "xml",
    "yaml",
}
"""What a run could only use with a plan file, handlers or plugins, for another tool's file, or to
report in another format."""


def test_a_run_of_commands_loads_nothing_that_only_other_runs_need(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    loaded = loaded_by(project, tmp_path, "run", "--headless", "--", "true")
    assert "anabranch.engine.host" in loaded
    assert not loaded & NOT_FOR_COMMANDS


def loaded_by(project: Path, state: Path, *arguments: str) -> set[str]:
    """Carry a command out and return the modules that it had loaded at its end."""
    program = (
        "import sys; from anabranch_console.start import main\n"
        "try: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=project,
        env=os.environ | {"XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(done.stderr.splitlines()[-1].split())


def test_what_is_left_for_the_exit_is_done_before_the_process_goes(tmp_path: Path) -> None:
    """The process ends without being taken apart, after all that was to be done at its exit."""
    program = (
        "import atexit, sys, threading, time\n"
        "from anabranch_console import start\n"
        "from anabranch_console.cli import main as cli\n"
        "def late():\n    threading.main_thread().join()\n    print('by a thread')\n"
        "def first(main=cli.main):\n"
        "    atexit.register(print, 'at the exit')\n"
        "    threading.Thread(target=late).start()\n    main()\n"
        "cli.main = first\n"
        "start.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "no-such-command"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout.splitlines() == ["by a thread", "at the exit"]


NOT_FOR_A_ZYGOTE = {"contextlib", "enum", "json", "re", "signal", "typing"}


def test_a_zygote_loads_no_more_than_it_needs() -> None:
    """Every run starts one, and what it loads is half of what that costs."""
    program = (
        f"import sys; sys.path.append({str(ROOT / 'coordination/anabranch')!r});"
        "import holder.zygote; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = set(done.stdout.split())
    assert "holder.zygote" in loaded
    assert not loaded & NOT_FOR_A_ZYGOTE


START_TICKS = "cut -d' ' -f22 /proc/$$/stat"
"""When a shell was started. What the engine does while the stream's own comes to life is not asked
about: the machine may be busy."""


def test_a_run_asks_git_few_times(tmp_path: Path) -> None:
    """Each call is a process, and the first stream waits for most of them."""
    (tmp_path / "bin").mkdir()
    calls, stream = tmp_path / "calls", tmp_path / "stream"
    git = tmp_path / "bin" / "git"
    git.write_text(f'#!/bin/sh\n{START_TICKS} >> {calls}\nPATH="${{PATH#*:}}" exec git "$@"\n')
    git.chmod(0o755)
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    environment = os.environ | {
        "PATH": f"{git.parent}:{os.environ['PATH']}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    command = f"{START_TICKS} > {stream}"
    subprocess.run(
        [sys.executable, "-m", "anabranch_console", "run", "--headless", "--", command],
        cwd=project,
        env=environment,
        capture_output=True,
        check=True,
        timeout=120,
    )
    started = int(stream.read_text())
    ticks = [int(tick) for tick in calls.read_text().split()]
    assert 0 < sum(tick < started for tick in ticks) <= MOST_GIT_CALLS
    assert len(ticks) <= MOST_GIT_CALLS_IN_ALL
