"""A plan as a plan file says it: what building does, the other way round.

What is as it is by default is not written, and what was made of a template is written in full. What
no plan file can say is told beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import takewhile
from signal import Signals
from typing import Any

from anabranch.config.races import RACE, racers
from anabranch.core.ids import FINAL_POINT
from anabranch.core.plans.plan import (
    USUAL_RETRIES,
    AskPlan,
    Dependency,
    FanPlan,
    Plan,
    PointPlan,
    ReadyPlan,
    SideCommand,
    StreamPlan,
    WorkspaceKind,
    WorkspaceMethod,
)

Table = dict[str, Any]
_SAME_IN_STREAMS = (
    *("env", "working_dir", "priority", "optional", "sync", "tty", "catch_up", "zone", "at"),
    *("resources", "limits", "capabilities", "writes", "paths", "success_exit_codes", "executor"),
    *("review", "hand_back", "ports", "kind", "restart"),
)
_SAME_IN_POINTS = (
    "resolver",
    "verify",
    "verify_retries",
    "on_failure",
    "on_conflict",
    "options",
    "review",
)
_BARE = StreamPlan("", (), "")  # type: ignore[arg-type]  # the defaults
_BARE_POINT = PointPlan(FINAL_POINT)
_BARE_PLAN = Plan("", (), (), max_parallel=1)


def plan_document(plan: Plan) -> Table:
    """Return a plan as the content of a plan file, ready to be written as TOML."""
    points: Table = {p.id: _point(plan, p) for p in plan.points}
    return {
        "version": 1,
        "name": plan.name,
        **_without_empty({"coordination": _coordination(plan)}),
        "streams": _streams(plan),
        **_without_empty({"convergence": _without_empty(points)}),
    }


def not_carried(plan: Plan) -> Iterator[str]:
    """Yield what of a plan no plan file can say, in words."""
    for stream in plan.streams:
        if stream.outline:
            yield f"{stream.id} is made of a template, which a review fills anew: {stream.template}"
        if stream.fan is not None and "kept" in stream.fan.source:
            yield f"{stream.id} had its items on stdin"
    for race, (first, *others) in _races(plan).items():
        for other in others:
            if _stream(plan, other) != _stream(plan, first):
                yield f"{other.id} says something else than {first.id}; {race} is that one's race"
    if plan.is_open:
        yield "the run is open; one of this plan ends when its streams are over"


# ------------------------------------------------------------------ the plan as a whole


def _coordination(plan: Plan) -> Table:
    bare, shared = _BARE_PLAN, plan.shared_state
    beats = {"interval": plan.heartbeat_interval_seconds, "timeout": plan.heartbeat_timeout_seconds}
    recovery = {
        "fallback": _unless(plan.fallback, bare.fallback) or _unless(plan.recovery, bare.recovery),
        "soft_grace": _unless(plan.soft_grace_seconds, bare.soft_grace_seconds),
        "timeout": _unless(plan.recovery_timeout_seconds, bare.recovery_timeout_seconds),
        "permanent_failures": list(plan.permanent_failures),
        "transient_failures": list(plan.transient_failures),
    }
    setups = (plan.setup, *(stream.setup for stream in plan.streams))
    isolation = {
        "workspace": _unless(_usual_workspace(plan), "isolated"),
        "method": _unless(_usual_method(plan), "auto"),
        "file_access": _unless(plan.file_access, bare.file_access),
        "include_uncommitted": plan.include_uncommitted,
        "include": list(plan.include),
        "sensitive": list(plan.sensitive),
        "max_disk": plan.max_disk_bytes,
        "setup": _side(plan.setup),
        "setup_inputs": next((list(s.inputs) for s in setups if s is not None and s.inputs), []),
        "setup_timeout": _unless(plan.setup_timeout_seconds, bare.setup_timeout_seconds),
        "teardown": _side(plan.teardown),
    }
    state = {
        "type": _unless(shared.type, "immutable"),
        "sync_interval": _unless(shared.sync_interval_seconds, 300.0),
        "keep_versions": shared.versions_kept,
    }
    keep = {
        "converged": plan.keep_runs.converged_seconds,
        "failed": plan.keep_runs.failed_seconds,
        "stopped": plan.keep_runs.stopped_seconds,
        "at_least": _unless(plan.keep_runs.at_least, bare.keep_runs.at_least),
    }
    intervals = {p.interval_seconds for p in plan.points} - {_BARE_POINT.interval_seconds}
    return _said(
        max_parallel=None if plan.is_adaptive else plan.max_parallel,
        checkpoint_interval=next(iter(intervals), None),
        balancer=_unless(plan.balancer, bare.balancer),
        balancer_options=plan.balancer_options,
        protocols=list(_unless(plan.protocols, bare.protocols) or ()),
        jobserver=plan.has_jobserver,
        fusion=_unless(plan.fuses, True),
        speculation=plan.has_speculation,
        tell_conflicts=plan.tell_conflicts,
        keep_runs=_without_empty(keep),
        isolation=_without_empty(isolation),
        state_management=_without_empty(state),
        heartbeat=_without_empty(_heartbeat(beats, {"interval": 60.0, "timeout": 600.0})),
        recovery=_without_empty(recovery),
        resources=_without_empty(
            {**plan.resources, "on_excess": _unless(plan.on_excess, bare.on_excess)}
        ),
    )


def _heartbeat(beats: Mapping[str, float], usual: Mapping[str, float]) -> Table:
    return {name: _unless(value, usual[name]) for name, value in beats.items()}


def _point(plan: Plan, point: PointPlan) -> Table:
    same = {
        name: _unless(getattr(point, name), getattr(_BARE_POINT, name)) for name in _SAME_IN_POINTS
    }
    races = _races(plan)
    race_of = {racer.id: name for name, racing in races.items() for racer in racing}
    members = [race_of.get(s.id, s.id) for s in plan.streams if point.id in s.also_at]
    own = {
        "type": _unless(point.type, RACE if point.id in races else _BARE_POINT.type),
        "timeout": point.timeout_seconds,
        "streams": list(dict.fromkeys(members)),
    }
    return _without_empty(own | same)


def _usual_method(plan: Plan) -> WorkspaceMethod:
    methods = Counter(stream.method for stream in plan.streams)
    return methods.most_common(1)[0][0] if methods else "auto"


def _side(command: SideCommand | None) -> Any:
    """Return a setup or teardown as it is written; None if there is none."""
    if command is None:
        return None
    is_text = command.argv == ("/bin/sh", "-c", command.text)
    return command.text if is_text else list(command.argv)


def _usual_workspace(plan: Plan) -> WorkspaceKind:
    kinds = Counter(stream.workspace for stream in plan.streams)
    return kinds.most_common(1)[0][0] if kinds else "isolated"


# ------------------------------------------------------------------ a stream


def _streams(plan: Plan) -> Table:
    """Return the streams in their order: TOML has what is a command alone before all tables."""
    races = _races(plan)
    tables: Table = {}
    for stream in plan.streams:
        race = next((name for name, racing in races.items() if stream in racing), None)
        if race is None:
            tables[stream.id] = _stream(plan, stream)
        elif race not in tables:
            tables[race] = {**_stream(plan, stream), "race": len(races[race])}
    alone = takewhile(lambda name: _is_command_alone(tables[name]), tables)
    return tables | {name: tables[name]["command"] for name in alone}


def _races(plan: Plan) -> dict[str, tuple[StreamPlan, ...]]:
    """Return the races of a plan: by name, with the streams that a plan file says in one table."""
    streams = {stream.id: stream for stream in plan.streams}
    return {
        point.id: tuple(streams[s] for s in point.streams)
        for point in plan.points
        if point.adopts_one and point.streams == racers(point.id, len(point.streams))
    }


def _is_command_alone(table: Table) -> bool:
    return table.keys() == {"command"} and isinstance(table["command"], str)


def _stream(plan: Plan, stream: StreamPlan) -> Table:
    race = next((p for p in plan.points if p.id in stream.points and p.adopts_one), None)
    is_racer = race is not None and stream.id in racers(race.id, len(race.streams))
    table = {**_work(stream), **_meeting(stream, is_racer), **_conditions(plan, stream)}
    if race is not None and not race.is_optional:
        table["optional"] = False  # of one of several no failure counts
    return _without_empty(table)


def _work(stream: StreamPlan) -> Table:
    same = {name: _unless(getattr(stream, name), getattr(_BARE, name)) for name in _SAME_IN_STREAMS}
    command: Any = list(stream.command)
    if stream.command == ("/bin/sh", "-c", stream.command_text):
        command = stream.command_text
    fan = _fan(stream.fan) if stream.fan else {}
    if stream.fan and stream.fan.command is not None:
        command = (
            stream.fan.command if isinstance(stream.fan.command, str) else list(stream.fan.command)
        )
    return {
        "command": None if stream.fan and stream.fan.command is None else command,
        **{name: _plain(value) for name, value in same.items()},
        "env_file": list(stream.env_files),
        "timeout": stream.timeout_seconds,
        "repeatable": stream.is_repeatable,
        "ask": _ask(stream.ask),
        "ready": _ready(stream.ready),
        **fan,
    }


def _meeting(stream: StreamPlan, is_racer: bool) -> Table:
    """Return whom a stream waits for and where it meets others; who races does so anyway."""
    return {
        "depends_on": _dependencies(stream.depends_on),
        "converge": None if is_racer else _unless(stream.converge, FINAL_POINT),
    }


def _conditions(plan: Plan, stream: StreamPlan) -> Table:
    beats = {
        "interval": stream.heartbeat_interval_seconds,
        "timeout": stream.heartbeat_timeout_seconds,
    }
    usual = {
        "interval": plan.heartbeat_interval_seconds,
        "timeout": plan.heartbeat_timeout_seconds,
    }
    rate = stream.rate
    return {
        "setup": _own_side(plan, stream, "setup"),
        "teardown": _own_side(plan, stream, "teardown"),
        "workspace": _unless(stream.workspace, _usual_workspace(plan)),
        "retries": None if stream.max_retries == USUAL_RETRIES else stream.max_retries,
        "heartbeat": _without_empty(_heartbeat(beats, usual)),
        "after": _unless(stream.after_seconds, 0.0),
        "spread": _unless(stream.spread_seconds, 0.0),
        "rate": {"at_most": rate.at_most, "per": rate.per_seconds} if rate else None,
    }


def _own_side(plan: Plan, stream: StreamPlan, key: str) -> Any:
    """Return a stream's own setup or teardown; ``False`` if it has none of those for all."""
    usual = None if stream.workspace == "shared" else getattr(plan, key)
    own = getattr(stream, key)
    return None if own == usual else False if own is None else _side(own)


