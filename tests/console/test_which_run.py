"""Which run each command means where none is named, command by command.

The table has every command that takes a run: a new one has to be put into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from anabranch.core import calls, inputs
from anabranch.core.calls import Caller
from anabranch.core.events import Recorded, Resolution, RunStopped
from anabranch.core.folds.resolutions import open_conflicts
from anabranch.core.ids import RunId, StreamId
from anabranch.engine.journal import Journal
from anabranch.engine.run_lock import RunLock
from anabranch.engine.run_numbers import next_number, note_number
from anabranch.engine.runs import runs_of
from anabranch.errors import UsageError
from anabranch.paths import ProjectFolder, RunFolder, project_folder, run_counter
from anabranch.testing import ByHand, plan_of, point, stream
from anabranch_console.cli import main
from anabranch_console.cli.which_run import MEANT, RunsHere, run_meant, with_run_named
from tests.core.given import STRATEGIES

CLI = Path(main.__file__).parent

OWN_RULE = {
    "add": "adds to the run that goes on, and begins one where none does",
    "console": "asks what to begin with where nothing goes on or waits",
    "gc": "is about all runs",
}
"""Commands that take a run and mean something else without one, and what."""

GOES_ON = {
    *("attention", "breakers", "choose", "close", "convergence", "env", "events", "locks"),
    *("messages", "plan", "report", "state", "status", "stop", "streams"),
}
OF_A_STREAM = ("allow", "attach", "diff", "enter", "logs", "recover", "send")
WAITED_FOR = {
    "adopt": ("race", "race.1"),
    "answer": ("asks", "a"),
    "approve": ("converged", None),
    "conflicts": ("conflict", None),
    "race": ("race", None),
    "resolve": ("conflict", None),
    "resolve --undo": ("decided", None),
    "review": ("review", "a"),
}
"""For what a command is, where that waits, and the stream that it is about."""


def story(kind: str) -> ByHand:
    """Return a run of which something holds."""
    if kind == "race":
        racing = point("race", type="race", adopts_one=True)
        names = ("race.1", "race.2")
        streams = [stream(n, converge="race", optional=True, max_retries=0) for n in names]
        hand = ByHand(plan_of(*streams, racing, point("final")), STRATEGIES)
        hand.succeed(*names)
        return hand
    hand = ByHand(
        plan_of(stream("a"), stream("b"), point("final", review=kind == "review")), STRATEGIES
    )
    if kind == "asks":
        hand.run("a")
        caller = Caller(StreamId("a"), hand.stream("a").attempt)
        hand.give(calls.Ask(caller=caller, request="q", question="go on?"))
    elif kind == "stopped":
        hand.records.append(Recorded(hand.state.seq + 1, 0.0, None, RunStopped(reason="by you")))
    elif kind != "goes on":
        hand.succeed("a", "b")
        if kind != "review":
            hand.merged(without=("b",) if kind in ("conflict", "decided") else ())
        if kind == "decided":
            ((_, conflict),) = open_conflicts(hand.state)
            made = Resolution.of(conflict.paths[0], "ours", "blob")
            hand.give(inputs.ResolveConflict(resolutions=(made,)))
            hand.merged()
    return hand


class Project:
    """A project in which runs were begun, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._home = ProjectFolder(project_folder(folder))
        self._home.runs.mkdir(parents=True)
        self._locks: list[RunLock] = []

    def begin(self, kind: str, *, is_hosted: bool = False) -> RunFolder:
        so_far = runs_of(self._home)
        home = self._home.run(RunId(f"20261129-18000{len(so_far)}-{kind.replace(' ', '-')}"))
        number = next_number(run_counter(), so_far)
        home.create()
        journal = Journal.create(home.journal, {})
        journal.append(story(kind).records)
        journal.close()
        note_number(home, number)
        if is_hosted:
            lock = RunLock.acquire(home.lock)
            assert lock is not None
            self._locks.append(lock)
        return home

    def leave(self) -> None:
        for lock in self._locks:
            lock.release()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Give a project without runs, and be in it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "user").mkdir()
    monkeypatch.chdir(tmp_path / "user")
    made = Project(tmp_path / "user")
    yield made
    made.leave()


