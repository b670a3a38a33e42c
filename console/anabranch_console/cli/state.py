"""``anabranch state``: the shared state of a run, its values and its history."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from anabranch import exit_codes
from anabranch.core.ids import StreamId
from anabranch.core.model.outcome import Refusal
from anabranch.core.views.projections import SCHEMA
from anabranch.core.views.sharing import state_log_of, value_in, verify_history
from anabranch.engine.runs import run_records
from anabranch.errors import UsageError
from anabranch_console.cli.meaning import KnownCommands
from anabranch_console.cli.output import (
    json_option,
    print_json,
    print_table,
    run_argument,
    say,
    shown,
)
from anabranch_console.cli.reading import found_run


@click.group(cls=KnownCommands)
def command() -> None:
    """The state that the streams of a run share: its history, any version, and back to one."""


@command.command
@run_argument
@click.option("--since", default=0, metavar="N", help="Only what came after version N.")
@click.option("--key", help="Only one key.")
@json_option
def log(run: str | None, since: int, key: str | None, as_json: bool) -> None:
    """List every change in RUN (that goes on): version, who, when, before, after.

    The chain of hashes over all changes is checked; the exit code is 3 if the history is not whole.
    """
    found, state = found_run("state", run)
    records = run_records(found.folder, state)
    faults = verify_history(records, state.shared.hash)
    history = {**state_log_of(records, state, since, key), "run": state.run, "faults": faults}
    if as_json:
        print_json(history)
    else:
        _print_changes(history["changes"], history["head"])
    for fault in faults:
        say(f"the history is not whole: {shown(fault)}")
    if faults:
        click.get_current_context().exit(exit_codes.FAULT)


@command.command
@click.argument("key")
@run_argument
@click.option("--version", type=int, metavar="N", help="As it was in version N.")
@json_option
def get(key: str, run: str | None, version: int | None, as_json: bool) -> None:
    """Print what KEY holds in RUN (that goes on), as it is or was in a version."""
    found, state = found_run("state", run)
    reading = value_in(run_records(found.folder, state), state, key, version)
    if isinstance(reading, Refusal):
        raise UsageError(reading.reason, reading.hint)
    if as_json:
        print_json({"schema": SCHEMA, "run": state.run, **msgspec.structs.asdict(reading)})
    elif not reading.version:
        say(f"{key!r} is not there; anabranch state log --key lists what became of it")
        click.get_current_context().exit(1)
    else:
        print_json(reading.value)


@command.command
@click.argument("version", type=click.IntRange(min=0, max=2**63 - 1))
@run_argument
@click.option("--stream", metavar="STREAM", help="Only what STREAM has changed since VERSION.")
@json_option
def restore(version: int, run: str | None, stream: str | None, as_json: bool) -> None:
    """Bring the shared state of RUN (that goes on) back to how it was in VERSION.

    It makes one more version, so nothing is lost: restoring the version before it undoes it. With
    --stream, keys that somebody else has changed since are left alone.
    """
    from anabranch_console import operator_calls  # what only reads starts without an engine
    from anabranch_console.cli.steering import steer

    found, before = found_run("state", run)
    restoring = operator_calls.restore(version, StreamId(stream) if stream else None)
    state = steer(found.folder, restoring, "restored by you")
    was, head = before.shared.head, state.shared.head
    changed = sorted({c.key for c in state.shared.changes(was)})
    if as_json:
        print_json(
            {"schema": SCHEMA, "run": state.run, "version": head, "was": was, "keys": changed}
        )
        return
    undo = f"anabranch state restore {was}{f' --stream {stream}' if stream else ''}"
    if changed:
        keys = shown(", ".join(changed))
        say(f"version {head}: {keys} back as in version {version}; undo: {undo}")
    else:
        say(f"nothing to bring back: it is as in version {version}")


def _print_changes(changes: list[dict[str, Any]], head: int) -> None:
    if not changes:
        say(f"no change to list; the state is at version {head}")
        return
    print_table(
        ["VERSION", "TIME", "STREAM", "KEY", "BEFORE", "AFTER"],
        [
            [
                str(change["version"]),
                change["time"][11:19] + "Z",
                change["stream"],
                change["key"],
                _brief(change["before"]),
                _brief(change["after"]),
            ]
            for change in changes
        ],
    )


def _brief(value: Any) -> str:
    return "-" if value is None else shown(msgspec.json.encode(value).decode(), 40)
