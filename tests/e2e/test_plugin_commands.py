"""``anabranch plugins`` as people type it: from nothing to a run that uses a plugin, and back."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from anabranch.plugin_store.places import Places, python_tag
from tests.e2e.program import Program, Running, until
from tests.e2e.test_full_disk import Disk, disk
from tests.plugins.wheels import QUORUM, write_wheel

__all__ = ["disk"]
README = Path(__file__).parents[2] / "plugins/README.md"


def places_of(program: Program) -> Places:
    home = Path(program.environment()["XDG_DATA_HOME"])
    return Places(home / "anabranch" / "plugins" / python_tag())


def names_of(program: Program) -> dict[str, str]:
    listed = program.asked(0, "plugins", "list", "--json").json()
    return {p["name"]: p["state"] for p in listed["plugins"]}


def test_the_first_plugin_in_five_minutes(program: Program) -> None:
    """Every command of the README, as it stands there, in a project that has nothing yet."""
    text = README.read_text("utf-8")
    section = text.partition("## Your first plugin")[2].partition("\n## ")[0]
    plan = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    assert len(plan) == 1
    (program.project / "anabranch.toml").write_text(plan[0], "utf-8")
    commands = [
        shlex.split(line)
        for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
        for line in block.splitlines()
    ]
    assert [command[0] for command in commands] == ["anabranch"] * len(commands)
    used = next(n for n, command in enumerate(commands) if command[1] == "run")
    assert used < 5, "a newcomer gets there in under five commands"
    for command in commands[: used + 1]:
        program.expect(0, *command[1:])
    (point,) = program.status()["convergence"]
    assert (point["type"], point["state"]) == ("majority", "merged")
    for command in commands[used + 1 :]:
        program.asked(0, *command[1:])
    assert names_of(program) == {"anabranch": "ok", "anabranch-majority": "ok"}


@pytest.mark.parametrize("kind", ["convergence", "recovery", "balancer", "remedy", "classifier"])
def test_a_new_plugin_passes_its_own_tests_and_the_check(program: Program, kind: str) -> None:
    """What is written is complete: typed, tested, and it conforms."""
    answer = program.asked(0, "plugins", "new", "own-way", "--kind", kind, "--json").json()
    folder = Path(answer["folder"])
    assert folder == program.project / "anabranch-own-way"
    checked = program.asked(0, "plugins", "check", str(folder), "--json").json()
    assert (checked["ok"], checked["checked"], checked["faults"]) == (True, 1, [])
    assert list(checked["strategies"]) == [kind]
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert tests.returncode == 0, tests.stdout
    again = program.asked(2, "plugins", "new", "own-way", "--kind", kind)
    assert "is there already" in again.err


@pytest.mark.parametrize(
    "name", ["", "Own", "../up", "a b", "-x", "1st", "x--y", "plugins", "a" * 50]
)
def test_a_name_that_cannot_be_one_is_refused(program: Program, name: str) -> None:
    before = sorted(program.project.iterdir())
    answer = program.asked(2, "plugins", "new", "--", name)
    assert answer.err.startswith("anabranch: ")
    assert sorted(program.project.iterdir()) == before


def test_a_broken_plugin_is_shown_its_smallest_example(program: Program) -> None:
    """The check exits with 1, names the strategy, and shows what it was asked."""
    program.asked(0, "plugins", "new", "own-way")
    strategy = program.project / "anabranch-own-way/src/anabranch_own_way/strategy.py"
    text = strategy.read_text("utf-8")
    strategy.write_text(text.replace("if not view.arrived:", "if False:"), "utf-8")
    answer = program.asked(1, "plugins", "check", "anabranch-own-way")
    assert "own-way: it converges on nothing" in answer.out
    assert "asked: PointView(" in answer.out
    refused = program.asked(1, "plugins", "install", "./anabranch-own-way", "--yes", "--json")
    assert refused.json()["error"]["code"] == "plugin_refused"
    assert names_of(program) == {"anabranch": "ok"}


def test_the_check_of_what_is_only_for_the_console_speaks_of_no_strategies(
    program: Program, tmp_path: Path
) -> None:
    source = """
from anabranch_console.console_hooks import hookimpl

class Page:
    name, title = "page", "Page"
    def run(self, status, stream): return "done"

