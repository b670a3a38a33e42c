"""The resources: what was granted to whom, what is really used, and who waits for what."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch_console.lines import Line, Span
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.presenters.resource_lines import (
    Claim,
    ResourceLook,
    claim_columns,
    claim_rows,
    claim_text,
    resource_detail,
)
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering


class ResourcesPane(GridPane[Claim]):
    """One row a claim: the queue in the order it is served, then who holds what."""

    name_of = where = of_pane = "resources"
    title = "Resources"
    full_title = "Resources"
    when_empty = "no stream holds a resource, none waits; ab-stream request asks"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        self.look = ResourceLook(model.state, model.now)
        super().__init__(model, steering, claim_columns(lambda: self.look), lambda claim: claim.key)

    def before_update(self) -> None:
        model = self.model
        self.look = ResourceLook(model.state, model.now, model.vitals, self.glyphs)

    def source_of_rows(self) -> object:
        return None  # the queue is served by age, which grows by itself

    def all_rows(self) -> Sequence[Claim]:
        return claim_rows(self.model.state, self.model.now)

    def text_of(self, row: Claim) -> str:
        return claim_text(row)

    def standing(self) -> Line:
        waiting = sum(bool(claim.place) for claim in self._all)
        dot = f" {self.glyphs.separator} "
        return (Span(f"{dot}{waiting} waiting", "level.warning"),) if waiting else ()

    def detail_title(self, row: Claim | None) -> Line:
        return (Span("What there is", "title"),)

    def detail_lines(self, row: Claim | None, cells: int) -> list[Line]:
        return resource_detail(self.look, row, cells)

    def menu(self) -> list[MenuItem]:
        return self.menu_of_stream(self.chosen.stream if self.chosen else None)[1:]
