"""The facts about one stream: what the panel beside the table says, and what the plan says."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from msgspec.structs import replace

from anabranch.core import wording
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.plan import StreamPlan
from anabranch.core.views.attention import attention_of
from anabranch.core.views.conflicts import foreseen_with
from anabranch.core.views.copies import copy_of, since_in_words
from anabranch.core.views.fusion import fused_groups
from anabranch.core.views.included import included_in_words
from anabranch.core.views.memory import overrun_in_words
from anabranch.core.views.projections import evidence_for, made_of
from anabranch.core.views.services import restarts_of
from anabranch.core.views.waiting import (
    Wait,
    in_words,
    keeps_waiting,
    reason_for,
    waits_of,
)
from anabranch_console.lines import Line, Span, cut_left, wrap
from anabranch_console.presenters import handler_words
from anabranch_console.presenters.amounts import amounts_text
from anabranch_console.presenters.attention_lines import evidence, style_of
from anabranch_console.presenters.stream_row import elapsed
from anabranch_console.presenters.wording import clock, ports_in_words, safe

if TYPE_CHECKING:
    from anabranch.engine.handlers import HandlerTally
    from anabranch.engine.vitals import Vitals

LABEL_CELLS = 10
MOST_WAITS = 3


def fact_lines(
    state: State,
    stream: Stream,
    vitals: Vitals | None,
    now: float,
    cells: int,
    tally: HandlerTally | None = None,
) -> list[Line]:
    """Return the facts, one or more lines each, cut for a panel ``cells`` wide."""
    room = max(cells - LABEL_CELLS, 8)
    lines: list[Line] = []
    for label, value, style in _facts(state, stream, vitals, now, tally):
        if label in ("workspace", "log", "kept"):
            lines.append(_fact(label, cut_left(value, room), style))
            continue
        first, *more = wrap(value, room)
        lines.append(_fact(label, first, style))
        lines += [_fact("", piece, style) for piece in more[:2]]
    return lines


def _fact(label: str, value: str, style: str) -> Line:
    return (Span(label.ljust(LABEL_CELLS), "muted"), Span(value, style))


def _facts(
    state: State, stream: Stream, vitals: Vitals | None, now: float, tally: HandlerTally | None
) -> list[tuple[str, str, str]]:
    style = f"state.{stream.public_state}"
    facts = [("why", safe(reason_for(state, stream)), style)]
    facts += _attention_facts(state, stream, now)
    facts += [("waits", safe(words), "level.warning") for words in _waits(state, stream, now)]
    facts += [
        ("keeps", safe(words), "level.warning") for words in _kept_waiting(state, stream, now)
    ]
    facts += _handler_facts(stream, tally) if tally is not None else []
    facts += _live_facts(stream, vitals)
    facts += _heartbeat_facts(stream, now)
    facts += _graph_facts(state, stream)
    others = [str(other) for other in foreseen_with(state, stream.id)]
    if others:
        words = f"would conflict with {wording.listing(others, 3)}; 6 shows both sides"
        facts.append(("radar", safe(words), "level.warning"))
    facts += _copy_facts(state, stream, now)
    facts += _memory_facts(state, stream)
    if vitals is not None and vitals.attempt == stream.attempt and vitals.disk_bytes is not None:
        held = f"{wording.disk_size(vitals.disk_bytes)} of its workspace's own"
        facts.append(("disk", held, "text"))
    facts.append(("time", _time(stream, now), "text"))
    facts += _work_facts(state, stream)
    facts += _fusion_facts(state, stream)
    facts += [("warning", safe(text), "level.warning") for text in stream.warnings[:3]]
    facts += [("kept", safe(ref), "text") for ref in (*stream.partial, *stream.rescue)[-3:]]
    return facts


def _attention_facts(state: State, stream: Stream, now: float) -> list[tuple[str, str, str]]:
    """Say so if it needs a person, or nobody has looked at what became of it."""
    found = attention_of(state, stream.id)
    if found.needs_you:
        return [("needs you", evidence(found, now), style_of(found))]
    if found.state == "waiting" and stream.has_ended:
        return [("waits", evidence(found, now).removeprefix("waits for "), "text")]
    return [("look", "nobody has looked at it yet", "muted")] if found.state == "done" else []


def _waits(state: State, stream: Stream, now: float) -> list[str]:
    """Return each thing that it waits for, who has it, and since when."""
    by_thing: dict[tuple[str, str], list[Wait]] = {}
    for wait in waits_of(state, stream.id):
        by_thing.setdefault((wait.kind, wait.name), []).append(wait)
    return [
        f"{in_words(waits)}, for {wording.age(now - waits[0].since)}{_still(waits[0], now)}"
        for waits in list(by_thing.values())[:MOST_WAITS]
    ]


def _still(wait: Wait, now: float) -> str:
    """Say how long a wait that ends by itself goes on."""
    return "" if wait.until is None else f", {wording.age(max(0.0, wait.until - now))} to go"


def _kept_waiting(state: State, stream: Stream, now: float) -> list[str]:
    """Return whom it keeps waiting by what it holds."""
    found = keeps_waiting(state, stream.id)
    parts = [f"{who} waits {wording.age(now - w.since)} for {w.name}" for who, w in found]
    return [wording.listing(parts, 3)] if parts else []


def _handler_facts(stream: Stream, tally: HandlerTally) -> list[tuple[str, str, str]]:
    style = "level.warning" if tally.failed else "text"
    facts = [("handlers", handler_words.counts_in_words(tally), style)]
    if stream.phase is Phase.RUNNING:
        facts.append(("pace", handler_words.pace_in_words(tally), "text"))
    return facts


def _copy_facts(state: State, stream: Stream, now: float) -> list[tuple[str, str, str]]:
    copy = copy_of(state, stream)
    return [] if copy is None else [("copy", safe(since_in_words(copy, now)), "level.warning")]


def _memory_facts(state: State, stream: Stream) -> list[tuple[str, str, str]]:
    """Return its ceilings, and why it was ended for its memory if it was."""
    facts = []
    limits = state.stream_plan(stream.id).limits
    if limits:
        facts.append(("ceilings", amounts_text(limits), "text"))
    if stream.memory.overruns:
        found = stream.memory.overruns[-1]
        text = overrun_in_words(found.used, found.limit, found.rule)
        facts.append(("memory", f"attempt {found.attempt} {text}", "level.warning"))
    return facts


def _live_facts(stream: Stream, vitals: Vitals | None) -> list[tuple[str, str, str]]:
    evidence = safe(evidence_for(replace(stream, partial=(), result=None)))
    facts = [("evidence", evidence, "text")]
    is_live = stream.phase is Phase.RUNNING and vitals is not None
    if is_live and vitals is not None and vitals.attempt == stream.attempt and vitals.evidence:
        facts.append(("now", safe(_now_in_words(vitals)), "text"))
    return facts


def _now_in_words(vitals: Vitals) -> str:
    """Return what is seen of a stream now, with the ages that stand beside its row."""
    age, newest = vitals.progress_age_seconds, _newest(vitals)
    if not vitals.alive or age is None or newest is None:
        return vitals.evidence
    parts = []
    for what, at in (("output", vitals.last_output_at), ("files changed", vitals.last_change_at)):
        if at is not None:
            parts.append(f"{what} {wording.age(age + newest - at)} ago")
    parts.append(wording.counted(vitals.processes, "process", "processes"))
    if vitals.cpu_percent is not None:
        parts.append(f"{vitals.cpu_percent:.0f} % CPU")
    return ", ".join(parts)


def _newest(vitals: Vitals) -> float | None:
    moments = (vitals.last_output_at, vitals.last_change_at)
    return max((at for at in moments if at is not None), default=None)


def _heartbeat_facts(stream: Stream, now: float) -> list[tuple[str, str, str]]:
    """Say what its heartbeats said last, and how long ago."""
    said = stream.liveness
    if said.status_at is None:
        return []
    parts = [safe(said.status)] if said.status else []
    parts += [f"{said.progress:.0%}"] if said.progress is not None else []
    parts += [f"{safe(name)} {safe(str(value))}" for name, value in list(said.info.items())[:3]]
    age = f"{wording.age(max(0.0, now - said.status_at))} ago"
    return [("heartbeat", ", ".join([*parts, age]), "text")]


def _graph_facts(state: State, stream: Stream) -> list[tuple[str, str, str]]:
    plan = state.stream_plan(stream.id)
    facts = []
    if plan.depends_on:
        needs = [
            d.words if d.condition == "succeeded" else f"{d.words} ({d.condition})"
            for d in plan.depends_on
        ]
        facts.append(("needs", wording.listing(needs, 6), "text"))
    feeds = list(state.topology.dependents[stream.id])
    if feeds:
        facts.append(("feeds", wording.listing([str(s) for s in feeds], 6), "text"))
    return facts


_CLOCK_FROM_SECONDS = 60.0
"""From there on the time beside it is read as a clock, so this is too."""


def _time(stream: Stream, now: float) -> str:
    spent = stream.spent
    current = max(now - stream.since, 0.0)
    phase = {
        Phase.PREPARING: "preparing",
        Phase.STARTING: "starting",
        Phase.SETTING_UP: "setting_up",
        Phase.RUNNING: "working",
        Phase.STOPPING: "working",
        Phase.CAPTURING: "capturing",
    }.get(stream.phase)
    parts = []
    for name in ("preparing", "starting", "setting_up", "working", "capturing"):
        seconds = getattr(spent, name) + (current if name == phase else 0.0)
        if seconds >= 0.5:
            took = wording.length(seconds, 1) if seconds < _CLOCK_FROM_SECONDS else clock(seconds)
            parts.append(f"{name.replace('_', ' ')} {took}")
    total = elapsed(stream, now)
    text = ", ".join(parts)
    if total is None:
        return text or f"{wording.spelled(stream.public_state)} for {wording.age(current)}"
    return f"{clock(total)}  {text}".rstrip()


def _work_facts(state: State, stream: Stream) -> list[tuple[str, str, str]]:
    facts = []
    if stream.retries:
        facts.append(("retries", str(stream.retries), "state.recovering"))
    if stream.result:
        files = wording.counted(stream.result.files_changed, "file")
        facts.append(("commit", f"{stream.result.commit[:10]}  {files}", "text"))
    if stream.is_ready:
        facts.append(
            ("ready", f"since {clock(stream.serving.at)}: {safe(stream.serving.evidence)}", "text")
        )
    if (found := stream.serving.unhealthy) is not None:
        words = f"since {clock(found.since)}: {safe(found.evidence)}"
        facts.append(("unhealthy", words, "state.recovering"))
    if restarts := state.stream_plan(stream.id).is_service and restarts_of(stream):
        facts.append(("restarts", str(restarts), "state.recovering"))
    if stream.ports and stream.is_active:
        facts.append(("ports", ports_in_words(stream.ports), "text"))
    if stream.workspace:
        facts.append(("workspace", safe(stream.workspace.path), "text"))
        facts += _made_facts(stream)
        facts += _included_facts(state, stream)
    if stream.log:
        facts.append(("log", safe(PurePath(stream.log).name), "text"))
    return facts


def _made_facts(stream: Stream) -> list[tuple[str, str, str]]:
    """Return by which method a workspace was made, and how to get into one in a namespace."""
    made = made_of(stream)
    if made is None:
        return []
    inside = f"; {made['enter']}" if made["enter"] else ""
    return [("made by", safe(f"{made['method']}{inside}"), "text")]


def _included_facts(state: State, stream: Stream) -> list[tuple[str, str, str]]:
    """Return what a stream's workspace began with besides what git has."""
    included = state.base.included if state.base else None
    is_own = state.stream_plan(stream.id).workspace != "shared"
    if included is None or not included.files or not is_own:
        return []
    return [("included", safe(included_in_words(included)), "text")]