def _fan(fan: FanPlan) -> Table:
    share = fan.most_failed_share
    items = fan.source.get("items")
    return {
        "each": items if items is not None else dict(fan.source),
        "max_parallel": fan.max_parallel,
        "max_failures": fan.most_failures if share is None else f"{share * 100:g}%",
        "handler_timeout": fan.timeout_seconds,
        "inputs": list(fan.inputs),
        "handler_workspace": _unless(fan.workspace, "stream"),
    }


def _ready(ready: ReadyPlan | None) -> Table:
    if ready is None:
        return {}
    port = int(ready.port) if ready.port.isdecimal() else ready.port
    ways = {"log": ready.log, "command": ready.command, "port": port, "http": ready.http}
    usual, looks = ReadyPlan(), {}
    if not ready.log:
        looks["interval"] = _unless(ready.interval_seconds, usual.interval_seconds)
        looks["failures"] = _unless(ready.failures, usual.failures)
    return _without_empty({**ways, "timeout": ready.timeout_seconds, **looks})


def _ask(ask: AskPlan) -> Table:
    signal = Signals(ask.signal).name if ask.signal else None
    return _without_empty({"signal": signal, "line": ask.line, "command": ask.command})


def _dependencies(needs: tuple[Dependency, ...]) -> Any:
    """Return names where all must succeed, else a table of conditions."""
    if all(d.condition == "succeeded" or d.capability or _is_on_race(d) for d in needs):
        return [
            d.stream or d.point or {"capability": d.capability, "condition": d.condition}
            for d in needs
        ]
    return {
        d.stream or d.point or f"any {d.capability}": _without_empty(
            {"condition": d.condition, "capability": d.capability}
        )
        for d in needs
    }


def _is_on_race(needed: Dependency) -> bool:
    return bool(needed.point) and needed.condition == "converged"


# ------------------------------------------------------------------ what is left unsaid


def _unless(value: Any, usual: Any) -> Any:
    return None if value == usual else value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _said(**keys: Any) -> Table:
    """Return a table of what says something."""
    return _without_empty(keys)


def _without_empty(table: Mapping[str, Any]) -> Table:
    """Leave out what says nothing; a number, and a No that is not usual, do say something."""
    empty: tuple[Any, ...] = (None, "", [], {}, ())
    return {
        name: value
        for name, value in table.items()
        if not any(value is one or (type(value) is type(one) and value == one) for one in empty)
        and not (value is False and name not in _TRUE_BY_DEFAULT)
    }


_TRUE_BY_DEFAULT = frozenset({"fusion", "setup", "teardown"})
