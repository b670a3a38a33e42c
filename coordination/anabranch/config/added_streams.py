"""Plans that grow by hand: an open run's first plan, and one more stream of any.

What a plan file would say by default is said here by the plan that goes on already.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

import msgspec
from msgspec.structs import replace

from anabranch.config.command_plans import stream_names
from anabranch.config.context import PlanContext
from anabranch.config.reading import PlanErrors
from anabranch.config.templates import Template, named
from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.plans.plan import (
    USUAL_RETRIES,
    Dependency,
    Plan,
    PointPlan,
    StreamPlan,
    WorkspaceKind,
    WorkspaceMethod,
)
from anabranch.errors import UsageError

OPEN_TYPE = "progressive"
"""Streams of an open run are merged as they are done."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says of a stream to be added.

    ``command`` is one text for the shell, or the words of a command that is run as it is. With a
    ``template`` it is that one's, with ``values`` in its blanks. Without a ``name`` it is called
    after its command, or its template; without a ``point`` it meets the others at the end. ``keys``
    are further ones as a plan file has them: of a service, say.
    """

    command: str | tuple[str, ...] = ""
    template: str = ""
    values: dict[str, str] = {}
    name: str = ""
    after: tuple[str, ...] = ()
    point: str = ""
    workspace: WorkspaceKind | None = None
    tty: bool = False
    review: bool = False
    keys: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The command as a person reads it."""
        return self.command if isinstance(self.command, str) else shlex.join(self.command)


def open_plan(name: str, context: PlanContext) -> Plan:
    """Return the plan of an open run, in which there is no stream yet."""
    able = context.known.able(OPEN_TYPE)
    final = PointPlan(
        FINAL_POINT,
        type=OPEN_TYPE,
        merges_early=able.merges_early,
        takes_checkpoints=able.takes_checkpoints,
    )
    width = max(context.auto_parallel, 1)
    return Plan(name, (), (final,), max_parallel=width, is_adaptive=True, is_open=True)


def added_stream(
    plan: Plan, wanted: Wanted, context: PlanContext, templates: Mapping[str, Template] = {}
) -> StreamPlan:
    """Return a stream as a plan that goes on would have it.

    Its failure does not fail an open run: whoever added it is there, and sees it.

    Args:
        plan: the plan that goes on.
        wanted: what a person said.
        context: what a plan depends on besides.
        templates: those that there are, by name.

    Raises:
        UsageError: there is no such template, a blank of it has no value, or a key is wrong.
    """
    outline = _of_template(wanted, templates) if wanted.template else _of_command(plan, wanted)
    template = templates.get(wanted.template)
    workspace = wanted.workspace or (template.workspace if template else None)
    stream = replace(
        outline,
        id=StreamId(wanted.name or proposed_name(plan, wanted.template or outline.command_text)),
        depends_on=tuple(_on(plan, name) for name in wanted.after),
        converge=PointId(wanted.point) if wanted.point else FINAL_POINT,
        workspace=workspace or _usual_workspace(plan.streams),
        method=_usual_method(plan.streams),
        tty=wanted.tty or outline.tty,
        review=wanted.review or outline.review,
        optional=plan.is_open or outline.optional,
        **_setups_for_all(plan, outline, workspace or _usual_workspace(plan.streams)),
    )
    (estimated,) = context.with_estimates(plan.name, [stream], plan.max_parallel)
    return estimated


def _on(plan: Plan, name: str) -> Dependency:
    """Return what it means to come after a stream, or after the race of a name."""
    race = next((p for p in plan.points if p.id == name and p.adopts_one), None)
    if race is None or any(stream.id == name for stream in plan.streams):
        is_service = any(stream.id == name and stream.is_service for stream in plan.streams)
        return Dependency(StreamId(name), "ready" if is_service else "succeeded")
    return Dependency(condition="converged", providers=race.streams, point=race.id)


def _of_command(plan: Plan, wanted: Wanted) -> StreamPlan:
    is_text = isinstance(wanted.command, str)
    outline = _with_keys(wanted) if wanted.keys else StreamPlan(StreamId(""), (), "")
    return replace(
        outline,
        id=StreamId(wanted.name),
        command=("/bin/sh", "-c", wanted.text) if is_text else tuple(wanted.command),
        command_text=wanted.text,
        max_retries=0 if wanted.tty or outline.restart == "never" else USUAL_RETRIES,
        heartbeat_interval_seconds=plan.heartbeat_interval_seconds,
        heartbeat_timeout_seconds=plan.heartbeat_timeout_seconds,
    )


def _with_keys(wanted: Wanted) -> StreamPlan:
    """Return what the model of plan files makes of the keys, beside a job that may need it."""
    from anabranch.config.loading import plan_of_keys  # here: it takes long to load

    found = plan_of_keys({"command": wanted.text, **wanted.keys})
    if isinstance(found, PlanErrors):
        raise UsageError(found.errors[0].message, found.errors[0].hint)
    return found.plan.streams[0]


def _of_template(wanted: Wanted, templates: Mapping[str, Template]) -> StreamPlan:
    """Return what the model of plan files makes of a template with its blanks filled."""
    from anabranch.config.loading import plan_from_template  # here: it takes long to load

    if wanted.keys.get("kind") == "service":
        raise UsageError("a template makes no service", "give its command after --")
    own = {**wanted.keys, **({"command": wanted.command} if wanted.command else {})}
    name = wanted.name or wanted.template
    found = plan_from_template(named(wanted.template, templates), wanted.values, name, own=own)
    if isinstance(found, PlanErrors):
        raise UsageError(found.errors[0].message, found.errors[0].hint)
    return found.plan.streams[0]


def proposed_name(plan: Plan, command: str) -> str:
    """Return a name that no stream of a plan has, after the program that a command begins with."""
    taken = {stream.id.casefold() for stream in plan.streams}
    (name,) = stream_names([command])
    candidates = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(candidate for candidate in candidates if candidate.casefold() not in taken)


def _setups_for_all(plan: Plan, outline: StreamPlan, workspace: WorkspaceKind) -> dict[str, Any]:
    """Return what a plan sets every stream up by, where its template has nothing of its own."""
    if workspace == "shared":
        return {}
    found: dict[str, Any] = {key: getattr(plan, key) for key in ("setup", "teardown")}
    own = {key: value for key, value in found.items() if getattr(outline, key) is None}
    return {**own, "setup_timeout_seconds": plan.setup_timeout_seconds}


def _usual_method(streams: Sequence[StreamPlan]) -> WorkspaceMethod:
    methods = [stream.method for stream in streams]
    return max(set(methods), key=methods.count) if methods else "auto"


def _usual_workspace(streams: Sequence[StreamPlan]) -> WorkspaceKind:
    kinds = [stream.workspace for stream in streams]
    return max(set(kinds), key=kinds.count) if kinds else "isolated"
