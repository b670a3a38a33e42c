"""What is done with the run as a whole: its result approved, all of it stopped, its news shown."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.core.events import ApprovalRefused, MessageSent
from anabranch.core.inputs import ApproveRun, StopRun
from anabranch.core.model.state import RunPhase
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
        bell: makes itself heard.
    """

    name_of = "run"
    where = "the run"

    def __init__(self, model: RunModel, steering: Steering, bell: Callable[[], None]) -> None:
        self._model, self._steering, self._bell = model, steering, bell
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
            self._bell()

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
        can_be = state.phase is RunPhase.CONVERGED and not state.approval.is_done
        return None if can_be else "only a converged run can be approved"

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

    verbs = (
        Verb("approve", "Approve the result…", ("A",), approve, cannot_approve, steers=True),
        Verb("stop-run", "Stop the whole run…", ("x S",), stop, cannot_stop, steers=True),
    )
