"""The plan as a graph: what decides how long it takes, what each waits for, when it is expected."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core import wording
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch_console.lines import Line, Span
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.presenters.plan_details import plan_detail
from anabranch_console.presenters.plan_lines import (
    TREE,
    levels_drawn,
    plan_columns,
    plan_legend,
    row_text,
)
from anabranch_console.presenters.plan_look import PlanLook, shape_of
from anabranch_console.presenters.plan_rows import GROUPINGS, Grouping, Key, PlanRow, plan_rows
from anabranch_console.presenters.wording import clock, safe
from anabranch_console.run_model import RunModel
from anabranch_console.screens.dialogs import Choice
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb

_ROOM_FOR_PLACE = 22
"""What the border says beside the legend: which rows are in sight."""
_GROUP_TITLES = {
    "tree": "Tree: each under what it waits for the longest",
    "wave": "Waves: who may run together",
    "state": "States: those that want attention first",
}


class GraphPane(GridPane[PlanRow]):
    """One row a stream, under the one that it waits for the longest; what is below can be folded.

    How the rest of the run is expected to go is worked out once a second, while it is in sight.
    """

    name_of = where = of_pane = "graph"
    title = "Plan"
    full_title = "Plan: the graph, what decides, who waits and for how long"
    way = "P"
    when_empty = "there are no streams"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        columns = plan_columns(lambda: self.look)
        super().__init__(model, steering, columns, lambda row: row.key)
        self._grouping: Grouping = "tree"
        self._critical_only = False
        self._folded: set[Key] = set()
        self._shaped: tuple[State, int] | None = None
        self._rows_of: object = None
        self._shape = shape_of(model.state, model.now)
        self.look = PlanLook(self._shape, model.state, self._now)

    # --- keeping up ------------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        state = self.model.state
        return state.ended_at if state.ended_at is not None else self.model.now

    def before_update(self) -> None:
        state, second = self.model.state, int(self.model.now)
        if self._is_old(state, second):
            self._shape, self._shaped = shape_of(state, self._now), (state, second)
            self._rows_of = object()
        cells = next((width for column, width in self.grid.fitting if column.id == TREE), 0)
        self.look = PlanLook(self._shape, state, self._now, self.glyphs, levels_drawn(cells))

    def _is_old(self, state: State, second: int) -> bool:
        """Return whether the forecast is: of another second, another time, or before the end."""
        if self._shaped is None:
            return True
        known, at = self._shaped
        if known is state:
            return at != second and not state.has_ended
        is_other_time = state.plan is not known.plan or state.seq < known.seq
        return at != second or is_other_time or state.has_ended

    def source_of_rows(self) -> object:
        return self._rows_of

    def all_rows(self) -> Sequence[PlanRow]:
        folded = self._folded if self._filter.is_empty else ()  # what is sought is not hidden
        return plan_rows(self.look, self._grouping, folded, critical_only=self._critical_only)

    def _rearrange(self) -> None:
        self._rows_of = object()
        self.update()

    def apply_filter(self, text: str) -> None:
        super().apply_filter(text)
        self._rearrange()

    @property
    def total(self) -> int:
        return len(self.model.state.plan.streams)

    def text_of(self, row: PlanRow) -> str:
        return row_text(self.look, row)

    # --- what is seen ----------------------------------------------------------------------------

    def standing(self) -> Line:
        dot, shape, state = f" {self.glyphs.separator} ", self._shape, self.model.state
        spans = [Span(f"{dot}{self._how_it_stands()}", "muted")]
        if shape.critical:
            words = "the longest chain" if state.has_ended else "critical"
            count = f"{self.glyphs.critical} {len(shape.critical)} {words}"
            spans.append(Span(f"{dot}{count}", "key"))
        if shape.guessed and not state.has_ended:
            spans.append(Span(f"{dot}{shape.guessed} guessed", "muted"))
        return tuple(spans)

    def _how_it_stands(self) -> str:
        shape, state = self._shape, self.model.state
        if state.has_ended:
            return f"over after {clock(state.ended_at)}"
        if shape.forecast is None:
            return "told to stop: nothing is expected"
        rest = wording.length(max(0.0, shape.forecast.end - shape.now))
        return f"{rest} to go, until {clock(shape.forecast.end)}"

    def marks(self) -> str:
        return plan_legend(self.glyphs, self.grid.size.width - _ROOM_FOR_PLACE)

    def detail_title(self, row: PlanRow | None) -> Line:
        if row is None:
            return (Span("Plan", "title"),)
        return (Span(safe(row.stream or row.group), "title"),)

    def detail_lines(self, row: PlanRow | None, cells: int) -> list[Line]:
        return plan_detail(self.look, row, cells)

    # --- verbs -----------------------------------------------------------------------------------

    def chosen_streams(self) -> list[StreamId]:
        return [self.chosen.stream] if self.chosen and self.chosen.stream else []

    def menu(self) -> list[MenuItem]:
        return [item for stream in self.chosen_streams() for item in self.menu_of_stream(stream)]

    def fold(self) -> None:
        """Fold what is below the chosen row, or show it again; of a leaf, what it stands under."""
        head = self._head()
        if head is None:
            return
        self._folded ^= {head.key}
        self._rearrange()
        place = self.grid.index_of(head.key)
        if place is not None:
            self.grid.put_cursor(place)

    def _head(self) -> PlanRow | None:
        """Return the row to be folded: the chosen one, else what that stands under."""
        row = self.chosen
        return row if row is None or row.can_fold else self._above(row)

    def nothing_to_fold(self, argument: str) -> str | None:
        """Say so if nothing stands below the chosen row, nor that below another."""
        return None if self._head() is not None else "nothing stands below it"

    def nothing_folds(self, argument: str) -> str | None:
        """Say so if no row has others below it."""
        can_fold = any(row.can_fold for row in self.grid.rows)
        return None if can_fold else "nothing stands below another"

    def none_critical(self, argument: str) -> str | None:
        """Say so if no stream is known to be on the critical path."""
        knows = self._critical_only or bool(self._shape.critical)
        return None if knows else "no critical path is known"

    def _above(self, row: PlanRow) -> PlanRow | None:
        """Return the row that a row stands under."""
        place = self.grid.index_of(row.key) or 0
        above = reversed(self.grid.rows[:place])
        return next((one for one in above if one.depth < row.depth and one.can_fold), None)

    def fold_all(self) -> None:
        """Show everything if anything is folded, else fold all that can be."""
        keys = {row.key for row in self.all_rows() if row.can_fold}
        is_folded = bool(self._folded & keys)
        self._folded -= {key for key in self._folded if self._is_of_this_grouping(key)}
        if not is_folded:
            self._folded |= keys
        self._rearrange()

    def _is_of_this_grouping(self, key: Key) -> bool:
        return (not key[0]) == (self._grouping == "tree")

    def critical(self) -> None:
        """Show only what decides how long the run takes, or everything again."""
        self._critical_only = not self._critical_only
        self._rearrange()

    def group(self, argument: str) -> None:
        """Arrange the rows as a tree, by wave or by state, or ask which."""
        found = next((one for one in GROUPINGS if one == argument), None)
        if found is not None:
            self._grouping = found
            self._rearrange()
        elif argument:
            known = ", ".join(GROUPINGS)
            self.steering.tell("warning", f"no grouping {argument!r}; there are {known}")
        else:
            choices = [Choice(one, one[0], _GROUP_TITLES[one]) for one in GROUPINGS]
            self.steering.choose("Arrange by", choices, self.group, self._grouping)

    def step_back(self) -> bool:
        if not self._critical_only:
            return False
        self.critical()
        return True

    def completions(self) -> dict[str, Sequence[str]]:
        return {"groupings": GROUPINGS}

    verbs = (
        Verb("fold", "Fold what is below, or show it", ("z",), lambda self, _: self.fold(),
             nothing_to_fold, footer="Fold"),
        Verb("fold-all", "Fold or show everything", ("Z",), lambda self, _: self.fold_all(),
             nothing_folds, footer="All"),
        Verb("critical", "Only the critical path", ("c",), lambda self, _: self.critical(),
             none_critical, footer="Critical"),
        Verb("group", "Arrange as tree, by wave or state", ("o",),
             lambda self, argument: self.group(argument), args="[tree|wave|state]",
             completes="groupings", footer="Arrange"),
    )  # fmt: skip
