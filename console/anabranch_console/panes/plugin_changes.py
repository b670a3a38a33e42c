"""Changing what is installed, from the console: one change at a time, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from anabranch.errors import AnabranchError
from anabranch_console.presenters.plugin_lines import of_installing
from anabranch_console.steering import Level, Steering

if TYPE_CHECKING:
    from anabranch.plugin_store.listing import Listing
    from anabranch.plugin_store.store import PluginStore, Proposal

LATER = "it counts for runs begun from now on"
Change = Callable[["PluginStore"], str]
"""Does something to the store, and returns what to tell of it."""


class PluginChanges:
    """Works in threads; what the store says is shown from the console's own.

    Args:
        steering: asks questions and shows answers.
        show_step: called with each step the store comes to, "" when it is done.
        show_listing: called with what is installed, when that has been looked up.
    """

    def __init__(
        self,
        steering: Steering,
        show_step: Callable[[str], None],
        show_listing: Callable[[Listing], None],
    ) -> None:
        self._steering = steering
        self._show_step, self._show_listing = show_step, show_listing
        self._is_changing = False
        self._is_looking_up = False
        self._is_out_of_date = False
        self._asked: Future[bool] | None = None

    # --- changes ---------------------------------------------------------------------------------

    def change(self, change: Change) -> None:
        """Do a change, unless another one is not done yet."""
        if self._is_changing:
            self._steering.tell("warning", "one change at a time: the last one is not done yet")
            return
        self._is_changing = True
        self._steering.in_thread(lambda: _ended(change), self._tell_end, "plugins")

    def _tell_end(self, ended: tuple[Level, str]) -> None:
        self._is_changing = False
        self._show_step("")
        self._steering.tell(*ended)
        self.look_up()

    def tell_step(self, step: str) -> None:
        """Show what the store does now; from its thread."""
        self._steering.later(self._show_step, step)

    def agreed(self, proposal: Proposal) -> bool:
        """Ask whether somebody agrees, and wait for the answer; from the store's thread."""
        answer: Future[bool] = Future()
        self._steering.later(self._ask, proposal, answer)
        return answer.result()

    def _ask(self, proposal: Proposal, answer: Future[bool]) -> None:
        def answered(is_yes: bool) -> None:
            if not answer.done():
                answer.set_result(is_yes)

        self._asked = answer
        self._steering.ask_above(of_installing(proposal), answered)

    def close(self) -> None:
        """Take it for a no that somebody leaves while the store asks."""
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(False)

    # --- what is installed -----------------------------------------------------------------------

    def look_up(self) -> None:
        """Have listed what is installed: once more, however often it was asked for meanwhile.

        Reading it takes a while and a thread, and decisions need those too.
        """
        self._is_out_of_date = self._is_looking_up
        if not self._is_looking_up:
            self._is_looking_up = True
            self._steering.in_thread(_listed, self._take_listing, "plugins-list")

    def _take_listing(self, found: Listing | Exception) -> None:
        self._is_looking_up = False
        if isinstance(found, Exception):
            raise found
        self._show_listing(found)
        if self._is_out_of_date:
            self.look_up()


def _ended(change: Change) -> tuple[Level, str]:
    from anabranch_console.hook_checks import own_store

    try:
        return "info", change(own_store())
    except AnabranchError as error:
        return "warning", "; ".join(filter(None, (error.message, error.hint)))
    except Exception as error:  # a plugin's package may bring anything
        return "error", f"{type(error).__name__}: {error}"


def _listed() -> Listing | Exception:
    from anabranch.plugin_store.listing import list_plugins
    from anabranch.plugin_store.places import Places

    try:
        return list_plugins(Places.of_this_python())
    except Exception as error:  # it is shown from the console's own thread
        return error
