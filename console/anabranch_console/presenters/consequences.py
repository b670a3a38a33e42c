"""What a dangerous command would do, said before it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from anabranch.core import wording
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.locks import Entry, Violation, shown
from anabranch.core.model.state import State
from anabranch.core.views.forecasts import granted_by_revoking, skipped_without
from anabranch.core.views.projections import is_plain_folder
from anabranch.core.views.reviews import review_as_text, review_of
from anabranch.core.views.streams import comes_back_with
from anabranch.core.views.waiting import Wait, called_waits_for, keeps_waiting
from anabranch.engine.handler_book import Handler
from anabranch_console.lines import Line, Span, wrap
from anabranch_console.presenters.conflict_lines import ConflictRow
from anabranch_console.presenters.stream_row import elapsed
from anabranch_console.presenters.wording import clock, safe

if TYPE_CHECKING:
    from anabranch.engine.differences import StreamDifference

_LABEL_CELLS = 9
_READABLE_CELLS = 64


class Consequences(NamedTuple):
    """The question of a confirmation dialog, and what follows from a yes."""

    title: str
    lines: tuple[Line, ...]
    confirm: str


def of_stopping(state: State, streams: Sequence[StreamId], now: float) -> Consequences:
    """Return what stopping some streams would do."""
    chosen = [state.streams[s] for s in streams]
    running = [s for s in chosen if s.phase is Phase.RUNNING]
    grace = wording.length(state.plan.stop_grace_seconds, 1)
    stops = [f"{s.id} (pid {s.pid}, {clock(elapsed(s, now))})" for s in running]
    text = wording.listing(stops, 3) if stops else "nothing that runs; it will not start"
    waiting = [str(s) for s in skipped_without(state, streams)]
    freed = [
        f"{wait.name} ({who} waits for it)"
        for stream in streams
        for who, wait in called_waits_for(state, stream)
        if StreamId(who) not in streams
    ]
    nobody = "no stream is skipped" if freed else "no other stream"
    affects = f"{wording.listing(waiting, 4)}: skipped, they need it" if waiting else nobody
    lines = [_line("ends", text)]
    if any(s.is_active for s in chosen):
        lines += [
            _line("how", f"asked to end; after {grace} the process tree is killed"),
            _line("keeps", "workspace and log; changed files as partial work"),
        ]
    lines.append(_line("affects", affects))
    if freed:
        lines.append(_line("frees", wording.listing(list(dict.fromkeys(freed)), 3)))
    lines.append(_line("undo", "not by itself: x r tries it again"))
    return Consequences(f"Stop {named(streams)}?", tuple(lines), "Stop")


def of_retrying(state: State, streams: Sequence[StreamId]) -> Consequences:
    """Return what trying some streams again would do."""
    revived = dict.fromkeys(str(o) for s in streams for o in comes_back_with(state, s))
    again = [s for s in revived if StreamId(s) not in streams]
    attempts = [f"{s} as attempt {state.streams[s].attempt + 1}" for s in streams]
    has_handlers = [state.stream_plan(s).fan is not None for s in streams]
    lines = [_line("runs", wording.listing(attempts, 3))]
    if not all(has_handlers):
        lines.append(_line("how", "in a fresh workspace, from what it depends on"))
    if any(has_handlers):
        lines.append(_line("handlers", "only the handlers that failed or did not end, where"))
        lines.append(_line("", "the others' work was kept; else all of them"))
    lines += [
        _line("keeps", "logs and kept work of earlier attempts"),
        _line("also", f"{wording.listing(again, 4)}: tried again too" if again else "no others"),
    ]
    if state.has_ended:
        lines.append(_line("run", f"is {state.phase.replace('_', ' ')}; it goes on"))
    return Consequences(f"Try {named(streams)} again?", tuple(lines), "Retry")


def of_retrying_handler(
    stream: StreamId, handler: Handler, wall: float, *, has_ended: bool
) -> Consequences:
    """Return what trying one handler again would do, at a wall time; its stream may have ended."""
    if has_ended:
        then = "the stream gets another attempt, which runs this one"
        others = "that are done or have failed stay as they are"
    else:
        then = "it is begun once more, when there is a place for it"
        others = "go on, and its failure counts no more"
    runs = f"what it has started: it runs for {wording.length(handler.seconds(wall), 1)}"
    return Consequences(
        f"Try handler {handler.place} of {stream} again?",
        (
            _line("item", handler.text),
            _line("ends", runs if handler.ended is None else "nothing: it has ended"),
            _line("then", then),
            _line("others", others),
        ),
        "Try again",
    )


def of_stopping_the_run(state: State) -> Consequences:
    """Return what stopping the whole run would do."""
    running = [str(p.id) for p in state.plan.streams if state.streams[p.id].is_active]
    waiting = len(state.streams) - state.counts.ended - len(running)
    return Consequences(
        "Stop the whole run?",
        (
            _line("ends", f"{len(running)} running: {wording.listing(running, 4)}"),
            _line(
                "skips",
                wording.counted(waiting, "stream that has", "streams that have") + " not started",
            ),
            _line("keeps", "every workspace, log and result; nothing is merged"),
            _line("undo", f"anabranch resume {state.run}"),
        ),
        "Stop run",
    )


def of_closing(state: State) -> Consequences:
    """Return what closing an open run would do."""
    left = [str(p.id) for p in state.plan.streams if not state.streams[p.id].has_ended]
    waits = f"{len(left)} that have not ended: {wording.listing(left, 4)}" if left else "nobody"
    return Consequences(
        "Close the open run?",
        (
            _line("waits", f"for {waits}"),
            _line("then", "it converges: its result can be approved"),
            _line("undo", "a stream that is added opens it for that stream"),
        ),
        "Close run",
    )


def of_approving(state: State) -> Consequences:
    """Return what approving the result would do."""
    return Consequences("Approve the result?", tuple(_approving(state)), "Approve")


def of_approving_sensitive(state: State) -> Consequences:
    """Return what approving would do to what others run or obey, which was refused once."""
    base, final = state.base, state.points[FINAL_POINT]
    first, *more = wrap(safe(state.approval.message), _READABLE_CELLS)
    lines = [_line("refused", first), *(_line("", piece) for piece in more)]
    if base is not None and base.tree and final.tree:
        lines.append(_line("look", f"git diff {base.tree[:10]} {final.tree[:10]}"))
    lines.append(_line("then", "CI, hooks, editors or agents act on it as soon as it is there"))
    return Consequences("Approve that too?", (*lines, *_approving(state)), "Approve with all of it")


def _approving(state: State) -> Iterator[Line]:
    if is_plain_folder(state):
        yield _line("writes", "the changed files into your folder")
        yield _line("from", f"the result of {state.run}")
        yield _line("guard", "only if none of them has changed since the run began")
        return
    branch = state.base.branch if state.base and state.base.branch else "your checkout"
    yield _line("moves", f"{branch.removeprefix('refs/heads/')} to the merged result")
    yield _line("from", f"anabranch/{state.run}")
    yield _line("guard", "only if the branch still stands where the run began")


def of_hosting(state: State) -> Consequences:
    """Return what hosting a run that nobody hosts would do."""
    living = sum(s.is_active for s in state.streams.values())
    return Consequences(
        "Nobody hosts this run: host it here?",
        (
            _line("goes on", "what lives is adopted, what is left is run"),
            _line("streams", f"{wording.counted(living, 'stream')} at work when it was left"),
            _line("then", "what you asked for is done"),
            _line("undo", "q leaves; the streams run on"),
        ),
        "Host it",
    )


def of_deciding(row: ConflictRow, choice: str) -> Consequences:
    """Return what the last decision about a conflict would do: things go on from it."""
    takes = {"ours": row.ours, "theirs": row.theirs, "both": f"{row.ours}, then {row.theirs}"}
    drops = {"ours": row.theirs, "theirs": row.ours, "both": "nothing"}
    halts = row.conflict.halts if row.conflict else ""
    return Consequences(
        f"Take {choice} for {safe(row.path.path)}?",
        (
            _line("takes", takes[choice]),
            _line("drops", drops[choice]),
            _line("then", f"{halts} starts" if halts else f"{row.point} merges"),
            _line("undo", f"u, until {halts or 'a stream'} has started from it, or it is approved"),
        ),
        "Take it",
    )


def of_reopening(row: ConflictRow) -> Consequences:
    """Return what deciding about a settled path once more would do."""
    made = row.decided
    choice = made.resolution.choice if made else ""
    return Consequences(
        f"Decide {safe(row.path.path)} again?",
        (
            _line("was", f"{choice}, by the {made.by if made else 'operator'}"),
            _line("then", f"{row.point} is merged anew without it, and waits for a decision"),
            _line("undo", "decide it as it was"),
        ),
        "Decide again",
    )


def of_taking(state: State, seen: StreamDifference) -> Consequences:
    """Return what taking a result would do, just as it is shown."""
    found, plan = seen.found, state.stream_plan(seen.stream)
    checks = [p for p in plan.points if state.point_plan(p).verify]
    files = wording.counted(len(found.files), "file")
    lines = [
        _line("takes", f"attempt {seen.attempt}, {seen.commit[:10]}"),
        _line("changes", f"{files}, +{found.added} -{found.removed}"),
        _line("then", f"it comes to {wording.listing([str(p) for p in plan.points], 3)}"),
    ]
    if checks:
        lines.append(_line("checked", f"verify of {wording.listing([str(p) for p in checks], 2)}"))
    notes = len(review_of(state, seen.stream).notes)
    if notes:
        lines.append(_line("notes", f"{wording.counted(notes, 'note')} will not be sent"))
    lines.append(_line("undo", "it can be handed back until it is merged"))
    return Consequences(f"Take the work of {seen.stream}?", tuple(lines), "Take it")


def of_handing_work_back(state: State, seen: StreamDifference, note: str) -> Consequences:
    """Return what handing a result back would do, with the very words that are sent."""
    notes = tuple(noted.note for noted in review_of(state, seen.stream).notes)
    says = review_as_text(note, notes).split("\n")
    lines = [
        _line("from", f"attempt {seen.attempt}, {seen.commit[:10]}: it goes on from there"),
        _line("keeps", "that result, by a ref"),
        *(_line("says" if not number else "", text) for number, text in enumerate(says)),
    ]
    return Consequences(f"Hand the work of {seen.stream} back?", tuple(lines), "Hand it back")


def of_revoking(state: State, entry: Entry, now: float) -> Consequences:
    """Return what taking a lock away would do."""
    holders = [
        f"{shown(g.stream)} ({g.mode} for {wording.age(now - g.since)}, fence {g.fence})"
        for g in entry.grants
    ]
    granted = granted_by_revoking(state, entry.path, now)
    gets = [f"{shown(g.stream)} ({g.path})" for g in granted]
    then = {shown(g.stream) for g in granted}
    kept = [w for g in entry.grants for w in keeps_waiting(state, g.stream)]
    others = dict.fromkeys(who for who, wait in kept if who not in then and _is_of(wait, entry))
    return Consequences(
        f"Take the lock of {safe(entry.path)} away?",
        (
            _line("from", wording.listing(holders, 3)),
            _line("then", "its fence is void: what it writes there is a violation"),
            _line("gives to", wording.listing(gets, 3) if gets else "nobody"),
            _line("not yet", wording.listing(list(others), 3) if others else "nobody"),
            _line("undo", "not by itself: the holder must ask again"),
        ),
        "Take away",
    )


def _is_of(wait: Wait, entry: Entry) -> bool:
    return entry.path == (wait.held or wait.name)


def of_allowing(found: Sequence[Violation]) -> Consequences:
    """Return what letting violations be merged would do."""
    writes = [f"{v.stream}: {v.path}" for v in found]
    return Consequences(
        f"Let {wording.counted(len(found), 'violation')} be merged?",
        (
            _line("writes", wording.listing(writes, 3)),
            _line("then", "points that were kept back by them go on"),
            _line("undo", "none"),
        ),
        "Allow",
    )


def _line(label: str, text: str) -> Line:
    return (Span(label.ljust(_LABEL_CELLS), "muted"), Span(safe(text), "text"))


def named(streams: Sequence[StreamId]) -> str:
    """Return one stream's name, or how many there are."""
    return str(streams[0]) if len(streams) == 1 else f"{len(streams)} marked streams"
