"""The convergence points: who has come, who is waited for, what was merged and what was not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from anabranch.core.ids import StreamId
from anabranch.core.inputs import AdoptStream
from anabranch.core.model.state import Point, PointPhase, State
from anabranch.core.views.adoption import adoptable, racers_at, races, refusal_to_adopt
from anabranch.core.wording import listing
from anabranch.errors import AnabranchError
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
from anabranch_console.presenters.race_lines import adoptable_at, choice_detail, of_adopting
from anabranch_console.run_model import RunModel
from anabranch_console.screens.dialogs import Choice
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb


def lines_of(state: State, streams: Sequence[StreamId]) -> dict[StreamId, tuple[int, int]]:
    """Return how many lines the results of streams add and remove; git counts, so not for long."""
    from anabranch.engine.differences import DifferenceReader  # it brings git

    found = {}
    try:
        with DifferenceReader(state) as reader:
            for stream in streams:
                seen = reader.read(state, stream, with_lines=False).found
                found[stream] = (seen.added, seen.removed)
    except AnabranchError:
        return found  # what cannot be read now is shown without
    return found


class ConvergencePane(GridPane[Point]):
    """One row a point, those that need a person first."""

    name_of = where = of_pane = "convergence"
    title = "Convergence"
    full_title = "Convergence points"
    aliases = ("points",)
    when_empty = "streams meet nowhere"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        self._counts: dict[StreamId, tuple[int, int]] = {}
        self._counted: dict[StreamId, str] = {}
        self.look = PointLook(model.state, model.now)
        super().__init__(model, steering, point_columns(lambda: self.look), lambda point: point.id)

    def before_update(self) -> None:
        self.look = PointLook(self.model.state, self.model.now, self.glyphs, self._counts)

    def paint_detail(self) -> None:
        self._count_lines()
        super().paint_detail()

    def _count_lines(self) -> None:
        """Have the lines of the chosen race's attempts counted, once for each result."""
        row = self.chosen
        if row is None or not self.model.state.point_plan(row.id).adopts_one:
            return
        state = self.model.state
        results = {s: state.streams[s].result for s in state.point_plan(row.id).streams}
        wanted = {s: r.commit for s, r in results.items() if r is not None}
        new = {s: commit for s, commit in wanted.items() if self._counted.get(s) != commit}
        if new:
            self._counted.update(new)
            self.steering.in_thread(partial(lines_of, state, list(new)), self._counts_came, "race")

    def _counts_came(self, counts: dict[StreamId, tuple[int, int]]) -> None:
        self._counts = {**self._counts, **counts}
        self.before_update()
        super().paint_detail()

    def source_of_rows(self) -> object:
        return self.model.state.points

    def all_rows(self) -> Sequence[Point]:
        return point_rows(self.model.state)

    def text_of(self, row: Point) -> str:
        return point_text(row)

    def standing(self) -> Line:
        blocked = sum(p.phase is PointPhase.BLOCKED for p in self._all)
        dot, needs = f" {self.glyphs.separator} ", "needs" if blocked == 1 else "need"
        return (Span(f"{dot}{blocked} {needs} you", "level.warning"),) if blocked else ()

    def detail_title(self, row: Point | None) -> Line:
        return (Span(f"The point {row.id}" if row else "No point", "title"),)

    def detail_lines(self, row: Point | None, cells: int) -> list[Line]:
        return point_detail(self.look, row, cells)

    def menu(self) -> list[MenuItem]:
        """Offer what helps a point on: recovering, or looking at, whoever holds it up."""
        missing = missing_at(self.model.state, self.chosen) if self.chosen else []
        items = self.menu_of_stream(missing[0] if missing else None)
        asked = listing(self._adoptable)
        adopt = [MenuItem("adopt", "T", detail=asked)] if asked else []
        return [*adopt, *items, MenuItem("conflicts", "c")]

    # --- adopting --------------------------------------------------------------------------------

    @property
    def _adoptable(self) -> Sequence[StreamId]:
        """Whom one can adopt at the chosen point, or else at any."""
        state, row = self.model.state, self.chosen
        here = adoptable_at(state, row.id) if row is not None else ()
        return here or adoptable(state)

    def completions(self) -> Mapping[str, Iterable[str]]:
        return {"adoptable": adoptable(self.model.state)}

    def adopt(self, argument: str) -> None:
        """Adopt the stream of a name, or one of those that can be."""
        names = self._adoptable
        if argument or len(names) == 1:
            self._ask_to_adopt(argument or names[0])
            return
        point = self.model.state.topology.adopted_at[names[0]]
        has_check = bool(self.model.state.point_plan(point).verify)
        racers = {r.stream: r for r in racers_at(self.model.state, point, self.model.now)}
        choices = [
            Choice(s, str(number), s, choice_detail(racers[s], self._counts, has_check))
            for number, s in enumerate(names, 1)
        ]
        self.steering.choose(f"Adopt one at {point}", choices, self._ask_to_adopt)

    def _ask_to_adopt(self, name: str) -> None:
        state, stream = self.model.state, StreamId(name)
        refusal = refusal_to_adopt(state, stream)
        if refusal is not None:
            self.steering.tell("warning", f"{refusal.reason}; {refusal.hint}")
            return
        asked = of_adopting(state, state.topology.adopted_at[stream], stream, self._counts)
        self.steering.steer_after_yes(asked, [AdoptStream(stream=stream)])

    def cannot_adopt(self, argument: str) -> str | None:
        """Say so if no point asks for one to adopt."""
        if argument or self._adoptable:
            return None
        is_race = bool(races(self.model.state))
        return "no race asks for one to adopt now" if is_race else "this run has no race"

    verbs = (
        Verb(
            "adopt",
            "Adopt one of the attempts…",
            ("T",),
            adopt,
            cannot_adopt,
            args="[STREAM]",
            completes="adoptable",
            footer="Adopt",
            steers=True,
        ),
    )
