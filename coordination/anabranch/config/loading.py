"""Reads a plan: from a file, from a text, or from commands on the command line.

Whatever is wrong with the input comes back as a value that lists every mistake at once; nothing
here raises for bad input.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs
from msgspec.structs import replace

from anabranch.config.advice import plan_warnings
from anabranch.config.command_plans import command_plan, needs_no_model, stream_names
from anabranch.config.context import PlanContext
from anabranch.config.idle_keys import idle_keys
from anabranch.config.impossible import cannot_be_here
from anabranch.config.not_yet import not_yet, refusals
from anabranch.config.options import balancer_option_problems, option_problems
from anabranch.config.positions import Position, key_positions, locate
from anabranch.config.problems import (
    IMPOSSIBLE,
    KeyPath,
    PlanError,
    PlanWarning,
    Problem,
    key_text,
    printable,
)
from anabranch.config.reading import PlanErrors, errors_at, parse_document, read_text
from anabranch.config.references import reference_problems
from anabranch.config.services import service_problems
from anabranch.config.strategy_names import StrategyNames, strategy_problems
from anabranch.core.events import Included
from anabranch.core.plans.estimates import Learned
from anabranch.core.plans.plan import Plan

if TYPE_CHECKING:
    from anabranch.config.templates import Template

COMMAND_LINE = "<command line>"
_OF_A_TEMPLATE = ("template", "prompt", "values")
ON_STDIN = ("-",)
"""Stands for items that come on stdin; they are kept in the run's folder as ``items``."""


class LoadedPlan(msgspec.Struct, frozen=True):
    """A valid plan, the file it came from, and what its author should know about it.

    ``included`` is what git ignores here and workspaces would get.
    """

    plan: Plan
    file: str
    warnings: tuple[PlanWarning, ...] = ()
    known: StrategyNames = msgspec.field(default_factory=StrategyNames)
    folder: Path | None = None
    included: Included = Included()

    @property
    def impossible(self) -> tuple[PlanWarning, ...]:
        """Return those of the warnings for which no run may start."""
        return tuple(warning for warning in self.warnings if warning.code in IMPOSSIBLE)


def as_runnable(loaded: LoadedPlan | PlanErrors) -> LoadedPlan | PlanErrors:
    """Return a plan that can be run here and now, or everything that stands against it."""
    return loaded if isinstance(loaded, PlanErrors) else refused_for(loaded, loaded.impossible)


def as_strict(loaded: LoadedPlan | PlanErrors) -> LoadedPlan | PlanErrors:
    """Return a plan of which nothing is doubtful, or everything that is, as errors."""
    return loaded if isinstance(loaded, PlanErrors) else refused_for(loaded, loaded.warnings)


def refused_for(loaded: LoadedPlan, warnings: tuple[PlanWarning, ...]) -> LoadedPlan | PlanErrors:
    """Return a plan, or these warnings as its errors if there are any."""
    errors = [
        PlanError(loaded.file, w.line or 1, w.column or 1, key_text(w.path), w.message, w.hint)
        for w in warnings
    ]
    errors.sort(key=lambda error: (error.line, error.column))
    return PlanErrors(loaded.file, tuple(errors), loaded.plan.name) if errors else loaded


def load_plan(
    path: str | Path,
    *,
    known: StrategyNames | None = None,
    auto_parallel: int = 4,
    learned: Learned | None = None,
    machine: Mapping[str, float] | None = None,
    folder: Path | None = None,
) -> LoadedPlan | PlanErrors:
    """Read the plan file at ``path``.

    ``known`` names the installed strategies, ``auto_parallel`` is the width of
    ``max_parallel = "auto"``, ``learned`` is what earlier runs teach,
    ``machine`` is what there is of ``cpu_cores`` and ``memory_mb``, and ``folder`` the one in the
    project that the plan is run in: what is to be found there is looked for.
    """
    context = PlanContext(
        known or StrategyNames(), auto_parallel, learned or Learned(), machine or {}, folder
    )
    file = printable(os.fspath(path), limit=4096)
    text = read_text(path)
    if isinstance(text, Problem):
        return errors_at(file, "", [text], {})
    return _load_text(text, file, _folder_name(path), context)


def parse_plan(
    text: str,
    *,
    file: str = "anabranch.toml",
    known: StrategyNames | None = None,
    auto_parallel: int = 4,
    learned: Learned | None = None,
    machine: Mapping[str, float] | None = None,
    folder: Path | None = None,
) -> LoadedPlan | PlanErrors:
    """Read a plan from TOML ``text``; ``file`` is what errors call it. See :func:`load_plan`."""
    context = PlanContext(
        known or StrategyNames(), auto_parallel, learned or Learned(), machine or {}, folder
    )
    return _load_text(text, file, "plan", context)


