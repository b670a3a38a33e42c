"""Starting a stream of many handlers: one program in the place of its command runs them all.

What to do is written down in the folder that is kept of the stream's handlers, over all attempts:
a later attempt runs only what none before it has done (:mod:`anabranch.handlers`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from msgspec.structs import replace

from anabranch import handlers
from anabranch.core import effects as fx
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.handlers import Handled
from anabranch.core.model.state import State
from anabranch.core.plans.plan import FanPlan, StreamPlan
from anabranch.engine.handler_results import results_path
from anabranch.engine.performers.processes import ProcessSpec
from anabranch.engine.workspaces import Repository
from anabranch.engine.workspaces.handler_folders import Assignment
from anabranch.files import replace_whole
from anabranch.handlers import asked
from anabranch.handlers.job import Job
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, open_to_append, read_plain
from anabranch.undecodable import UNDECODABLE

CROWD_PROGRAM = Path(handlers.__file__).with_name("__main__.py")
RESULTS_PACK = "results.pack"
RESULTS_VARIABLE = "ANABRANCH_RESULTS"
HANDLERS_VARIABLE, GOES_ON_VARIABLE = "ANABRANCH_HANDLERS", "ANABRANCH_GOES_ON"
KEEPER = "anabranch.engine.handler_workspaces"
_OUR_OWN = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "ANABRANCH_GIT_TIMEOUT"),
    *("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
)
GOES_ON, CAPTURED = "goes_on", "captured"
NOTICED_AFTER = 0.85
"""A handler that does nothing is ended after so much of the time that its stream may be silent:
before anybody judges the stream by it."""
HANG_TRIES = 1


def fanned_out(
    state: State, fan: FanPlan, spec: ProcessSpec, run: RunFolder, repo: Repository
) -> ProcessSpec:
    """Return what to run for an attempt that fans out, having written down its job.

    Raises OSError if that cannot be written.
    """
    plan, folder = state.stream_plan(spec.stream), run.handlers(spec.stream)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    chosen = state.handlers.get(spec.stream, Handled()).chosen
    job = Job(
        source=_where_it_is(fan.source, run),
        command=fan.command,
        folder=spec.cwd,
        attempt=spec.attempt,
        width=fan.max_parallel or os.cpu_count() or 1,
        timeout_seconds=fan.timeout_seconds,
        most_failures=fan.most_failures,
        most_failed_share=fan.most_failed_share,
        success_exit_codes=plan.success_exit_codes,
        trusts_book=goes_on(plan, spec.attempt, run),
        silent_seconds=NOTICED_AFTER * plan.heartbeat_timeout_seconds,
        inputs=fan.inputs,
        hang_tries=min(plan.max_retries, HANG_TRIES),
        workspaces=_apart(plan, spec, run, repo) if fan.workspace == "each" else None,
        only=tuple((one.handler, one.cause) for one in chosen) or None,
    )
    path = folder / "job"
    replace_whole(path, msgspec.json.encode(job._asdict()))
    argv = (sys.executable, "-I", "-S", str(CROWD_PROGRAM), str(path))
    return replace(spec, argv=argv)


def _where_it_is(source: dict[str, Any], run: RunFolder) -> dict[str, Any]:
    """Return a source with the place of what is kept in the run's folder."""
    return {"kept": str(run.items)} if "kept" in source else source


def handlers_folder(run: RunFolder, stream: StreamId) -> Path:
    """Return where the workspaces of a stream's handlers lie, if each has one."""
    return run.handlers(stream) / "workspaces"


def _apart(plan: StreamPlan, spec: ProcessSpec, run: RunFolder, repo: Repository) -> dict[str, Any]:
    """Write down what the program needs that keeps handlers' workspaces; return how to start it.

    It gets to its files by our own environment: what the plan says is for commands.
    """
    folder = run.handlers(spec.stream)
    given = Assignment(
        repo,
        run.run,
        spec.stream,
        spec.attempt,
        plan.workspace,
        handlers_folder(run, spec.stream),
        repo.prefix,
        plan.working_dir,
    )
    path = folder / "workspaces.job"
    replace_whole(path, given.encoded())
    env = {key: os.environ.get(key) for key in _OUR_OWN}
    return {"argv": [sys.executable, "-I", "-m", KEEPER, str(path)], "env": env}


