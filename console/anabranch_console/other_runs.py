"""Other runs, of this project and of others: one is looked at next, and this one goes on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.core.views.projections import run_summary
from anabranch.errors import AnabranchError
from anabranch_console.lines import cut_left
from anabranch_console.presenters.leaving import leaving_message
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import RunModel
from anabranch_console.screens.anywhere import Leaving
from anabranch_console.screens.dialogs import OWN_LETTERS, Choice
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb, VerbOwner

if TYPE_CHECKING:
    from anabranch.engine.runs import FoundRun

MOST_LISTED = 40
_KEYS = [c for c in "123456789abcdefghilmnoprstuvwxyz" if c not in OWN_LETTERS]


def run_choices(project: Path | None, besides: str = "") -> list[Choice]:
    """Return the newest runs of a project, or of all, to choose from; reads each one's journal."""
    from anabranch.engine.runs import has_begun, read_run, run_folders  # not for the first picture

    found: list[Choice] = []
    for folder in filter(has_begun, run_folders(project)):
        if folder.run != besides:
            found.append(_choice(read_run(folder), len(found), project is None))
        if len(found) == MOST_LISTED:
            break
    return found


def _choice(found: FoundRun, index: int, tells_project: bool) -> Choice:
    key = _KEYS[index] if index < len(_KEYS) else ""
    if found.state is None:
        return Choice(found.folder.run, key, found.folder.run, why_not="it cannot be read")
    summary = run_summary(found.state, found.is_hosted)
    counts = ", ".join(
        f"{count} {state.replace('_', ' ')}" for state, count in sorted(summary["streams"].items())
    )
    state = "open" if found.state.plan.is_open and not found.state.has_ended else summary["state"]
    where = f" · {cut_left(safe(found.state.project), 30)}" if tells_project else ""
    detail = f"{safe(found.state.plan.name)} · {state.replace('_', ' ')} · {counts}{where}"
    return Choice(found.folder.run, key, found.folder.run, detail)


class OtherRuns(VerbOwner):
    """Goes to another run.

    Args:
        model: the run that is shown.
        steering: asks questions and shows answers.
    """

    name_of = "other runs"
    where = "anywhere"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        self._model, self._steering = model, steering

    def runs(self, argument: str) -> None:
        """Go to a run that is named, or ask which; the list is read in a thread."""
        work = partial(self._found, argument) if argument else self._listed
        self._steering.in_thread(work, self._ask, "runs", exclusive=True)

    def _found(self, name: str) -> list[Choice] | str:
        """Return the one run that a name, or a part of one, means; or why there is not one."""
        from anabranch.engine.runs import run_folders

        try:
            found = [folder.run for folder in run_folders(None) if name in folder.run]
        except AnabranchError as error:
            return error.message
        exact = [run for run in found if run == name] or found
        if len(exact) != 1:
            return f"{name!r} fits {len(exact)} runs; :runs lists them"
        return [Choice(exact[0], "", exact[0])]

    def _listed(self) -> list[Choice] | str:
        try:
            return run_choices(None, besides=self._model.source.run)
        except AnabranchError as error:
            return error.message

    def _ask(self, found: list[Choice] | str) -> None:
        if isinstance(found, str):
            self._steering.tell("warning", found)
        elif not found:
            self._steering.tell("info", "there is no other run; anabranch run begins one")
        elif len(found) == 1 and not found[0].key:  # it was named
            self._go(found[0].id)
        else:
            self._steering.choose("Go to another run", found, self._go)

    def _go(self, run: str) -> None:
        state, hosting = self._model.live_state, self._model.source.hosting
        self._steering.post(Leaving(leaving_message(state, hosting), False, next_run=run))

    verbs = (Verb("runs", "Go to another run…", ("ctrl+r",), runs, args="[RUN]"),)
