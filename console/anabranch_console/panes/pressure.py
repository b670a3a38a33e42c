"""The pressure on the machine: how hard it works, how wide the run is and why, who uses most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from anabranch.core import wording
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.views.accounting import Figures, figures
from anabranch.engine.integrity import what_is_broken
from anabranch.paths import RunFolder
from anabranch_console.lines import Line, Span
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.presenters.pressure_lines import LINE, pressure_columns, pressure_detail
from anabranch_console.presenters.pressure_look import (
    Measured,
    PressureLook,
    PressureRow,
    pressure_rows,
)
from anabranch_console.presenters.wording import safe, shortened
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering

if TYPE_CHECKING:
    from anabranch.engine.token_ledger import Ledger

CHECK_SECONDS = 10.0
"""So often the state is looked at: of a thousand streams that takes some 25 ms."""


class PressurePane(GridPane[PressureRow]):
    """One row a meter, then one a stream, the greediest first.

    While it is in sight the machine is looked at, also for a run whose width is given.
    """

    name_of = where = of_pane = "pressure"
    title = "Pressure"
    full_title = "Pressure: the machine, the width and why, who uses most"
    aliases = ("machine",)
    way = "U"
    when_empty = "nothing is measured"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        columns = pressure_columns(lambda: self.look)
        super().__init__(model, steering, columns, lambda row: row)
        self._seen: tuple[State, int] | None = None
        self._rows_of: object = None
        self._figures: Figures | None = None
        self._broken: tuple[str, ...] | None = None
        self._checked_at = 0.0
        self._tokens: Ledger | None = None
        self._measured = Measured()
        self.look = PressureLook(model.state, model.now)

    # --- keeping up ------------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        state = self.model.state
        return state.ended_at if state.ended_at is not None else self.model.now

    def before_update(self) -> None:
        model, state, second = self.model, self.model.state, int(self.model.now)
        is_past = model.time.past is not None
        if self._is_old(state, second):
            self._seen, self._rows_of = (state, second), object()
            self._figures = figures(state, self._now)
            self._check(state)
            if state.plan.has_jobserver and not is_past:
                self._read_tokens(RunFolder(model.source.folder))
        cells = next((width for column, width in self.grid.fitting if column.id == LINE), 1)
        samples = model.time.pressure()
        if not self._measured.is_of(samples, cells, self.glyphs):
            self._measured = Measured(samples, cells, self.glyphs)
        self.look = PressureLook(
            state,
            self._now,
            is_past=is_past,
            measured=self._measured,
            vitals=model.vitals,
            figures=self._figures,
            overhead=model.overhead,
            tokens=self._tokens,
            lent={} if is_past else self._lent(),
            broken=self._broken,
        )

    def _is_old(self, state: State, second: int) -> bool:
        """Return whether rows and figures are: of another second, another time, before the end."""
        if self._seen is None:
            return True
        known, at = self._seen
        if known is state:
            return at != second and not state.has_ended
        return at != second or state.seq < known.seq or state.has_ended

    def _check(self, state: State) -> None:
        """Look whether the state is whole: seldom, as all of it is looked at."""
        is_due = self._broken is None or abs(self._now - self._checked_at) >= CHECK_SECONDS
        if is_due or state.has_ended:
            self._broken, self._checked_at = what_is_broken(state), self._now

    def _read_tokens(self, folder: RunFolder) -> None:
        self.steering.in_thread(
            lambda: _ledger(folder), self._take_tokens, "tokens", exclusive=True
        )

    def _take_tokens(self, found: Ledger | None) -> None:
        if found != self._tokens:
            self._tokens = found
            if self.is_in_sight:
                self.update()

    def _lent(self) -> Mapping[StreamId, int]:
        """Return how many tokens each stream has that was lent any."""
        if self._tokens is None or not self._tokens.loans:
            return {}
        folder, loans = RunFolder(self.model.source.folder), self._tokens.loans
        active = (s for s in self.model.state.streams.values() if s.is_active)
        named = {folder.attempt_name(s.id, s.attempt): s.id for s in active}
        return {named[name]: count for name, count in loans.items() if name in named}

    def source_of_rows(self) -> object:
        return self._rows_of

    def all_rows(self) -> Sequence[PressureRow]:
        return pressure_rows(self.look)

    @property
    def total(self) -> int:
        return sum(row.kind == "stream" for row in self._all)

    def text_of(self, row: PressureRow) -> str:
        return row.name

    # --- what is seen ----------------------------------------------------------------------------

    def standing(self) -> Line:
        step, dot = self.look.last_step, f" {self.glyphs.separator} "
        if step is None:
            return (Span(f"{dot}width {self.model.state.max_parallel}", "muted"),)
        words = wording.width_in_words(step.width, step.was, step.reason)
        return (Span(f"{dot}{safe(shortened(words))}", "text"),)

    def detail_title(self, row: PressureRow | None) -> Line:
        return (Span("Width and figures", "title"),)

    def detail_lines(self, row: PressureRow | None, cells: int) -> list[Line]:
        return pressure_detail(self.look, row, cells)

    # --- verbs -----------------------------------------------------------------------------------

    def chosen_streams(self) -> list[StreamId]:
        row = self.chosen
        return [StreamId(row.name)] if row is not None and row.kind == "stream" else []

    def menu(self) -> list[MenuItem]:
        return [item for stream in self.chosen_streams() for item in self.menu_of_stream(stream)]


def _ledger(folder: RunFolder) -> Ledger | None:
    from anabranch.engine.token_ledger import read_ledger  # only where there are jobservers

    return read_ledger(folder)
