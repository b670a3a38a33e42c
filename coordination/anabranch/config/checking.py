"""What ``anabranch check`` says about a plan: as JSON for programs, as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from anabranch.config.loading import LoadedPlan
from anabranch.config.options import filled_in
from anabranch.config.problems import PlanError, PlanWarning, printable
from anabranch.config.reading import PlanErrors
from anabranch.core.plans.graph import critical_path, estimated_seconds, slack, waves
from anabranch.core.plans.plan import Plan, PointPlan, StreamPlan
from anabranch.core.views.included import included_data, included_in_words
from anabranch.core.wording import counted, duration, listing

SCHEMA = 1
_MOST_SLACKS = 20


def check_report(loaded: LoadedPlan | PlanErrors) -> dict[str, Any]:
    """Return what ``check --json`` answers; with errors there are no streams, waves or estimate."""
    if isinstance(loaded, PlanErrors):
        return {
            "schema": SCHEMA,
            "name": loaded.name,
            "streams": [],
            "waves": [],
            "critical_path": [],
            "estimated_seconds": 0.0,
            "estimates": [],
            "points": [],
            "included": None,
            "handlers": [],
            "templates": [],
            "setups": [],
            "warnings": [],
            "runnable": False,
            "errors": [_error(error) for error in loaded.errors],
        }
    from anabranch.config.fans import fans_of  # here, as a run looks at its plan, and tells nothing

    plan = loaded.plan
    return {
        "schema": SCHEMA,
        "name": plan.name,
        "streams": [stream.id for stream in plan.streams],
        "waves": waves(plan),
        "critical_path": critical_path(plan)[0],
        "estimated_seconds": round(estimated_seconds(plan, plan.max_parallel), 3),
        "estimates": [_estimate(stream) for stream in plan.streams],
        "points": [_point(loaded, point) for point in plan.points],
        "included": included_data(loaded.included),
        "balancer": _balancer(loaded),
        "handlers": msgspec.to_builtins(fans_of(plan, loaded.folder)),
        "templates": [_made_of(stream) for stream in plan.streams if stream.template],
        "setups": [_set_up(stream) for stream in plan.streams if stream.setup or stream.teardown],
        "warnings": [_warning(warning) for warning in loaded.warnings],
        "errors": [],
        "runnable": not loaded.impossible,
    }


def check_text(loaded: LoadedPlan | PlanErrors) -> str:
    """Return the same for people, in plain text that ends with a newline."""
    lines = _error_lines(loaded) if isinstance(loaded, PlanErrors) else _plan_lines(loaded)
    return "\n".join(lines) + "\n"


def _estimate(stream: StreamPlan) -> dict[str, Any]:
    return {
        "stream": stream.id,
        "seconds": round(stream.estimate_seconds, 3),
        "basis": stream.estimate_basis,
        "runs": stream.estimate_runs,
        "p50_seconds": stream.usual_seconds,
        "p95_seconds": stream.long_seconds,
    }


def _made_of(stream: StreamPlan) -> dict[str, Any]:
    """Return what a template has become: it is looked at before it is run."""
    return {
        "stream": stream.id,
        "template": stream.template,
        "command": stream.command_text,
    }


def _set_up(stream: StreamPlan) -> dict[str, Any]:
    """Return what makes a stream's workspace ready, and what leaves it in good order."""
    return {
        "stream": stream.id,
        "setup": stream.setup.text if stream.setup else None,
        "timeout_seconds": stream.setup_timeout_seconds if stream.setup else None,
        "teardown": stream.teardown.text if stream.teardown else None,
    }


def _setup_lines(plan: Plan) -> Iterator[str]:
    """Yield each setup and teardown once, with whose workspaces it is run in."""
    whose: dict[tuple[str, str], list[str]] = {}
    for stream in plan.streams:
        for key, side in (("setup", stream.setup), ("teardown", stream.teardown)):
            if side is not None:
                whose.setdefault((key, side.text), []).append(stream.id)
    for (key, text), streams in whose.items():
        names = "all" if len(streams) == len(plan.streams) else listing(streams, 4)
        yield f"  {key} of {names}: {printable(text, 120)}"