def plan_from_commands(
    commands: Sequence[str],
    name: str = "commands",
    *,
    known: StrategyNames | None = None,
    auto_parallel: int = 4,
    learned: Learned | None = None,
    machine: Mapping[str, float] | None = None,
    each: Sequence[str] = (),
) -> LoadedPlan | PlanErrors:
    """Make a plan of independent streams, each named after the first word of its command.

    With items (``each``) every command is run for every item; see also :data:`ON_STDIN`.
    """
    context = PlanContext(
        known or StrategyNames(), auto_parallel, learned or Learned(), machine or {}
    )
    bodies = [{"command": c, "each": list(each)} for c in commands] if each else commands
    streams = dict(zip(stream_names(commands), bodies, strict=True))
    document = {"version": 1, "name": name, "streams": streams}
    if needs_no_model(name, commands, each) and not (each and _handler_problems(document)):
        plan = command_plan(name, dict(zip(streams, commands, strict=True)), each, context)
        warnings = plan_warnings(plan, None)
        loaded: LoadedPlan | PlanErrors = _loaded(plan, COMMAND_LINE, warnings, context, dict)
    else:
        loaded = plan_of_document(document, COMMAND_LINE, name, context, dict)
    if isinstance(loaded, LoadedPlan) and tuple(each) == ON_STDIN:
        return replace(loaded, plan=_with_kept_items(loaded.plan))
    return loaded


def plan_from_template(
    template: Template,
    values: Mapping[str, str],
    stream: str,
    *,
    own: Mapping[str, Any] | None = None,
) -> LoadedPlan | PlanErrors:
    """Make a plan of one stream out of a template.

    Args:
        template: one of :func:`anabranch.config.templates_here`.
        values: what stands in its blanks, ``prompt`` among them.
        stream: the name of the stream.
        own: further keys of the stream, as a plan would have them.

    Raises:
        LacksValues: a blank has no value, or a value no blank.
    """
    from anabranch.config.templates import table_for_a_person

    table = table_for_a_person(template, values, own)
    document = {"version": 1, "name": template.name, "streams": {stream: _without_origin(table)}}
    loaded = plan_of_document(document, COMMAND_LINE, template.name, PlanContext(), dict)
    if isinstance(loaded, PlanErrors):
        return loaded
    return _as_made_of(loaded, template, table, own or {})


def plan_of_keys(table: Mapping[str, Any]) -> LoadedPlan | PlanErrors:
    """Make a plan whose first stream has these keys; the other is a job, as a plan needs one."""
    document = {"version": 1, "name": "added", "streams": {"it": dict(table), "job": "true"}}
    return plan_of_document(document, COMMAND_LINE, "added", PlanContext(), dict)


