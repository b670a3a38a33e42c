"""Keys that have an effect, but none with the rest of this plan: said, not passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from anabranch.config.problems import KeyPath, PlanWarning, key_text
from anabranch.core.plans.plan import Plan

if TYPE_CHECKING:  # a plan of commands is made without the model
    from anabranch.config.model import PlanFile
    from anabranch.config.stream_tables import StreamTable


def idle_keys(plan: Plan, file: PlanFile, machine: Mapping[str, float]) -> list[PlanWarning]:
    """Return everything the user wrote that other keys leave without effect.

    ``machine`` is how much there is of what; nothing if that is not known.
    """
    return [
        _warning(path, why)
        for path, why in (
            *_with_shared_files(file),
            *_without_items(file),
            *_without_a_time(file),
            *_in_the_users_folder(file),
            *_without_heartbeats(file),
            *_without_checkpoints(plan, file),
            *_without_verify(file),
            *_without_capacity(plan, machine),
            *_without_ages(file),
        )
    ]


_OF_HANDLERS = {
    "max_parallel",
    "max_failures",
    "handler_timeout",
    "handler_workspace",
    "inputs",
}


def _without_items(file: PlanFile) -> Iterator[tuple[KeyPath, str]]:
    for name, table in _tables(file):
        if table.each is None:
            for key in sorted(table.model_fields_set & _OF_HANDLERS):
                yield ("streams", name, key), "it has no `each`, and so no handlers"


def _without_a_time(file: PlanFile) -> Iterator[tuple[KeyPath, str]]:
    for name, table in _tables(file):
        if table.at is None:
            for key in sorted(table.model_fields_set & {"zone", "catch_up"}):
                yield ("streams", name, key), "it has no `at`, and waits for no time of day"


def _without_ages(file: PlanFile) -> Iterator[tuple[KeyPath, str]]:
    keep = file.coordination.keep_runs
    if keep.model_fields_set == {"at_least"}:
        why = "no run goes by itself; write for how long one is kept, as `converged`"
        yield ("coordination", "keep_runs", "at_least"), why


def _with_shared_files(file: PlanFile) -> Iterator[tuple[KeyPath, str]]:
    if file.coordination.isolation.file_access != "shared":
        return
    for name, table in _tables(file):
        if table.writes:
            why = '`file_access = "shared"` holds nobody to it; write "exclusive_write"'
            yield ("streams", name, "writes"), why


def _in_the_users_folder(file: PlanFile) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is idle where all work in one folder: nobody knows there who wrote what.

    Where that would let something count that was not checked (`verify`), it is an error instead.
    """
    coordination = file.coordination
    isolation = coordination.isolation
    shared = {name for name, table in _tables(file) if table.workspace == "shared"}
    if isolation.workspace == "shared":
        shared = set(file.streams) - {
            name for name, table in _tables(file) if table.workspace not in (None, "shared")
        }
    for name, table in _tables(file):
        for key in table.model_fields_set & {"writes", "sync", "paths"} if name in shared else ():
            yield ("streams", name, key), 'with `workspace = "shared"` it works in your own folder'
    if shared != file.streams.keys():
        return
    why = 'with `workspace = "shared"` every stream works in your own folder'
    for key in isolation.model_fields_set & {"include_uncommitted", "include", "file_access"}:
        yield ("coordination", "isolation", key), why
    if coordination.tell_conflicts:
        yield ("coordination", "tell_conflicts"), why
    for name, point in file.convergence.items():
        for key in point.model_fields_set & {"resolver", "on_conflict"}:
            yield ("convergence", name, key), why


def _without_heartbeats(file: PlanFile) -> Iterator[tuple[KeyPath, str]]:
    if "heartbeat" in file.coordination.protocols:
        return
    why = "`protocols` leaves `heartbeat` out, so nobody's silence is judged"
    if file.coordination.heartbeat.model_fields_set:
        yield ("coordination", "heartbeat"), why
    for name, table in _tables(file):
        if table.heartbeat.model_fields_set:
            yield ("streams", name, "heartbeat"), why
        if table.ask is not None:
            yield ("streams", name, "ask"), why


def _without_checkpoints(plan: Plan, file: PlanFile) -> Iterator[tuple[KeyPath, str]]:
    taking = {point.id for point in plan.points if point.takes_checkpoints}
    if not taking and "checkpoint_interval" in file.coordination.model_fields_set:
        why = "no convergence point is of a type that takes checkpoints"
        yield ("coordination", "checkpoint_interval"), why
    for stream in plan.streams:
        if stream.sync and not taking.intersection(stream.points):
            why = "none of its convergence points is of a type that takes checkpoints"
            yield ("streams", stream.id, "sync"), why


def _without_verify(file: PlanFile) -> Iterator[tuple[KeyPath, str]]:
    for name, point in file.convergence.items():
        for key in ("on_failure", "verify_retries"):
            if key in point.model_fields_set and point.verify is None:
                yield ("convergence", name, key), "the point has no `verify` that could fail"


def _without_capacity(plan: Plan, machine: Mapping[str, float]) -> Iterator[tuple[KeyPath, str]]:
    known = {*machine, *plan.resources}
    for stream in plan.streams if machine else ():
        for name in stream.resources.keys() - known:
            why = "nobody says how much of it there is; write that under [coordination.resources]"
            yield ("streams", stream.id, "resources", name), why


def _tables(file: PlanFile) -> Iterator[tuple[str, StreamTable]]:
    for name, entry in file.streams.items():
        if not isinstance(entry, str):
            yield name, entry


def _warning(path: KeyPath, why: str) -> PlanWarning:
    stream = str(path[1]) if path[0] == "streams" else None
    text = f"`{key_text(path)}` has no effect in this plan: {why}"
    return PlanWarning("no-effect-here", text, stream, path)