@hookimpl
def anabranch_console_actions(): return [Page()]
"""
    made = write_wheel(tmp_path, "ab-page", source, group="anabranch.console")
    answer = program.asked(0, "plugins", "check", str(made))
    assert answer.out == "what it brings to the console is as the hooks say\n"


def test_order_of_sets_is_found_out(program: Program, tmp_path: Path) -> None:
    """It decides alike within a process, and differently in the next: only two of them show it."""
    source = QUORUM.replace("tuple(view.arrived)", "tuple({*view.arrived})")
    answer = program.asked(1, "plugins", "check", str(write_wheel(tmp_path, "ab-sets", source)))
    assert "hashes strings differently" in answer.out


def test_nobody_installs_without_being_asked(program: Program, tmp_path: Path) -> None:
    wheel = str(write_wheel(tmp_path, "ab-quorum"))
    answer = program.expect(2, "plugins", "install", wheel)
    assert "its code runs with your permissions" in answer.err
    assert "--yes" in answer.err
    assert names_of(program) == {"anabranch": "ok"}


def test_everything_works_while_a_plugin_is_broken(program: Program, tmp_path: Path) -> None:
    """It went bad after it was installed, as by an upgrade: named, and removed like any other."""
    program.plan({"a": "true"})
    wheel = str(write_wheel(tmp_path, "ab-quorum"))
    answer = program.asked(0, "plugins", "install", wheel, "--yes", "--json").json()
    assert answer["installed"]["name"] == "ab-quorum"
    (module,) = places_of(program).packages.glob("*/ab_quorum.py")
    module.write_text("raise SystemExit(3)")
    assert names_of(program)["ab-quorum"] == "ok"
    run = program.expect(0, "run", "--headless")
    assert "ab" in run.err
    assert "SystemExit" in run.err
    checked = program.asked(1, "plugins", "check", "ab-quorum", "--json").json()
    assert not checked["ok"]
    answer = program.asked(0, "plugins", "disable", "ab-quorum")
    assert program.asked(0, "plugins", "info", "ab-quorum", "--json").json()["state"] == "disabled"
    assert "SystemExit" not in program.expect(0, "run", "--headless").err
    program.asked(0, "plugins", "enable", "ab-quorum")
    assert program.asked(0, "plugins", "remove", "ab-quorum", "--json").json()["removed"]
    assert names_of(program) == {"anabranch": "ok"}
    assert (
        "did you mean" in program.asked(2, "plugins", "disable", "anabranch:builtin.balancin").err
    )


def test_kill_9_at_any_step_leaves_the_old_generation_in_force(
    program: Program, tmp_path: Path
) -> None:
    """Stopped dead while it looks, tries out or swaps; the next command clears what is left."""
    program.asked(0, "plugins", "install", str(write_wheel(tmp_path, "ab-one")), "--yes")
    slow = f"import time; time.sleep(5)\n{QUORUM}"
    wheel = str(write_wheel(tmp_path, "ab-two", slow))
    for step in ("looking into", "trying out"):
        running = program.begin("plugins", "install", wheel, "--yes")

        def has_come_so_far(running: Running = running, step: str = step) -> bool:
            return step in running.err or running.has_ended

        until(has_come_so_far, f"it says {step!r}")
        assert not running.has_ended, running.err
        running.kill()
        assert names_of(program) == {"anabranch": "ok", "ab-one": "ok"}
    assert list(places_of(program).root.glob("staging-*"))
    program.asked(0, "plugins", "install", str(write_wheel(tmp_path, "ab-three")), "--yes")
    assert names_of(program) == {"anabranch": "ok", "ab-one": "ok", "ab-three": "ok"}
    assert not list(places_of(program).root.glob("staging-*"))
    program.await_quiet()


def test_a_full_disk_is_told_and_changes_nothing(
    program: Program, disk: Disk, tmp_path: Path
) -> None:
    wheel = str(write_wheel(tmp_path, "ab-one"))
    home = {"XDG_DATA_HOME": str(disk.path)}
    assert program.begin("plugins", "install", wheel, "--yes", **home).wait().code == 0
    other = str(write_wheel(tmp_path, "ab-two", files={"ab_two_more.txt": "x" * 100_000}))
    disk.fill()
    answer = program.begin("plugins", "install", other, "--yes", "--json", **home).wait()
    assert (answer.code, answer.json()["error"]["code"]) == (3, "disk_full")
    disk.make_room()
    listed = program.begin("plugins", "list", "--json", **home).wait().json()
    assert [p["name"] for p in listed["plugins"]] == ["anabranch", "ab-one"]
    assert program.begin("plugins", "install", other, "--yes", **home).wait().code == 0
