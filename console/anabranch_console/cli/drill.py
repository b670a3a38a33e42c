"""``anabranch drill``: rehearse recovery on a scratch copy."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import click

from anabranch import exit_codes
from anabranch.core.ids import StreamId
from anabranch.core.plans.consent import commands_of
from anabranch.core.wording import counted, duration
from anabranch.drilling.drill import DrillReport, run_drill
from anabranch.drilling.faults import Fault, FaultKind, check_faults, usual_faults
from anabranch.drilling.findings import Finding
from anabranch.drilling.rehearsal import rehearsal_of
from anabranch.drilling.scratch import Scratch, make_scratch
from anabranch_console.cli.consenting import require_unchanged, trust_option
from anabranch_console.cli.durations import Duration
from anabranch_console.cli.hosting import exit_code, finish
from anabranch_console.cli.installed import installed
from anabranch_console.cli.interrupting import polite_ends
from anabranch_console.cli.main import here
from anabranch_console.cli.output import json_option, print_json, say, shown
from anabranch_console.cli.planning import DEFAULT_PLAN, read_plan, valid_plan
from anabranch_console.cli.progress import Progress

STREAM = "STREAM"
_SIGNS = {
    "recovered": "✓",
    "left_alone": "✓",
    "harmed": "✗",
    "not_recovered": "✗",
    "not_injected": "?",
}


@click.command
@click.argument("plan", required=False)
@click.option("--kill", multiple=True, metavar=STREAM, help="Kill its processes at work.")
@click.option("--stall", multiple=True, metavar=STREAM, help="Freeze its processes at work.")
@click.option("--slow-start", multiple=True, metavar=STREAM, help="Keep still before its command.")
@click.option(
    "--conflict", multiple=True, metavar="A,B", help="Have two write the same file differently."
)
@click.option("--full-disk", multiple=True, metavar=STREAM, help="Fill the disk while it works.")
@click.option("--clock-jump", multiple=True, type=float, metavar="SECONDS", help="As after a nap.")
@click.option(
    "--heartbeat",
    type=Duration(),
    default=5.0,
    show_default="5s",
    help="The longest silence of a stream that stalls or starts slowly.",
)
@click.option("--limit", type=Duration(), default=600.0, show_default="10m", help="Stop after it.")
@click.option("--keep", is_flag=True, help="Keep the scratch copy.")
@trust_option
@json_option
def command(
    plan: str | None,
    kill: Sequence[str],
    stall: Sequence[str],
    slow_start: Sequence[str],
    conflict: Sequence[str],
    full_disk: Sequence[str],
    clock_jump: Sequence[float],
    heartbeat: float,
    limit: float,
    keep: bool,
    trust: bool,
    as_json: bool,
) -> None:
    """Rehearse recovery: run PLAN on a scratch copy, inject faults, and report what became of them.

    The faults are real: processes are killed and frozen, a disk is full. So are the commands: what
    they do outside their workspaces, they do. Without a fault's option one stream is killed and
    another one stalls. Exit code 0: it converged, every fault was mended and nothing is lost.
    """
    found = installed()
    loaded = valid_plan(read_plan(plan, (), found.strategies, found.extensions), as_json)
    path = Path(plan or DEFAULT_PLAN).absolute()
    require_unchanged(path, commands_of(loaded.plan), trust, asks=not as_json)
    faults = (
        *(Fault(FaultKind.KILL, (StreamId(name),)) for name in kill),
        *(Fault(FaultKind.STALL, (StreamId(name),)) for name in stall),
        *(Fault(FaultKind.SLOW_START, (StreamId(name),)) for name in slow_start),
        *(Fault(FaultKind.CONFLICT, _pair(text)) for text in conflict),
        *(Fault(FaultKind.FULL_DISK, (StreamId(name),)) for name in full_disk),
        *(Fault(FaultKind.CLOCK_JUMP, seconds=seconds) for seconds in clock_jump),
    ) or usual_faults(loaded.plan)
    check_faults(loaded.plan, faults)
    if full_disk and keep:
        raise click.UsageError("--keep: the small disk of --full-disk goes with the drill")
    rehearsal = rehearsal_of(loaded.plan, faults, heartbeat)
    environment = {**os.environ, "ANABRANCH_DRILL": "1"}
    named = (name for stream in loaded.plan.streams for name in stream.env_files)
    scratch, folder = make_scratch(here(), needs_small_disk=bool(full_disk), besides=named)
    say(f"a drill of {shown(plan or DEFAULT_PLAN)} on a scratch copy: {scratch.path}")
    for change in rehearsal.changes:
        say(f"for the drill, {shown(change)}")
    is_good, stopping = False, _stopping()
    try:
        report = run_drill(
            scratch,
            folder,
            rehearsal.plan,
            faults,
            found.strategies,
            extensions=found.extensions,
            changes=rehearsal.changes,
            limit_seconds=limit,
            stopping=stopping,
            environment=environment,
            tell=lambda state: Progress(state).tell,
        )
        is_good = not report.lost
    finally:
        _clear(scratch, keep or (not is_good and not scratch.is_small_disk))
    if as_json:
        print_json(report.as_json())
    else:
        _tell(report)
    finish(exit_codes.INTERRUPTED if stopping.is_set() else _code(report))


def _pair(text: str) -> tuple[StreamId, StreamId]:
    one, comma, other = (part.strip() for part in text.partition(","))
    if not comma or not one or not other or "," in other:
        raise click.UsageError(f"--conflict {text}: write two streams with a comma between: A,B")
    return StreamId(one), StreamId(other)


def _stopping() -> Event:
    """Return what Ctrl-C and a polite end set: the drill's streams are ended with it."""
    asked = Event()
    for number in polite_ends():
        signal.signal(number, lambda *_: asked.set())
    return asked


def _clear(scratch: Scratch, is_kept: bool) -> None:
    if is_kept:
        say(f"kept: XDG_STATE_HOME={scratch.state} anabranch -C {scratch.project} status")
    else:
        scratch.remove()


def _code(report: DrillReport) -> int:
    if report.is_over_limit:
        return exit_codes.TIME_LIMIT
    if not report.has_converged:
        return exit_code(report.state)
    return 0 if report.is_good else 1


def _tell(report: DrillReport) -> None:
    click.echo()
    for finding in report.findings:
        for line in _lines(finding):
            click.echo(line)
    at_risk = sum(finding.files for finding in report.findings)
    lost = report.lost
    click.echo(f"run: {report.state.phase} after {duration(report.seconds)}")
    if lost:
        click.echo(f"LOST: {', '.join(shown(path) for path in lost)}")
    elif at_risk:
        files = counted(at_risk, "file")
        click.echo(f"lost: nothing; {files} at risk, found again in commits that are kept")
    else:
        click.echo("lost: nothing")


def _lines(finding: Finding) -> list[str]:
    words = finding.outcome.replace("_", " ")
    head = f"{_SIGNS[finding.outcome]} {finding.fault}: {words}"
    times = [
        f"{what} after {duration(seconds)}"
        for what, seconds in (
            ("noticed", finding.noticed_seconds),
            ("mended", finding.recovered_seconds),
        )
        if seconds is not None
    ]
    lines = [", ".join([head, *times]) + f" ({shown(finding.reason)})"]
    lines += [f"    {shown(act)}" for act in finding.did]
    lines += [f"    LOST: {shown(path)}" for path in finding.lost]
    return lines
