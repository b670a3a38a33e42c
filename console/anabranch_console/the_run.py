"""What is done with the run as a whole: its result approved, all of it stopped, its news shown."""

from __future__ import annotations

from anabranch.core.events import ApprovalRefused, MessageSent
from anabranch.core.inputs import ApproveRun, CloseRun, StopRun
from anabranch.core.model.state import RunPhase
from anabranch_console.notices.noticing import Noticing
from anabranch_console.presenters import consequences
from anabranch_console.presenters.message_lines import news_for_operator
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb, VerbOwner

_STOPPED = "stopped from the console"
_SENSITIVE = "sensitive"
"""The kind of an approval that was refused for paths that others run or obey."""


class TheRun(VerbOwner):
    """Approves and stops; says at once what somebody has written to whoever sits here.

    Args:
        model: the run.
        steering: asks questions and shows answers.
    """

    noticing: Noticing | None = None
    """What rings when a person is needed; set by the app."""

    name_of = "run"
    where = "the run"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        self._model, self._steering = model, steering
        self._asked_to_approve = False

    def apply(self, changes: Changes) -> None:
        """Tell and ask what follows from what has happened."""
        self._tell_of_messages(changes)
        refused = [r.event for r in changes.events if isinstance(r.event, ApprovalRefused)]
        if refused and self._asked_to_approve:
            self._asked_to_approve = False
            if refused[-1].kind == _SENSITIVE:
                self._ask_about_sensitive()

    def _tell_of_messages(self, changes: Changes) -> None:
        sent = [r.seq for r in changes.events if isinstance(r.event, MessageSent)]
        news = news_for_operator(self._model.live_state, sent) if sent else ""
        if news:
            self._steering.tell("info", f"{news}; 4 shows messages, a acknowledges")

    # --- verbs -----------------------------------------------------------------------------------

    def approve(self, argument: str) -> None:
        """Take the result over into the user's branch, after a question."""
        if self._model.state.approval.kind == _SENSITIVE:
            self._ask_about_sensitive()
            return
        self._steering.confirm(consequences.of_approving(self._model.state), self._approve)

    def _approve(self) -> None:
        self._asked_to_approve = True
        self._steering.steer(ApproveRun())

    def _ask_about_sensitive(self) -> None:
        """Ask once more, with the paths, for what is taken over only if somebody says so."""
        asked = consequences.of_approving_sensitive(self._model.state)
        self._steering.steer_after_yes(asked, [ApproveRun(allow_sensitive=True)])

    def cannot_approve(self, argument: str) -> str | None:
        """Say so unless there is a result that waits for it."""
        state = self._model.state
        if state.phase is RunPhase.CONVERGED:
            return "it was approved before" if state.approval.is_done else None
        first = "only a converged run can be approved"
        if state.has_ended:
            return first
        return f"{first}; {'x C closes this one' if state.plan.is_open else 'this one goes on'}"

    def stop(self, argument: str) -> None:
        """Stop every stream, after a question."""
        asked = consequences.of_stopping_the_run(self._model.state)
        self._steering.steer_after_yes(asked, [StopRun(reason=_STOPPED)])

    def cannot_stop(self, argument: str) -> str | None:
        """Say so if there is nothing left to stop."""
        state = self._model.state
        if state.has_ended:
            return "the run has ended"
        return "the run is stopping" if state.phase is RunPhase.STOPPING else None

    def close(self, argument: str) -> None:
        """Let an open run converge, after a question."""
        asked = consequences.of_closing(self._model.live_state)
        self._steering.steer_after_yes(asked, [CloseRun()])

    def cannot_close(self, argument: str) -> str | None:
        """Say so if it has an end of its own, or has come to it."""
        state = self._model.state
        if state.has_ended:
            return "the run has ended"
        return None if state.plan.is_open else "it ends by itself when its streams are over"

    def host(self, argument: str) -> None:
        """Host the run here, after a question."""
        self._steering.offer_to_host(None)

    def cannot_host(self, argument: str) -> str | None:
        """Say so if there is a host, or nothing to host."""
        if self._model.live_state.has_ended:
            return "the run has ended"
        return None if self._model.source.hosting == "nobody" else "it is hosted already"

    def mute(self, argument: str) -> None:
        """Mute notices of a stream, or all for a time."""
        assert self.noticing is not None
        self.noticing.mute(argument, self._steering.chosen_streams())

    def cannot_mute(self, argument: str) -> str | None:
        """Say so where nothing rings anyway, or nobody is of that name."""
        if self.noticing is None:
            return "nothing rings here"
        state, name = self._model.state, argument.strip()
        known = {*state.streams, *state.registry.joined, *state.points, state.run}
        if self.noticing.can_mute(name, known):
            return None
        return f"there is no stream {name!r} in this run; a time is like 10m, and off ends it"

    verbs = (
        Verb(
            "mute",
            "Mute notices of the stream, or of all for a time",
            ("M",),
            mute,
            cannot_mute,
            args="[STREAM | 10m | off]",
            completes="streams",
        ),
        Verb("approve", "Approve the result…", ("x A",), approve, cannot_approve, steers=True),
        Verb("stop-run", "Stop the whole run…", ("x S",), stop, cannot_stop, steers=True),
        Verb("host", "Host the run here…", ("x H",), host, cannot_host, steers=True),
        Verb("close", "Close the open run…", ("x C",), close, cannot_close, steers=True),
    )