def _unlearned(plan: Plan) -> str:
    """Return how much of an estimate nobody has seen yet, empty if all was learned."""
    count = len(plan.streams)
    guessed = sum(stream.estimate_basis == "guessed" for stream in plan.streams)
    if guessed == count:
        return " (guessed: nothing of it has run here yet)"
    unlearned = sum(stream.estimate_basis != "learned" for stream in plan.streams)
    return f" (guessed for {unlearned} of {count} streams)" if unlearned else ""


def _point(loaded: LoadedPlan, point: PointPlan) -> dict[str, Any]:
    options = filled_in(point.options, point.type, loaded.known.options)
    return {"point": point.id, "type": point.type, "options": options}


def _balancer(loaded: LoadedPlan) -> dict[str, Any]:
    plan = loaded.plan
    options = filled_in(plan.balancer_options, plan.balancer, loaded.known.balancer_options)
    return {"balancer": plan.balancer, "options": options}


def _error(error: PlanError) -> dict[str, Any]:
    return {
        "file": error.file,
        "line": error.line,
        "column": error.column,
        "key": error.key,
        "message": error.message,
        "hint": error.hint,
    }


def _warning(warning: PlanWarning) -> dict[str, Any]:
    shown = {"code": warning.code, "message": warning.message}
    return shown if warning.stream is None else {**shown, "stream": warning.stream}


def _error_lines(failed: PlanErrors) -> Iterator[str]:
    for error in failed.errors:
        key = f"{error.key}: " if error.key else ""
        yield f"{error.file}:{error.line}:{error.column}: {key}{error.message}"
        if error.hint:
            yield f"    hint: {error.hint}"
    yield counted(len(failed.errors), "error")


def _plan_lines(loaded: LoadedPlan) -> Iterator[str]:
    from anabranch.config.fans import fan_lines

    plan = loaded.plan
    path, length = critical_path(plan)
    estimate = estimated_seconds(plan, plan.max_parallel)
    count = counted(len(plan.streams), "stream")
    at_most = f"{plan.max_parallel} at a time"
    width = (
        f"{at_most}, then as many as the machine bears"
        if plan.is_adaptive
        else f"at most {at_most}"
    )
    yield f"{plan.name}: {count}, {width}"
    yield ""
    yield "Waves"
    yield from _wave_lines(plan)
    yield ""
    yield f"Critical path, {duration(length)}: {' -> '.join(path)}"
    yield from _slack_lines(plan)
    yield f"Estimated time: {duration(estimate)}{_unlearned(plan)}"
    fans = list(fan_lines(plan, loaded.folder))
    if fans:
        yield from ("", "Handlers", *fans)
    made = [_made_of(stream) for stream in plan.streams if stream.template]
    if made:
        yield from ("", "From templates")
        yield from (
            f"  {m['stream']}  {m['template']}: {printable(m['command'], 120)}" for m in made
        )
    setups = list(_setup_lines(plan))
    if setups:
        yield from ("", "Workspaces", *setups)
    yield ""
    yield "Convergence"
    yield from _point_lines(loaded)
    if loaded.included.files:
        yield ""
        words = printable(included_in_words(loaded.included), 200)
        yield f"Will be copied into workspaces: {words}"
    if loaded.warnings:
        yield ""
        yield counted(len(loaded.warnings), "warning").capitalize()
        yield from (f"  {warning.code}: {warning.message}" for warning in loaded.warnings)
    if loaded.impossible:
        yield ""
        yield "Here a run is refused before anything starts"
        yield from (f"  {error.message}" for error in loaded.impossible)


def _wave_lines(plan: Plan) -> Iterator[str]:
    grouped = waves(plan)
    width = len(str(len(grouped)))
    for number, wave in enumerate(grouped, start=1):
        yield f"  {number:>{width}}  {'  '.join(wave)}"


def _point_lines(loaded: LoadedPlan) -> Iterator[str]:
    for row in (_point(loaded, point) for point in loaded.plan.points):
        options = ", ".join(f"{name} = {printable(repr(v))}" for name, v in row["options"].items())
        yield f"  {row['point']}  {printable(row['type'])}{f'  ({options})' if options else ''}"


def _slack_lines(plan: Plan) -> Iterator[str]:
    """Yield the streams that may slip, the tightest first."""
    spare = sorted((seconds, name) for name, seconds in slack(plan).items() if seconds > 0)
    for seconds, name in spare[:_MOST_SLACKS]:
        yield f"  {name} may slip by {duration(seconds)}"
    if len(spare) > _MOST_SLACKS:
        yield f"  and {len(spare) - _MOST_SLACKS} more"