def test_every_command_that_takes_a_run_is_in_the_table() -> None:
    """And asks the one rule by its own name, rather than for the newest run."""
    group = main.cli
    takes_one = set()
    for name in main.COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        parts = command.commands.values() if isinstance(command, click.Group) else [command]
        if any(param.name == "run" for part in parts for param in part.params):
            takes_one.add(name)
    takes_one.add("stop")  # its first word may be a stream
    assert takes_one - set(OWN_RULE) == {name.split(" ")[0] for name in MEANT}
    assert set(MEANT) == {*GOES_ON, *OF_A_STREAM, *WAITED_FOR, "resume"}
    for name in takes_one - set(OWN_RULE):
        sources = [CLI / f"{name}.py", CLI / f"{name}_compared.py"]
        text = "".join(path.read_text("utf-8") for path in sources if path.exists())
        asked = re.findall(r"(?:run_meant|found_run)\(\s*\"(\w+)[ \w-]*\"", text)
        assert set(asked) == {name}, f"{name} asks as {asked}"
        assert not re.search("latest_run|run_that_goes_on", text), name


@pytest.mark.parametrize("is_hosted", [False, True])
def test_the_run_that_goes_on_comes_before_a_newer_one_that_is_over(
    project: Project, is_hosted: bool
) -> None:
    """Whether somebody hosts it or not; what is wanted is in neither of them."""
    project.begin("stopped")
    goes_on = project.begin("goes on", is_hosted=is_hosted)
    project.begin("stopped")
    runs = RunsHere()
    for command in MEANT:
        assert runs.meant(command).run == goes_on.run, command
        assert runs.meant(command, "a").run == goes_on.run, command


def test_where_all_are_over_the_latest_is_meant(project: Project) -> None:
    with pytest.raises(UsageError, match="there are no runs"):
        run_meant("status", None)
    project.begin("stopped")
    latest = project.begin("stopped")
    assert {RunsHere().meant(command).run for command in MEANT} == {latest.run}


@pytest.mark.parametrize("command", WAITED_FOR)
def test_what_is_waited_for_somewhere_is_meant_there(project: Project, command: str) -> None:
    """Before the one that goes on, and before one that is over and newer."""
    kind, name = WAITED_FOR[command]
    waits = project.begin(kind)
    project.begin("goes on", is_hosted=True)
    project.begin("stopped")
    assert run_meant(command, None, name).run == waits.run


@pytest.mark.parametrize("command", OF_A_STREAM)
def test_what_is_about_a_stream_means_a_run_that_has_it(project: Project, command: str) -> None:
    has_it = project.begin("race")
    goes_on = project.begin("goes on")
    assert run_meant(command, None, "race.2").run == has_it.run
    assert run_meant(command, None, "nowhere").run == goes_on.run


def test_the_newest_result_is_approved_and_never_an_older_one(project: Project) -> None:
    project.begin("converged")
    newest = project.begin("converged")
    project.begin("goes on")
    assert run_meant("approve", None).run == newest.run


def test_a_run_that_somebody_hosts_is_not_resumed(project: Project) -> None:
    left = project.begin("goes on")
    project.begin("goes on", is_hosted=True)
    assert run_meant("resume", None).run == left.run
    assert run_meant("status", None).run != left.run


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("anabranch recover a hard ends it", "anabranch recover --run {} a hard ends it"),
        ("`anabranch conflicts` lists what", "`anabranch conflicts {}` lists what"),
        ("anabranch attach a: it is", "anabranch attach a {}: it is"),
        ("anabranch status {}", "anabranch status {}"),
        ("anabranch review --run {} a", "anabranch review --run {} a"),
        ("anabranch doctor says more", "anabranch doctor says more"),
        ("wait until it has ended", "wait until it has ended"),
    ],
)
def test_what_is_to_be_typed_names_the_run_where_it_would_mean_another(
    project: Project, text: str, named: str
) -> None:
    over = project.begin("stopped")
    assert with_run_named("anabranch recover a hard", over.run) == "anabranch recover a hard"
    project.begin("goes on")
    assert with_run_named(text.format(over.run), over.run) == named.format(over.run)
