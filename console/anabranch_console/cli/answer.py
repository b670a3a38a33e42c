"""``anabranch answer``: answer what a stream asks, or see what that is."""

from __future__ import annotations

from collections.abc import Sequence

import click

from anabranch.core.ids import StreamId
from anabranch.core.inputs import AnswerQuestion
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.views.questions import (
    Question,
    meant,
    open_questions,
    question_status,
    questions_status,
)
from anabranch.core.wording import listing
from anabranch.errors import UsageError
from anabranch_console.cli.output import json_option, print_json, say, shown
from anabranch_console.cli.reading import found_run, known_streams
from anabranch_console.cli.steering import steer
from anabranch_console.cli.which_run import with_run_named

REASON = "answered by you"


@click.command
@click.argument("stream")
@click.argument("text", nargs=-1)
@click.option("--yes", "says_yes", is_flag=True, help="Approve.")
@click.option("--no", "says_no", is_flag=True, help="Refuse.")
@click.option("--ticket", type=click.IntRange(min=1), help="This question; the oldest by default.")
@click.option("--run", help="The run; by default the latest where it asks.")
@json_option
def command(
    stream: str,
    text: tuple[str, ...],
    says_yes: bool,
    says_no: bool,
    ticket: int | None,
    run: str | None,
    as_json: bool,
) -> None:
    """Answer what STREAM asks, by TEXT, --yes or --no; without any, print what it asks.

    Of choices the beginning is enough. This is for questions by `ab-stream ask` (or by MCP); into
    a terminal types `anabranch send`.
    """
    if bool(text) + says_yes + says_no > 1:
        raise UsageError("a text, --yes and --no do not go together", "give one of them")
    is_yes = says_yes if says_yes or says_no else None
    name = StreamId(stream)
    found, state = found_run("answer", run, stream)
    known_streams(state, [stream])
    if not text and is_yes is None:
        _print_questions(state, name, as_json=as_json)
        return
    question = _question(state, name, ticket)
    answer = meant(question, " ".join(text), is_yes)
    if isinstance(answer, Refusal):
        raise UsageError(answer.reason, answer.hint)
    asked = AnswerQuestion(stream=name, answer=answer, question=question.ticket)
    steer(found.folder, asked, REASON, is_done=lambda _: True)
    if as_json:
        facts = {"stream": name, "answer": answer, **question_status(state, question)}
        print_json({"schema": 1, "run": state.run, **facts})
    else:
        say(f"answered {shown(name)}: {shown(answer)}")
        if not found.is_hosted and not state.has_ended:
            say(f"nobody hosts the run; it hears of it with: anabranch resume {state.run}")


def _question(state: State, stream: StreamId, ticket: int | None) -> Question:
    asked = [q for q in open_questions(state.questions, stream) if ticket in (None, q.ticket)]
    if not asked:
        what = "asks nothing" if ticket is None else f"does not ask {ticket} any more"
        found = state.streams.get(stream)
        if found is not None and found.terminal.prompt is not None:
            send = with_run_named(f"anabranch send {stream} TEXT", state.run)
            hint = f"a prompt stands at its terminal: {send}"
            raise UsageError(f"{stream} {what} by ab-stream", hint)
        raise UsageError(f"{stream} {what}", "anabranch attention lists who asks")
    return asked[0]


def _print_questions(state: State, stream: StreamId, *, as_json: bool) -> None:
    if as_json:
        facts = {"stream": stream, "questions": questions_status(state, stream)}
        print_json({"schema": 1, "run": state.run, **facts})
        return
    asked = open_questions(state.questions, stream)
    for question in asked:
        click.echo(f"{question.ticket}: {shown(question.text)}{_choices(question.choices)}")
    if asked:
        how = f"anabranch answer {shown(stream)} TEXT | --yes | --no"
        say(f"answer: {with_run_named(how, state.run)}")
    else:
        say(f"{shown(stream)} asks nothing")


def _choices(choices: Sequence[str]) -> str:
    return f" ({shown(listing(list(choices)))})" if choices else ""
