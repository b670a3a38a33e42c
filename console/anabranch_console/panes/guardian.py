"""The guardian: which streams are in its care, why, what it has done, and what it would do next."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core.model.state import Stream
from anabranch_console.lines import Line, Span
from anabranch_console.panes.pane import MenuItem, Pane
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
from anabranch_console.verbs import Scope


class GuardianPane(Pane[Stream]):
    """One row a stream, those in trouble first."""

    name_of = "guardian"
    title = "Guardian"
    scope = Scope.GUARDIAN
    told_when_empty = "there are no streams"

    def __init__(self, model: RunModel) -> None:
        self.look = GuardianLook(model.state, model.now)
        super().__init__(model, guardian_columns(lambda: self.look), lambda s: s.id)

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

    def menu(self) -> list[MenuItem]:
        name = str(self.chosen.id) if self.chosen else ""
        return [
            MenuItem("recover", "g", name, name),
            MenuItem("stop", "s", name, name),
            MenuItem("retry", "r", name, name),
        ]
