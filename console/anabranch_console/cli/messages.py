"""``anabranch messages``: who wrote what to whom, and what became of it."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from anabranch.core.views.messages import messages_of
from anabranch.engine.runs import run_records
from anabranch.paths import RunFolder
from anabranch_console import operator_calls
from anabranch_console.cli.output import (
    json_option,
    print_json,
    print_table,
    run_argument,
    say,
    shown,
)
from anabranch_console.cli.reading import found_run, known_streams

OPERATOR = "operator"
DEAD = ("dead", "expired")


@click.command
@run_argument
@click.option("--stream", help="Only what one stream sent or was sent.")
@click.option("--ack", type=click.IntRange(min=1), help="Acknowledge a message that is for you.")
@click.option("--dead", "only_dead", is_flag=True, help="Only dead letters.")
@json_option
def command(
    run: str | None, stream: str | None, ack: int | None, only_dead: bool, as_json: bool
) -> None:
    """List the messages of RUN (that goes on), oldest first, and how each one ended."""
    found, state = found_run("messages", run)
    known_streams(state, [stream] if stream else [], [OPERATOR])
    if ack is not None:
        _acknowledge(found.folder, ack)
        return
    listed = messages_of(run_records(found.folder, state), state)
    listed["messages"] = [
        message
        for message in listed["messages"]
        if _concerns(message, stream) and (not only_dead or message["state"] in DEAD)
    ]
    if as_json:
        print_json({**listed, "run": state.run})
    elif not listed["messages"]:
        say("no message to list")
    else:
        _print_messages(listed["messages"])


def _acknowledge(home: RunFolder, number: int) -> None:
    from anabranch_console.cli.steering import steer  # it brings all that hosting takes

    steer(home, operator_calls.acknowledge(number), "acknowledged by you", lambda _: True)
    say(f"message {number} is acknowledged")


def _concerns(message: dict[str, Any], stream: str | None) -> bool:
    return stream is None or stream == message["from"] or message["to"] in (stream, "*")


def _print_messages(messages: list[dict[str, Any]]) -> None:
    print_table(
        ["ID", "SENT", "FROM", "TO", "STATE", "BODY", "WHY"],
        [
            [
                str(message["id"]),
                message["sent"][11:19] + "Z",
                message["from"],
                message["to"],
                message["state"],
                _brief(message["body"]),
                message["reason"] or "",
            ]
            for message in messages
        ],
    )


def _brief(body: Any) -> str:
    text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    return shown(text, 60)