def _without_origin(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stream's table without what it was made of: that need not be looked for again."""
    return {key: value for key, value in table.items() if key not in _OF_A_TEMPLATE}


def race_plan(
    count: int,
    stream: str,
    table: Mapping[str, Any],
    point: Mapping[str, Any],
    *,
    made_of: Template | None = None,
    parts: Mapping[str, Any] | None = None,
    known: StrategyNames | None = None,
    auto_parallel: int = 4,
    learned: Learned | None = None,
) -> LoadedPlan | PlanErrors:
    """Make a plan of one race.

    Args:
        count: how many attempts there are.
        stream: the name of the race.
        table: what each attempt does, as a plan would have it.
        point: what is said of the point at which one is adopted: ``verify``, ``options``.
        made_of: the template that the table was made of; it is not looked for again.
        parts: what the project's plan says of every run (:mod:`anabranch.config.open_plans`).
        known, auto_parallel, learned: as for :func:`load_plan`.
    """
    context = PlanContext(known or StrategyNames(), auto_parallel, learned or Learned(), {})
    parts = parts or {}
    document = {
        **parts,
        "version": 1,
        "name": stream,
        "streams": {stream: {**_without_origin(table), "race": count}},
        "convergence": {**parts.get("convergence", {}), stream: dict(point)},
    }
    loaded = plan_of_document(document, COMMAND_LINE, stream, context, dict)
    if isinstance(loaded, PlanErrors) or made_of is None:
        return loaded
    return _as_made_of(loaded, made_of, table, {})


def _with_outlines(plan: Plan, outlines: Mapping[str, Any]) -> Plan:
    """Return a plan whose streams, or the attempts of whose races, know their outlines."""
    if not outlines:
        return plan
    streams = [
        replace(s, outline=_frozen(outlines.get(s.id) or outlines.get(s.id.rpartition(".")[0], "")))
        for s in plan.streams
    ]
    return replace(plan, streams=tuple(streams))


def _frozen(command: Any) -> str | tuple[str, ...]:
    return command if isinstance(command, str) else tuple(command)


def _as_made_of(
    loaded: LoadedPlan, template: Template, table: Mapping[str, Any], own: Mapping[str, Any]
) -> LoadedPlan:
    """Return a plan whose streams say which template they were made of, and from what."""
    from anabranch.config.templates import outline_of

    prompt = str(table.get("prompt", ""))
    outline = _frozen(outline_of(template, table.get("values", {}), own))
    streams = [
        replace(s, template=template.name, prompt=prompt, outline=outline)
        for s in loaded.plan.streams
    ]
    return replace(loaded, plan=replace(loaded.plan, streams=tuple(streams)))


def _with_kept_items(plan: Plan) -> Plan:
    """Return a plan whose handlers get the items that are kept in the run's folder."""
    streams = [
        structs.replace(stream, fan=structs.replace(stream.fan, source={"kept": "items"}))
        for stream in plan.streams
        if stream.fan is not None
    ]
    return structs.replace(plan, streams=tuple(streams))


# ------------------------------------------------------------------ from bytes to a document


def _load_text(
    text: str, file: str, default_name: str, context: PlanContext
) -> LoadedPlan | PlanErrors:
    document = parse_document(text, file)
    if isinstance(document, PlanErrors):
        return document
    return plan_of_document(document, file, default_name, context, lambda: key_positions(text))


# ------------------------------------------------------------------ from a document to a plan


def plan_of_document(
    document: dict[str, Any],
    file: str,
    default_name: str,
    context: PlanContext,
    positions: Callable[[], dict[KeyPath, Position]],
) -> LoadedPlan | PlanErrors:
    """Return what a document says, or everything that is wrong with it at its place in a file."""
    # Loading the model takes longer than all the rest of a start; plans of commands do without.
    from anabranch.config.building import build_plan
    from anabranch.config.filling import filled
    from anabranch.config.model import PlanFile
    from anabranch.config.races import race_problems, with_race_points
    from anabranch.config.user_templates import template_problems, templates_for
    from anabranch.config.wording import model_problems

    templates = templates_for(document, file)
    if isinstance(templates, PlanErrors):
        return templates
    made = filled(document, templates)
    document = with_race_points(made.document)
    typed, problems = model_problems(document, PlanFile)
    problems = [problem for problem in problems if not made.is_of_a_template(problem.path)]
    problems += [*made.problems, *template_problems(document)]
    problems += reference_problems(document)
    problems += service_problems(document)
    problems += _handler_problems(document)
    problems += race_problems(document, context.known)
    problems += strategy_problems(document, context.known)
    problems += option_problems(document, context.known.options)
    problems += balancer_option_problems(document, context.known.balancer_options)
    problems += refusals(document)
    if problems or typed is None:
        name = document.get("name")
        shown = printable(name) if isinstance(name, str) else default_name
        return errors_at(file, shown, problems, positions())
    plan = _with_outlines(build_plan(typed, default_name, context), made.outlines)
    warnings = [*_without_effect(document, positions)]
    warnings += idle_keys(plan, typed, context.machine)
    warnings += plan_warnings(plan, typed)
    return _loaded(plan, file, warnings, context, positions)


def _loaded(
    plan: Plan,
    file: str,
    warnings: list[PlanWarning],
    context: PlanContext,
    positions: Callable[[], dict[KeyPath, Position]],
) -> LoadedPlan:
    """Return a valid plan with its warnings, and with those that this machine and folder add."""
    warnings += cannot_be_here(plan, context.machine, context.folder)
    if any(stream.fan for stream in plan.streams):
        from anabranch.config.fans import without_items  # here, for most plans have no handlers

        warnings += without_items(plan, context.folder)
    if any(point.adopts_one for point in plan.points):
        from anabranch.config.races import at_the_race  # here, for most plans have none

        warnings = at_the_race(warnings, plan)
    places = positions() if any(warning.path for warning in warnings) else {}
    placed = tuple(_placed(warning, places) for warning in warnings)
    return LoadedPlan(plan, file, placed, context.known, context.folder)


def _handler_problems(document: dict[str, Any]) -> list[Problem]:
    from anabranch.config.handlers import handler_problems  # here, for most plans have none

    return handler_problems(document)


def _placed(warning: PlanWarning, positions: dict[KeyPath, Position]) -> PlanWarning:
    if not warning.path:
        return warning
    line, column = locate(positions, warning.path)
    return replace(warning, line=line, column=column)


def _without_effect(
    document: dict[str, Any], positions: Callable[[], dict[KeyPath, Position]]
) -> list[PlanWarning]:
    """Return a warning for each key the user wrote that this version does not act on."""
    keys = not_yet(document, "warn")
    found = positions() if keys else {}
    placed = sorted((locate(found, path), path, instead) for path, instead in keys)
    return [
        PlanWarning(
            "no-effect-yet",
            f"`{key_text(path)}` (line {place.line}) has no effect in this version"
            + (f": {instead}" if instead else ""),
            str(path[1]) if path[0] == "streams" else None,
            path,
        )
        for place, path, instead in placed
    ]


# ------------------------------------------------------------------ names


def _folder_name(path: str | Path) -> str:
    """Return what a plan without a name is called."""
    name = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return name if name.strip() and name.isprintable() and len(name) <= 100 else "plan"
