"""The convergence points: who has come, who is waited for, what was merged and what was not."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core.model.state import Point, PointPhase
from anabranch_console.lines import Line, Span
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.presenters.point_lines import (
    PointLook,
    missing_at,
    point_columns,
    point_detail,
    point_rows,
    point_text,
)
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering


class ConvergencePane(GridPane[Point]):
    """One row a point, those that need a person first."""

    name_of = where = of_pane = "convergence"
    title = "Convergence"
    full_title = "Convergence points"
    aliases = ("points",)
    when_empty = "streams meet nowhere"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        self.look = PointLook(model.state, model.now)
        super().__init__(model, steering, point_columns(lambda: self.look), lambda point: point.id)

    def before_update(self) -> None:
        self.look = PointLook(self.model.state, self.model.now, self.glyphs)

    def source_of_rows(self) -> object:
        return self.model.state.points

    def all_rows(self) -> Sequence[Point]:
        return point_rows(self.model.state)

    def text_of(self, row: Point) -> str:
        return point_text(row)

    def standing(self) -> Line:
        blocked = sum(p.phase is PointPhase.BLOCKED for p in self._all)
        dot = f" {self.glyphs.separator} "
        return (Span(f"{dot}{blocked} need you", "level.warning"),) if blocked else ()

    def detail_title(self, row: Point | None) -> Line:
        return (Span(f"The point {row.id}" if row else "No point", "title"),)

    def detail_lines(self, row: Point | None, cells: int) -> list[Line]:
        return point_detail(self.look, row, cells)

    def menu(self) -> list[MenuItem]:
        """Offer what helps a point on: recovering, or looking at, whoever holds it up."""
        missing = missing_at(self.model.state, self.chosen) if self.chosen else []
        items = self.menu_of_stream(missing[0] if missing else None)
        return [*items, MenuItem("conflicts", "c")]