def pass_on(run: RunFolder, effect: fx.RecoverHandler) -> None:
    """Let the program that runs a stream's handlers read that one is to be tried again.

    It knows each wish by its cause, so that one which stands there twice counts once. Raises
    OSError.
    """
    wish = asked.line(effect.attempt, effect.handler, effect.cause)
    with open_to_append(run.handlers(effect.stream) / asked.NAME) as file:
        file.write(wish.encode())


Left = Literal["work", "nothing"]
"""What an attempt that did not succeed had left in its workspace, all of it kept."""


def note_captured(run: RunFolder, stream: StreamId, attempt: Attempt, *, has_nothing: bool) -> None:
    """Note that all of an attempt's work is kept, or that there was none."""
    _note(run, stream, CAPTURED, {"attempt": attempt, "left": "nothing" if has_nothing else "work"})


def captured(run: RunFolder, stream: StreamId, attempt: Attempt) -> Left | None:
    """Return what an attempt had left, None if not all of it is known to be kept."""
    noted = _noted(run.handlers(stream), CAPTURED)
    left = noted.get("left")
    return left if noted.get("attempt") == attempt and left in get_args(Left) else None


def note_going_on(run: RunFolder, stream: StreamId, attempt: Attempt) -> None:
    """Note that an attempt's workspace has what the attempt before it did."""
    _note(run, stream, GOES_ON, {"attempt": attempt})


def goes_on(plan: StreamPlan, attempt: Attempt, run: RunFolder) -> bool:
    """Return whether an attempt works where those before it have, and has what they did."""
    if plan.workspace == "shared":
        return True
    return attempt > 1 and _noted(run.handlers(plan.id), GOES_ON).get("attempt") == attempt


def has_done_handlers(plan: StreamPlan, run: RunFolder) -> bool:
    """Return whether a retry leaves out what is done: it then needs the work of what is.

    That is so with handlers of commands, and with those in a program that keeps their results.
    """
    if plan.fan is not None:
        return True
    try:
        return (run.handlers(plan.id) / RESULTS_PACK).stat().st_size > 0
    except OSError:
        return False


def _note(run: RunFolder, stream: StreamId, name: str, facts: Mapping[str, Any]) -> None:
    folder = run.handlers(stream)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_whole(folder / name, msgspec.json.encode(facts))


def _noted(folder: Path, name: str) -> dict[str, Any]:
    """Return what was noted, nothing if that is not to be had: then nothing counts as done."""
    try:
        return msgspec.json.decode(read_plain(folder / name, SMALL_FILE_BYTES), type=dict[str, Any])
    except (OSError, *UNDECODABLE):
        return {}


def handlers_in_env(state: State, stream: StreamId, run: RunFolder) -> dict[str, str]:
    """Return where a stream finds the results of the handlers it depends on, and keeps its own.

    Its own are those of a program that is its command (:mod:`anabranch.in_process`). A command that
    is run for many items has none: others write the book there. What a run inherits from a stream
    that it is started in is never meant.
    """
    plan, at = state.stream_plan(stream), state.streams[stream]
    paths = [str(_results_of(run, name)) for name in _found_before(state, stream, run)]
    found = {RESULTS_VARIABLE: os.pathsep.join(paths)} if paths else {}
    if plan.fan is not None:
        return {**found, HANDLERS_VARIABLE: "", GOES_ON_VARIABLE: ""}
    own = str(run.handlers(stream))
    is_going_on = goes_on(plan, at.attempt, run)
    return {**found, HANDLERS_VARIABLE: own, GOES_ON_VARIABLE: "1" if is_going_on else ""}


def _results_of(run: RunFolder, stream: StreamId) -> Path:
    """Return the file of a stream's results: an empty one if its handlers never came to an end."""
    path = results_path(run, stream)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        open_to_append(path).close()
    return path


def _found_before(state: State, stream: StreamId, run: RunFolder) -> Iterator[StreamId]:
    """Yield whom a stream depends on that has handlers, by its plan or by its program."""
    for dependency in state.stream_plan(stream).depends_on:
        for name in dependency.streams:
            if state.stream_plan(name).fan is not None or results_path(run, name).exists():
                yield name
