"""Writing a run's report beside its journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path, PurePath
from typing import Any

import msgspec

from anabranch.core.events import Recorded, RetryScheduled
from anabranch.core.ids import Seq
from anabranch.core.model.state import State
from anabranch.core.promises.invariants import broken_promises
from anabranch.core.views.accounting import report
from anabranch.core.views.order import OrderCheck
from anabranch.core.views.projections import is_plain_folder
from anabranch.core.views.sharing import verify_history
from anabranch.engine.effort import UNKNOWN, Effort
from anabranch.engine.handlers import have_handlers, with_counts
from anabranch.engine.journal import Journal
from anabranch.engine.token_ledger import figures
from anabranch.errors import WorldError
from anabranch.files import create_fresh, replacing
from anabranch.paths import RunFolder
from anabranch.plain_files import read_plain
from anabranch.undecodable import UNDECODABLE

LAST_WORDS_LINES = 50
WITHOUT_LAST_WORDS = ("succeeded", "running", "joined")
LARGEST_REPORT_BYTES = 256 * 1024 * 1024


def build_report(
    folder: RunFolder, state: State, now: float, effort: Effort = UNKNOWN
) -> dict[str, Any]:
    """Return the execution report of a run, with the journal's integrity checked.

    Raises WorldError if the journal cannot be read.
    """
    retries, integrity, timeline = _prove(folder, state)
    content = report(state, retries, now, effort.seconds)
    streams = [_with_last_words(folder, stream) for stream in content["streams"]]
    added: dict[str, Any] = {"streams": streams, "integrity": integrity, "result_folder": None}
    added["timeline"] = timeline
    added["decision_latency"] = msgspec.to_builtins(effort.latency)
    added["jobserver"] = figures(folder, state.has_ended)
    if folder.of_handlers.exists():
        added["handlers"] = _of_handlers(folder, state, streams)
    if content["branch"] and is_plain_folder(state):
        added["result_folder"] = str(folder.result)
    return {**content, **added}


def proved_anew(found: dict[str, Any], folder: RunFolder, state: State) -> dict[str, Any]:
    """Return a written report with what the journal proves now, not when it was written.

    Raises WorldError if the journal cannot be read.
    """
    _, integrity, timeline = _prove(folder, state)
    return {**found, "integrity": integrity, "timeline": timeline}


class _Reading:
    """One pass over a journal: it may hold more than memory does, so next to nothing is kept."""

    def __init__(self) -> None:
        self.retries: list[Recorded] = []
        self.events = 0
        self.gaps: list[Seq] = []
        self.order = OrderCheck()

    def pass_on(self, records: Iterable[Recorded]) -> Iterator[Recorded]:
        """Hand records on, and note of them what a report tells."""
        for record in records:
            self.events += 1
            if record.seq != self.events:
                self.gaps.append(record.seq)
            self.order.take(record)
            if isinstance(record.event, RetryScheduled):
                self.retries.append(record)
            yield record


def _prove(
    folder: RunFolder, state: State
) -> tuple[list[Recorded], dict[str, Any], dict[str, Any]]:
    """Read a journal, and say whether it and the state it adds up to are whole and in order."""
    journal, reading = Journal.open(folder.journal, "read"), _Reading()
    try:
        records = reading.pass_on(journal.read())
        covered = takewhile(lambda record: record.seq <= state.seq, records)
        broken = [*broken_promises(state), *verify_history(covered, state.shared.hash)]
        deque(records, maxlen=0)  # what has come since that state counts, too
        faults = journal.faults()
    finally:
        journal.close()
    integrity = {
        "journal": "ok" if not faults else "; ".join(faults),
        "state": "; ".join(broken) or "ok",
        "events": reading.events,
        "gaps": reading.gaps,
    }
    return reading.retries, integrity, reading.order.found()


def _of_handlers(
    folder: RunFolder, state: State, streams: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return what the report tells of handlers, and add to each stream how many it has."""
    if not have_handlers(state, folder):
        return []
    from anabranch.engine.handler_report import handler_reports  # here: few runs have handlers

    with_counts(streams, state, folder)
    try:
        return handler_reports(state, folder)
    except OSError as error:
        raise WorldError(f"a book of handlers cannot be read: {error}") from error


def _with_last_words(folder: RunFolder, stream: dict[str, Any]) -> dict[str, Any]:
    """Add the end of what the newest attempt of a stream without success has written."""
    if stream["state"] in WITHOUT_LAST_WORDS or not stream["log"]:
        return stream
    from anabranch.engine.masking import masked_tail  # only where something went wrong

    log = folder.logs / PurePath(stream["log"]).name
    return {**stream, "last_words": masked_tail(log, LAST_WORDS_LINES)}


async def write_report(folder: RunFolder, state: State, now: float, effort: Effort) -> None:
    """Write ``report.json``, whole or not at all."""
    import asyncio  # here, because commands that only read reports start twice as fast without

    import aiofiles

    content = await asyncio.to_thread(build_report, folder, state, now, effort)
    with replacing(folder.report) as fresh:
        async with aiofiles.open(fresh, "wb", opener=create_fresh) as file:
            await file.write(msgspec.json.format(msgspec.json.encode(content), indent=2))


def read_report(path: Path) -> dict[str, Any] | None:
    """Return a written report, or None if there is none that can be read."""
    try:
        found = msgspec.json.decode(read_plain(path, LARGEST_REPORT_BYTES))
    except (OSError, *UNDECODABLE):
        return None
    return found if isinstance(found, dict) else None
