"""Turns the checked plan file into the plan that the core runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from anabranch.config.context import PlanContext
from anabranch.config.model import PlanFile, PointTable
from anabranch.config.outline_tables import AskTable
from anabranch.config.races import on_a_race, races_of, with_adoption
from anabranch.config.setups import setups_for_all, setups_of
from anabranch.config.strategy_names import StrategyNames
from anabranch.config.stream_tables import OWN_COMMANDS, EachTable, ReadyTable, StreamTable
from anabranch.config.values import signal_number
from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.plans.plan import (
    AskPlan,
    Dependency,
    FanPlan,
    KeepRuns,
    Plan,
    PointPlan,
    RatePlan,
    ReadyPlan,
    SharedStatePlan,
    StreamPlan,
)
from anabranch.core.plans.providers import with_providers


def build_plan(file: PlanFile, default_name: str, context: PlanContext) -> Plan:
    """Fill every default in. The file must have passed all checks."""
    coordination, name = file.coordination, file.name or default_name
    width, fallback = coordination.max_parallel, coordination.recovery.fallback
    max_parallel = max(context.auto_parallel, 1) if width == "auto" else width
    streams = tuple(context.with_estimates(name, _streams(file), max_parallel))
    streams, points = with_adoption(streams, _points(file, streams, context.known), context.known)
    is_chosen = "fallback" in coordination.recovery.model_fields_set
    return Plan(
        name=name,
        streams=streams,
        points=points,
        max_parallel=max_parallel,
        is_adaptive=width == "auto",
        balancer=coordination.balancer,
        balancer_options=dict(coordination.balancer_options),
        protocols=tuple(coordination.protocols),
        recovery=fallback if is_chosen and fallback in context.known.names["recovery"] else "retry",
        fallback=fallback if fallback in context.known.names["remedies"] else "sequential",
        soft_grace_seconds=float(coordination.recovery.soft_grace),
        recovery_timeout_seconds=float(coordination.recovery.timeout),
        permanent_failures=tuple(coordination.recovery.permanent_failures),
        transient_failures=tuple(coordination.recovery.transient_failures),
        include_uncommitted=coordination.isolation.include_uncommitted,
        include=tuple(coordination.isolation.include),
        sensitive=tuple(coordination.isolation.sensitive),
        max_disk_bytes=coordination.isolation.max_disk,
        keep_runs=_keep_runs(file),
        file_access=coordination.isolation.file_access,
        resources=dict(coordination.resources.__pydantic_extra__ or {}),
        on_excess=coordination.resources.on_excess,
        heartbeat_interval_seconds=float(coordination.heartbeat.interval),
        heartbeat_timeout_seconds=float(coordination.heartbeat.timeout),
        tell_conflicts=coordination.tell_conflicts,
        has_jobserver=coordination.jobserver,
        fuses=coordination.fusion,
        slowdown=context.slowdown(name, streams),
        has_speculation=coordination.speculation,
        shared_state=_shared_state(file),
        **setups_for_all(coordination.isolation),
    )


def _keep_runs(file: PlanFile) -> KeepRuns:
    table = file.coordination.keep_runs
    return KeepRuns(table.converged, table.failed, table.stopped, table.at_least)


def _shared_state(file: PlanFile) -> SharedStatePlan:
    table = file.coordination.state_management
    return SharedStatePlan(table.type, float(table.sync_interval), table.keep_versions)


def _streams(file: PlanFile) -> tuple[StreamPlan, ...]:
    points_of: dict[StreamId, list[PointId]] = {}
    for name, point in file.convergence.items():
        for stream in point.streams:
            points_of.setdefault(StreamId(stream), []).append(PointId(name))
    races = races_of(file)
    return with_providers(
        [
            _stream(file, stream, _as_table(entry), own, races)
            for name, entry in file.streams.items()
            for own in [points_of.get(StreamId(name), ())]
            for stream in races.get(name, (StreamId(name),))
        ]
    )


def _as_table(entry: str | StreamTable) -> StreamTable:
    return entry if isinstance(entry, StreamTable) else StreamTable(command=entry)


def _stream(
    file: PlanFile,
    name: StreamId,
    table: StreamTable,
    members_of: Sequence[PointId],
    races: Mapping[str, tuple[StreamId, ...]],
) -> StreamPlan:
    defaults = file.coordination
    command, text = _command(table.command)
    heartbeat = table.heartbeat
    own = [PointId(name.rpartition(".")[0])] if table.race else []
    is_at_final = bool(table.race) and table.converge == FINAL_POINT  # it comes there anyway
    own += [PointId(table.converge)] if table.converge and not is_at_final else []
    points = tuple(dict.fromkeys([*own, *members_of])) or (FINAL_POINT,)
    return StreamPlan(
        id=name,
        command=command,
        command_text=text,
        depends_on=tuple(on_a_race(d, races) for d in _dependencies(table)),
        env=dict(table.env),
        env_files=(table.env_file,) if isinstance(table.env_file, str) else tuple(table.env_file),
        working_dir=table.working_dir,
        priority=table.priority,
        optional=table.optional,
        timeout_seconds=table.timeout,
        max_retries=_retries(file, table),
        success_exit_codes=tuple(table.success_exit_codes),
        heartbeat_interval_seconds=heartbeat.interval or float(defaults.heartbeat.interval),
        heartbeat_timeout_seconds=heartbeat.timeout or float(defaults.heartbeat.timeout),
        converge=points[0],
        also_at=points[1:],
        sync=table.sync,
        tty=table.tty,
        ask=_ask(table.ask),
        after_seconds=float(table.after),
        at=table.at or "",
        zone=table.zone or "",
        catch_up=table.catch_up,
        spread_seconds=float(table.spread),
        rate=RatePlan(table.rate.at_most, float(table.rate.per)) if table.rate else None,
        workspace=table.workspace or defaults.isolation.workspace,
        method=defaults.isolation.method,
        capabilities=tuple(table.capabilities),
        resources=dict(table.resources),
        limits=table.limits.model_dump(exclude_none=True),
        ports=tuple(table.ports),
        writes=tuple(table.writes),
        paths=tuple(table.paths),
        executor=table.executor or "",
        fan=_fan(table),
        is_repeatable=table.repeatable,
        template=table.template or "",
        prompt=table.prompt or "",
        hand_back=table.hand_back,
        review=table.review,
        **setups_of(defaults.isolation, table, table.workspace or defaults.isolation.workspace),
        kind=table.kind,
        ready=_ready(table.ready),
        restart=table.restart,
    )


def _retries(file: PlanFile, table: StreamTable) -> int:
    if table.kind == "service" and table.restart == "never":
        return 0
    return file.coordination.recovery.max_retries if table.retries is None else table.retries


def _ready(table: ReadyTable | None) -> ReadyPlan | None:
    if table is None:
        return None
    return ReadyPlan(
        log=table.log or "",
        command=table.command or "",
        port=str(table.port or ""),
        http=table.http or "",
        timeout_seconds=float(table.timeout),
        interval_seconds=float(table.interval),
        failures=table.failures,
    )


def _fan(table: StreamTable) -> FanPlan | None:
    each = table.each
    if each is None:
        return None
    command = table.command if isinstance(table.command, str) else tuple(table.command)
    is_graph = isinstance(each, EachTable) and each.graph is not None
    most = table.max_failures
    return FanPlan(
        source={"items": each} if isinstance(each, list) else _source(each),
        command=None if is_graph and command == OWN_COMMANDS else command,
        max_parallel=table.max_parallel,
        most_failures=most if isinstance(most, int) else None,
        most_failed_share=float(most.rstrip("%")) / 100 if isinstance(most, str) else None,
        timeout_seconds=table.handler_timeout,
        inputs=tuple(table.inputs),
        workspace=table.handler_workspace,
    )


def _source(each: EachTable) -> dict[str, Any]:
    written = {key: getattr(each, key) for key in ("glob", "lines_of", "matrix", "graph")}
    source = {key: value for key, value in written.items() if value is not None}
    return source | ({"exclude": each.exclude} if each.exclude else {})


def _ask(table: AskTable | None) -> AskPlan:
    if table is None:
        return AskPlan()
    number = signal_number(table.signal) if table.signal else None
    return AskPlan(number or 0, table.line or "", table.command or "")


def _command(command: str | list[str]) -> tuple[tuple[str, ...], str]:
    if isinstance(command, str):
        return ("/bin/sh", "-c", command), command
    return tuple(command), shlex.join(command)


def _dependencies(table: StreamTable) -> tuple[Dependency, ...]:
    needs = table.depends_on if table.dependencies is None else table.dependencies
    if isinstance(needs, list):
        return tuple(
            Dependency(StreamId(item))
            if isinstance(item, str)
            else Dependency(condition=item.condition, capability=item.capability)
            for item in needs
        )
    return tuple(
        Dependency(StreamId(name), dependency.condition)
        if dependency.capability is None
        else Dependency(condition=dependency.condition, capability=dependency.capability)
        for name, dependency in needs.items()
    )


def _points(
    file: PlanFile, streams: tuple[StreamPlan, ...], known: StrategyNames
) -> tuple[PointPlan, ...]:
    members: dict[PointId, list[StreamId]] = {}
    for stream in streams:
        for point in stream.points:
            members.setdefault(point, []).append(stream.id)
    default = file.coordination.convergence_type
    named = {PointId(name): table for name, table in file.convergence.items()}
    final = named.pop(FINAL_POINT, PointTable())
    return tuple(
        PointPlan(
            id=name,
            type=table.type or default,
            streams=tuple(members.get(name, ())),
            on_conflict=table.on_conflict,
            resolver=table.resolver or "",
            verify=table.verify or "",
            verify_retries=table.verify_retries,
            on_failure=table.on_failure,
            review=table.review,
            timeout_seconds=table.timeout,
            options=dict(table.options),
            interval_seconds=float(file.coordination.checkpoint_interval),
            merges_early=known.able(table.type or default).merges_early,
            takes_checkpoints=known.able(table.type or default).takes_checkpoints,
        )
        for name, table in {**named, FINAL_POINT: final}.items()
    )