def _fusion_facts(state: State, stream: Stream) -> list[tuple[str, str, str]]:
    """Return whose workspace a stream has, who has its own now, and how far it lags behind."""
    members = next((g for g in fused_groups(state) if any(m.stream == stream.id for m in g)), ())
    place = next((n for n, m in enumerate(members) if m.stream == stream.id), None)
    if place is None:
        return []
    facts, own = [], members[place]
    if stream.goes_on_from:
        facts.append(("goes on", f"in the workspace of {safe(stream.goes_on_from)}", "text"))
    if place + 1 < len(members):
        gone = f"went on to {safe(members[place + 1].stream)}; its work is kept"
        facts.append(("workspace", gone, "text"))
    if own.behind:
        files = wording.counted(own.files_behind, "file")
        facts.append(("behind", f"{wording.counted(own.behind, 'stream')}, {files}", "text"))
    if not own.stands:
        facts.append(("stale", "what builds on it holds an earlier result", "level.warning"))
    return facts


def _late(plan: StreamPlan) -> str:
    return "missed, the next day" if plan.catch_up == "skip" else "missed, as soon as may be"


def plan_lines(state: State, stream: Stream, cells: int) -> list[Line]:
    """Return what the plan says about a stream."""
    plan = state.stream_plan(stream.id)
    limit = "none" if plan.timeout_seconds is None else clock(plan.timeout_seconds)
    facts = [
        ("command", plan.command_text),
        ("folder", plan.working_dir),
        ("retries", f"up to {plan.max_retries}"),
        ("timeout", limit),
        ("success", f"exit {wording.listing([str(c) for c in plan.success_exit_codes])}"),
        ("priority", str(plan.priority)),
        ("optional", "yes: its failure does not fail the run" if plan.optional else "no"),
        ("meets at", plan.converge),
        ("workspace", plan.workspace),
        ("terminal", "yes" if plan.tty else "no"),
    ]
    if plan.is_service:
        facts += [("kind", "service"), ("restart", plan.restart.replace("_", " "))]
    if plan.after_seconds:
        facts.append(("after", f"{clock(plan.after_seconds)} after what it needs"))
    if plan.at:
        facts.append(("at", f"{plan.at} {plan.zone or 'of this machine'}; {_late(plan)}"))
    if plan.spread_seconds:
        facts.append(("spread", f"over {clock(plan.spread_seconds)}"))
    if plan.rate:
        whose = "handlers" if plan.fan else "attempts"
        facts.append(("rate", f"{plan.rate.words}, of its {whose}"))
    if plan.writes:
        facts.append(("writes", wording.listing(list(plan.writes))))
    if plan.env:
        facts.append(("env", wording.listing([f"{k}={v}" for k, v in plan.env.items()])))
    room = max(cells - LABEL_CELLS, 8)
    lines: list[Line] = []
    for label, value in facts:
        first, *more = wrap(safe(value), room)
        lines.append(_fact(label, first, "text"))
        lines += [_fact("", piece, "text") for piece in more]
    return lines
