"""Getting a plan for a command: from a file or from commands, with all that is installed known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec.structs import replace

from anabranch.config import (
    LoadedPlan,
    PlanContext,
    PlanErrors,
    PlanWarning,
    StrategyNames,
    as_runnable,
    check_report,
    check_text,
    load_plan,
    open_plan_here,
    plan_from_commands,
    refused_for,
)
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Strategies
from anabranch.engine.durations import read_learned
from anabranch.engine.opening import git_errors, open_project
from anabranch.engine.preflight import look_around, look_for_included
from anabranch.engine.probing import measured_capacity
from anabranch.engine.runs import project_root
from anabranch.errors import UsageError
from anabranch.extending import NO_EXTENSIONS, Extensions
from anabranch.paths import ProjectFolder, project_folder
from anabranch.plugins import Loaded
from anabranch_console.cli.main import here
from anabranch_console.cli.output import print_json_line, say

DEFAULT_PLAN = "anabranch.toml"
LEAST_PARALLEL = 4
_INCLUDE = ("coordination", "isolation", "include")


def auto_parallel() -> int:
    """Return how many streams run at once when the plan does not say.

    Streams are mostly waiting for something else than this machine's processors, so twice as many
    as there are, and never fewer than four.
    """
    return max(LEAST_PARALLEL, 2 * (os.cpu_count() or 1))


def read_plan(
    path: str | None,
    commands: Sequence[str],
    strategies: Strategies,
    extensions: Extensions = NO_EXTENSIONS,
    each: Sequence[str] = (),
) -> LoadedPlan | PlanErrors:
    """Return the plan of a file, or of commands if there are any: each for every item, if given."""
    project = ProjectFolder(project_folder(project_root(here())))
    known = StrategyNames.of(strategies, extensions.executors)
    if commands:
        return plan_from_commands(
            commands,
            known=known,
            auto_parallel=auto_parallel(),
            learned=read_learned(project),
            each=each,
        )
    if path is None:
        _look_above()
    return load_plan(
        Path(path or DEFAULT_PLAN),
        known=known,
        auto_parallel=auto_parallel(),
        learned=read_learned(project),
        machine=measured_capacity(extensions.resource_probes),
        folder=here(),
    )


def plan_context(found: Loaded) -> PlanContext:
    """Return what a plan of this project depends on besides what is written."""
    return PlanContext(
        StrategyNames.of(found.strategies, found.extensions.executors),
        auto_parallel(),
        read_learned(ProjectFolder(project_folder(project_root(here())))),
    )


def open_plan_of(folder: Path, context: PlanContext) -> Plan:
    """Return the plan of an open run in a folder. Raises UsageError."""
    found = open_plan_here(folder, folder.name or "open", context)
    if isinstance(found, PlanErrors):
        text = check_text(found).rstrip()
        raise UsageError(text, f"an open run works as {DEFAULT_PLAN} says; mend that first")
    return found


def in_this_project(loaded: LoadedPlan | PlanErrors) -> LoadedPlan | PlanErrors:
    """Return a plan with what to know about the project before it runs there.

    What it lists for workspaces is an error where none can begin with so much.
    """
    if isinstance(loaded, PlanErrors):
        return loaded
    with git_errors():
        repository, _ = open_project(here())
        included, about_it = look_for_included(repository, loaded.plan)
        found = (*look_around(repository, loaded.plan, os.environ), *about_it)
        warnings = tuple(PlanWarning(f.code, f.in_words, hint=f.hint) for f in found)
    place = _INCLUDE if loaded.plan.include else ()
    too_much = tuple(
        PlanWarning(f.code, f.message, path=place, hint=f.hint)
        for f in about_it
        if f.code == "too-much-included"
    )
    if too_much:
        return refused_for(loaded, too_much)
    return replace(loaded, warnings=(*loaded.warnings, *warnings), included=included)


def _look_above() -> None:
    """A plan that lies further up in the project is named rather than overlooked."""
    folder = here()
    if (folder / DEFAULT_PLAN).exists():
        return
    top = project_root(folder)
    for above in folder.parents:
        if not above.is_relative_to(top):
            return
        if (above / DEFAULT_PLAN).exists():
            hint = f"use the one above it: anabranch -C {os.path.relpath(above, folder)} run"
            raise UsageError(f"there is no {DEFAULT_PLAN} in this folder", hint)


def valid_plan(loaded: LoadedPlan | PlanErrors, as_json: bool) -> LoadedPlan:
    """Return a plan that can be run here; else say everything that is wrong and exit with 2."""
    loaded = as_runnable(loaded)
    if isinstance(loaded, PlanErrors):
        if as_json:
            first = loaded.errors[0]
            where = f"{first.file}:{first.line}: {first.key}: {first.message}"
            error = {"code": "plan", "message": where, "hint": first.hint}
            print_json_line({**check_report(loaded), "error": error})
        else:
            say(check_text(loaded).rstrip())
        raise click.exceptions.Exit(2)
    return loaded


def with_choices(plan: Plan, keep_going: bool, max_parallel: int | None) -> Plan:
    """Return the plan with what the command line says about this run."""
    return replace(
        plan,
        keep_going=keep_going or plan.keep_going,
        max_parallel=max_parallel or plan.max_parallel,
        is_adaptive=plan.is_adaptive and max_parallel is None,
    )
