"""Reads a plan: from a file, from a text, or from commands on the command line.

Whatever is wrong with the input comes back as a value that lists every mistake at once; nothing
here raises for bad input.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
from anabranch.config.references import reference_problems
from anabranch.config.strategy_names import StrategyNames, strategy_problems
from anabranch.core.plans.estimates import Learned
from anabranch.core.plans.plan import Plan

MAX_PLAN_BYTES = 4 * 1024 * 1024
COMMAND_LINE = "<command line>"
ON_STDIN = ("-",)
"""Stands for items that come on stdin; they are kept in the run's folder as ``items``."""

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")
_QUOTED = r"'([^']*)'"
_KEY_TUPLE = re.compile(r"\('[^)]*',?\)")
_START = "`anabranch init` writes a plan to begin with"


class LoadedPlan(msgspec.Struct, frozen=True):
    """A valid plan, the file it came from, and what its author should know about it."""

    plan: Plan
    file: str
    warnings: tuple[PlanWarning, ...] = ()
    known: StrategyNames = msgspec.field(default_factory=StrategyNames)
    folder: Path | None = None

    @property
    def impossible(self) -> tuple[PlanWarning, ...]:
        """Return those of the warnings for which no run may start."""
        return tuple(warning for warning in self.warnings if warning.code in IMPOSSIBLE)


class PlanErrors(msgspec.Struct, frozen=True):
    """Every mistake in a plan, in the order of the file; there is at least one."""

    file: str
    errors: tuple[PlanError, ...]
    name: str = ""


def as_runnable(loaded: LoadedPlan | PlanErrors) -> LoadedPlan | PlanErrors:
    """Return a plan that can be run here and now, or everything that stands against it."""
    return loaded if isinstance(loaded, PlanErrors) else _refused_for(loaded, loaded.impossible)


def as_strict(loaded: LoadedPlan | PlanErrors) -> LoadedPlan | PlanErrors:
    """Return a plan of which nothing is doubtful, or everything that is, as errors."""
    return loaded if isinstance(loaded, PlanErrors) else _refused_for(loaded, loaded.warnings)


def _refused_for(loaded: LoadedPlan, warnings: tuple[PlanWarning, ...]) -> LoadedPlan | PlanErrors:
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
    text = _read(path)
    if isinstance(text, Problem):
        return _errors(file, "", [text], {})
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
        loaded = _load_document(document, COMMAND_LINE, name, context, dict)
    if isinstance(loaded, LoadedPlan) and tuple(each) == ON_STDIN:
        return replace(loaded, plan=_with_kept_items(loaded.plan))
    return loaded


def _with_kept_items(plan: Plan) -> Plan:
    """Return a plan whose handlers get the items that are kept in the run's folder."""
    streams = [
        structs.replace(stream, fan=structs.replace(stream.fan, source={"kept": "items"}))
        for stream in plan.streams
        if stream.fan is not None
    ]
    return structs.replace(plan, streams=tuple(streams))


# ------------------------------------------------------------------ from bytes to a document


def _read(path: str | Path) -> str | Problem:
    """Return the text of the file, or why there is none."""
    try:
        # A pipe that nobody writes to would block an ordinary open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
                return Problem((), f"this is {kind}", "name the plan file itself")
            data = file.read(MAX_PLAN_BYTES + 1)
    except FileNotFoundError:
        return Problem((), "there is no such file", _START)
    except IsADirectoryError:
        return Problem((), "this is a directory", "name the plan file itself")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Problem((), f"cannot be read: {reason}", "check the path and its permissions")
    if len(data) > MAX_PLAN_BYTES:
        return Problem((), "the file is larger than 4 MiB", "split the plan")
    return _decode(data)


def _decode(data: bytes) -> str | Problem:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Problem((), f"the file is not UTF-8 (line {line})", "save it as UTF-8")


def _load_text(
    text: str, file: str, default_name: str, context: PlanContext
) -> LoadedPlan | PlanErrors:
    document = _parse(text, file)
    if isinstance(document, PlanErrors):
        return document
    return _load_document(document, file, default_name, context, lambda: key_positions(text))


def _parse(text: str, file: str) -> dict[str, Any] | PlanErrors:
    import tomllib  # here, because commands are no TOML

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return PlanErrors(file, (_syntax_error(file, text, str(error)),))
    except RecursionError:
        problem = Problem((), "arrays or tables are nested too deeply", "nest fewer of them")
    except ValueError as error:  # a number of thousands of digits
        problem = Problem((), f"this is not TOML: {printable(str(error), 200)}")
    else:
        if document:
            return document
        problem = Problem((), "the file is empty", _START)
    return _errors(file, "", [problem], {})


def _syntax_error(file: str, text: str, message: str) -> PlanError:
    """Return a mistake in the TOML itself; the parser stops at the first one."""
    lines = text.replace("\r\n", "\n").split("\n")
    place = _TOML_PLACE.search(message)
    line, column = len(lines), len(lines[-1]) + 1
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    what = _KEY_TUPLE.sub(
        lambda parts: f"`{key_text(tuple(re.findall(_QUOTED, parts[0])))}`",
        message[: place.start()] if place else message,
    )
    key = lines[min(line, len(lines)) - 1].partition("=")[0].strip(" \t[]")
    twice = re.match(r"Cannot (?:declare|overwrite|mutate|define)|Duplicate", what)
    hint = "a key or table may be written only once" if twice else "see https://toml.io"
    return PlanError(
        file, line, column, printable(key), f"this is not TOML: {printable(what, 200)}", hint
    )


# ------------------------------------------------------------------ from a document to a plan


def _load_document(
    document: dict[str, Any],
    file: str,
    default_name: str,
    context: PlanContext,
    positions: Callable[[], dict[KeyPath, Position]],
) -> LoadedPlan | PlanErrors:
    # Loading the model takes longer than all the rest of a start; plans of commands do without.
    from anabranch.config.building import build_plan
    from anabranch.config.wording import model_problems

    typed, problems = model_problems(document)
    problems += reference_problems(document)
    problems += _handler_problems(document)
    problems += strategy_problems(document, context.known)
    problems += option_problems(document, context.known.options)
    problems += balancer_option_problems(document, context.known.balancer_options)
    problems += refusals(document)
    if problems or typed is None:
        name = document.get("name")
        shown = printable(name) if isinstance(name, str) else default_name
        return _errors(file, shown, problems, positions())
    plan = build_plan(typed, default_name, context)
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


def _errors(
    file: str, name: str, problems: Sequence[Problem], positions: dict[KeyPath, Position]
) -> PlanErrors:
    errors: dict[PlanError, None] = {}
    for path, message, hint in problems:
        line, column = locate(positions, path)
        errors[PlanError(file, line, column, key_text(path), message, hint)] = None
    ordered = sorted(errors, key=lambda error: (error.line, error.column))
    return PlanErrors(file, tuple(ordered), name)


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
