"""Starting a stream of many handlers: one program in the place of its command runs them all.

What to do is written down in the folder that is kept of the stream's handlers, over all attempts:
a later attempt runs only what none before it has done (:mod:`anabranch.handlers`).
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from anabranch import handlers
from anabranch.core import effects as fx
from anabranch.core.model.handlers import Handled
from anabranch.core.model.resources import CPU
from anabranch.core.model.state import State
from anabranch.core.plans.plan import FanPlan, StreamPlan
from anabranch.engine.handler_durations import known_seconds
from anabranch.engine.performers.going_on import goes_on, handlers_folder
from anabranch.engine.performers.processes import ProcessSpec
from anabranch.engine.performers.workspaces import paths_in_project
from anabranch.engine.workspaces import Repository
from anabranch.engine.workspaces.handler_folders import Assignment
from anabranch.files import replace_whole
from anabranch.handlers import asked
from anabranch.handlers.job import Job
from anabranch.paths import RunFolder
from anabranch.plain_files import open_to_append

CROWD_PROGRAM = Path(handlers.__file__).with_name("__main__.py")
KEEPER = "anabranch.engine.handler_workspaces"
_OUR_OWN = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "ANABRANCH_GIT_TIMEOUT"),
    *("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
)
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
        width=_width(state, fan, plan),
        timeout_seconds=fan.timeout_seconds,
        most_failures=fan.most_failures,
        most_failed_share=fan.most_failed_share,
        success_exit_codes=plan.success_exit_codes,
        trusts_book=goes_on(plan, spec.attempt, run),
        silent_seconds=NOTICED_AFTER * plan.heartbeat_timeout_seconds,
        inputs=fan.inputs,
        hang_tries=min(plan.max_retries, HANG_TRIES),
        workspaces=_apart(state, spec, run, repo) if fan.workspace == "each" else None,
        known_seconds=known_seconds(run.project, state.plan.name, spec.stream),
        only=tuple((one.handler, one.cause) for one in chosen) or None,
        rate=(plan.rate.at_most, plan.rate.per_seconds) if plan.rate else None,
    )
    path = folder / "job"
    replace_whole(path, msgspec.json.encode(job._asdict()))
    argv = (sys.executable, "-I", "-S", str(CROWD_PROGRAM), str(path))
    return replace(spec, argv=argv)


def _width(state: State, fan: FanPlan, plan: StreamPlan) -> int:
    """Return how many handlers run at a time: half as many each time that memory was short."""
    cores = os.cpu_count() or 1
    width = fan.max_parallel or min(cores, math.ceil(plan.limits.get(CPU, cores)))
    return max(1, width >> state.streams[plan.id].memory.tries)


def _where_it_is(source: dict[str, Any], run: RunFolder) -> dict[str, Any]:
    """Return a source with the place of what is kept in the run's folder."""
    return {"kept": str(run.items)} if "kept" in source else source


def _apart(state: State, spec: ProcessSpec, run: RunFolder, repo: Repository) -> dict[str, Any]:
    """Write down what the program needs that keeps handlers' workspaces; return how to start it.

    It gets to its files by our own environment: what the plan says is for commands.
    """
    plan, folder = state.stream_plan(spec.stream), run.handlers(spec.stream)
    given = Assignment(
        repo,
        run.run,
        spec.stream,
        spec.attempt,
        plan.workspace,
        handlers_folder(run, spec.stream),
        repo.prefix,
        plan.working_dir,
        plan.method,
        state.base.tree if state.base is not None else "",
        paths_in_project(plan, repo.prefix),
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
