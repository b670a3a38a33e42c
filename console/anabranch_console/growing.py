"""The verbs of a run that grows: a new stream, one like another, one edited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.inputs import AddStream, RewordStream
from anabranch.core.model.state import State
from anabranch.core.plans.plan import StreamPlan
from anabranch.errors import AnabranchError
from anabranch_console.lines import Span
from anabranch_console.panes.streams import HOME
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb, VerbOwner

if TYPE_CHECKING:
    from anabranch.config import PlanContext
    from anabranch.config.templates import Template
    from anabranch.core.plans.consent import PlanCommand
    from anabranch_console.screens.form import Preview


class Growing(VerbOwner):
    """Adds streams to a run that goes on, edits those that have failed.

    Args:
        model: the run.
        steering: asks questions and shows answers.
        choose: goes to the row of a stream.
    """

    name_of = "growing"
    where = "streams"
    of_pane = HOME

    def __init__(
        self, model: RunModel, steering: Steering, choose: Callable[[StreamId], object]
    ) -> None:
        self._model, self._steering, self._choose = model, steering, choose
        self._added: StreamId | None = None
        self._unsent: dict[str, str] | None = None

    def apply(self, changes: Changes) -> None:
        """Go to the stream that was added, once it is there."""
        if self._added in changes.rows and self._added in self._model.rows:
            self._choose(self._added)
            self._added = None

    @property
    def _state(self) -> State:
        return self._model.live_state

    def _context(self) -> PlanContext:
        from anabranch.config import PlanContext, StrategyNames  # not for the first picture

        strategies = self._model.source.strategies
        return PlanContext(StrategyNames.of(strategies, {}) if strategies else StrategyNames())

    def _templates(self) -> Mapping[str, Template]:
        from anabranch.config import PlanErrors, templates_here

        found = templates_here(Path(self._state.project))
        if isinstance(found, PlanErrors):
            first = found.errors[0]
            self._steering.tell("warning", f"{first.file}:{first.line}: {first.message}")
            return {}
        return found

    # --- one more --------------------------------------------------------------------------------

    def new(self, argument: str) -> None:
        """Ask what a new stream is to do; with a command only what else there is to say."""
        self._ask("New stream", None, argument)

    def clone(self, argument: str) -> None:
        """Ask for what a stream like the chosen one does differently."""
        (stream,) = self._steering.meant(argument)[:1]
        self._ask(f"Like {stream}", self._state.stream_plan(stream))

    def _ask(self, title: str, like: StreamPlan | None, text: str = "") -> None:
        from anabranch_console.screens.new_stream import StreamForm

        forms = StreamForm(lambda: self._state.plan, self._context(), self._templates())

        def add(values: dict[str, str] | None) -> None:
            made = forms.made(values) if values is not None else ""
            if isinstance(made, StreamPlan) and values is not None:
                self._after_consent(forms.asked_about(values), made, values)

        is_begun_anew = like is not None or bool(text)
        begun = None if is_begun_anew else self._unsent
        if self._steering.ask(forms.form(title, like, text, begun), add) and not is_begun_anew:
            self._unsent = None

    def _after_consent(
        self, commands: Sequence[PlanCommand], made: StreamPlan, values: dict[str, str]
    ) -> None:
        """Add a stream; what its template brings with it has to be agreed to once."""
        from anabranch.engine.trusting import Trust
        from anabranch_console.screens.consent import Consent
        from anabranch_console.screens.new_stream import NOTHING_ADDED

        trust = Trust(Path(self._state.project))
        if trust.problem:
            self._steering.tell("warning", trust.problem)
        unknown = trust.unknown(commands)

        def add() -> None:
            self._added = made.id
            self._steering.steer(AddStream(stream=made))

        def answered(answer: str | None) -> None:
            if answer is None:
                self._unsent = values
                self._steering.tell("info", NOTHING_ADDED)
                return
            try:
                trust.allow(unknown)
            except AnabranchError as error:
                self._steering.tell("error", error.message)
            else:
                add()

        if unknown:
            self._steering.ask(Consent(unknown), answered)
        else:
            add()

    # --- another wording -------------------------------------------------------------------------

    def edit(self, argument: str) -> None:
        """Ask for another command of a stream that has failed, and try it again with that."""
        from anabranch_console.screens.form import Field, Form, Preview

        (stream,) = self._steering.meant(argument)[:1]
        before = self._state.stream_plan(stream)
        field = Field("command", "Command", before.command_text, has_lines=True, file="command.sh")

        def preview(values: Mapping[str, str]) -> Preview:
            text = values["command"]
            if not text:
                return Preview(fault="type the command that it runs")
            return Preview([(Span("it is tried again at once, and so is what waits for it"),)])

        def send(values: dict[str, str] | None) -> None:
            if values is not None:
                self._steering.steer(RewordStream(stream=reworded(before, values["command"])))

        self._steering.ask(Form(f"Edit {stream}", lambda _: [field], preview, "try it again"), send)

    # --- when it cannot be done ------------------------------------------------------------------

    def none_chosen(self, argument: str) -> str | None:
        """Say so if no stream is meant."""
        named = argument or next(iter(self._steering.chosen_streams()), "")
        if not named:
            return "no stream is chosen"
        is_known = named in self._state.streams
        return None if is_known else f"there is no stream {named!r} in this run"

    def cannot_edit(self, argument: str) -> str | None:
        """Say so unless a stream is meant that can be tried again."""
        from anabranch_console.panes.stream_actions import can_be_retried

        missing = self.none_chosen(argument)
        if missing:
            return missing
        name = argument or self._steering.chosen_streams()[0]
        stream = self._state.streams[name]  # type: ignore[index]  # it is known
        if can_be_retried(stream):
            return None
        return "it has succeeded; c makes another like it" if stream.has_ended else "stop it first"

    verbs = (
        Verb("new", "New stream…", ("n",), new, args="[COMMAND]", steers=True, footer="New"),
        Verb(
            "clone",
            "New stream like this one…",
            ("c",),
            clone,
            none_chosen,
            args="[STREAM]",
            completes="streams",
            steers=True,
        ),
        Verb(
            "edit-stream",
            "Edit its command and try it again…",
            ("E",),
            edit,
            cannot_edit,
            args="[STREAM]",
            completes="streams",
            steers=True,
        ),
    )


def reworded(plan: StreamPlan, command: str) -> StreamPlan:
    """Return what a plan says of a stream, with another command that the shell runs."""
    if command == plan.command_text:
        return plan
    return replace(
        plan, command=("/bin/sh", "-c", command), command_text=command, fan=None, outline=""
    )
