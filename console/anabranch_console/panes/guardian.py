"""The guardian: which streams are in its care, why, what it has done, and what it would do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from anabranch.core.ids import StreamId
from anabranch.core.inputs import ResetBreaker, RetryStream
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Stream
from anabranch_console.lines import Line, Span
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.panes.recovering import REASON, recover_streams, why_not_recovered
from anabranch_console.presenters.guardian_lines import (
    KINDS,
    GuardianLook,
    guardian_columns,
    guardian_detail,
    guardian_rows,
    guardian_text,
    in_care,
)
from anabranch_console.run_model import RunModel
from anabranch_console.screens.dialogs import Choice
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb


class GuardianPane(GridPane[Stream]):
    """One row a stream, those in trouble first."""

    name_of = where = of_pane = "guardian"
    title = "Guardian"
    full_title = "Guardian"
    when_empty = "there are no streams"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        self.look = GuardianLook(model.state, model.now)
        super().__init__(model, steering, guardian_columns(lambda: self.look), lambda s: s.id)

    def before_update(self) -> None:
        model = self.model
        seen = [r for r in model.events if isinstance(r.event, KINDS)]
        self.look = GuardianLook(model.state, model.now, self.glyphs, seen)

    def source_of_rows(self) -> object:
        return self.model.state.streams

    def all_rows(self) -> Sequence[Stream]:
        return guardian_rows(self.model.state)

    def text_of(self, row: Stream) -> str:
        return guardian_text(self.look, row)

    def standing(self) -> Line:
        troubled = in_care(self.model.state)
        dot = f" {self.glyphs.separator} "
        return (Span(f"{dot}{troubled} in trouble", "level.warning"),) if troubled else ()

    def detail_title(self, row: Stream | None) -> Line:
        return (Span("Why, and what would follow", "title"),)

    def detail_lines(self, row: Stream | None, cells: int) -> list[Line]:
        return guardian_detail(self.look, row, cells)

    def completions(self) -> Mapping[str, Iterable[str]]:
        return {"breakers": self.model.state.breakers.tripped}

    # --- verbs -----------------------------------------------------------------------------------

    def chosen_streams(self) -> list[StreamId]:
        return [self.chosen.id] if self.chosen else []

    def menu(self) -> list[MenuItem]:
        return self.menu_of_stream(self.chosen.id if self.chosen else None)

    def recover(self, argument: str) -> None:
        """Recover the chosen stream, or the one that is named: ask by which remedy."""
        recover_streams(self.model, self.steering, self.steering.meant(argument))

    def requeue(self, argument: str) -> None:
        """Put a stream that failed for good into the queue again, at once."""
        for stream in self.steering.meant(argument)[:1]:
            self.steering.steer(RetryStream(stream=stream, reason=REASON))

    def reset_breaker(self, argument: str) -> None:
        """Close a breaker, or ask which."""
        tripped = self.model.state.breakers.tripped
        if not tripped and not argument:
            self.steering.tell("info", "every breaker is closed")
        elif argument or len(tripped) == 1:
            self._close_breaker(argument or tripped[0])
        else:
            choices = [Choice(name, str(n), name) for n, name in enumerate(tripped[:9], 1)]
            self.steering.choose("Close a breaker", choices, self._close_breaker, tripped[0])

    def _close_breaker(self, name: str) -> None:
        self.steering.steer(ResetBreaker(breaker=name, reason=REASON))

    def cannot_recover(self, argument: str) -> str | None:
        """Say so if nothing is chosen, or no remedy fits it now."""
        row = self.chosen
        if row is None:
            return "no stream is chosen"
        return why_not_recovered(self.model.state, row.id)

    def cannot_requeue(self, argument: str) -> str | None:
        """Say so if nothing is chosen, or it has not failed for good."""
        name = argument or (self.chosen.id if self.chosen else "")
        stream = self.model.state.streams.get(StreamId(name))
        if stream is None:
            return f"there is no stream {name!r} in this run" if name else "no stream is chosen"
        has_failed = stream.phase is Phase.FAILED
        return None if has_failed else f"{name} is not a dead letter: it has not failed for good"

    verbs = (
        Verb(
            "remedy",
            "Recover the chosen stream…",
            ("r",),
            recover,
            cannot_recover,
            footer="Recover",
            steers=True,
        ),
        Verb(
            "requeue-stream",
            "Try the dead letter again",
            ("R",),
            requeue,
            cannot_requeue,
            args="[STREAM]",
            completes="streams",
            footer="Requeue",
            steers=True,
        ),
        Verb(
            "reset-breaker",
            "Close a circuit breaker…",
            ("b",),
            reset_breaker,
            args="[NAME]",
            completes="breakers",
            steers=True,
        ),
    )
