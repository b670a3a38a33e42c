"""The history of the shared state: every change, what it changed, and any version of the whole.

The log is always that of the present: while a version of the past is shown everywhere else, it is
marked here, and one can step on from it in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anabranch.core.model.sharing import Change, SharedState
from anabranch_console.lines import Line, Span
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.presenters.change_lines import change_columns, change_detail, change_text
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering
from anabranch_console.time_travel import Moment, version_number
from anabranch_console.verbs import Verb


class HistoryPane(GridPane[Change]):
    """One row a change, the newest first."""

    travel_to: Callable[[Moment], None]
    """Shows a moment of the past; set by the screen."""

    name_of = where = of_pane = "history"
    title = "History"
    full_title = "History of the shared state"
    when_empty = "nobody has changed the shared state yet; streams do by ab-stream state"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        super().__init__(
            model,
            steering,
            change_columns(lambda: model.state.started_wall),
            lambda c: (c.version, c.key),
        )
        self.grid.sign_of = self._sign
        self._changes: list[Change] = []
        self._detail: tuple[object, int, list[Line]] | None = None

    def source_of_rows(self) -> SharedState:
        return self.model.live_state.shared

    def all_rows(self) -> Sequence[Change]:
        shared, changes = self.model.live_state.shared, self._changes
        if changes and (changes[-1].version > shared.head or changes[0].version <= shared.floor):
            changes.clear()
        since = changes[-1].version if changes else 0
        while changes and changes[-1].version == since:  # it may have had more changes since
            changes.pop()
        changes.extend(shared.changes(max(since - 1, 0)))
        return changes[::-1]

    def _sign(self, row: Change) -> str:
        past = self.model.time.past
        is_viewed = past is not None and past.shared.head == row.version
        return self.glyphs.past if is_viewed else " "

    def text_of(self, row: Change) -> str:
        return change_text(row)

    def standing(self) -> Line:
        head, dot = self.model.live_state.shared.head, f" {self.glyphs.separator} "
        return (Span(f"{dot}version {head}", "muted"),) if head else ()

    def detail_title(self, row: Change | None) -> Line:
        return (Span("What changed", "title"),)

    def detail_lines(self, row: Change | None, cells: int) -> list[Line]:
        if row is None:
            return [(Span("versions of the shared state appear here", "muted"),)]
        known = self._detail
        if known and known[0] is row and known[1] == cells:
            return known[2]
        lines = change_detail(self.model.live_state, row, self.glyphs, cells)
        self._detail = (row, cells, lines)
        return lines

    def index_of_version(self, version: int) -> int | None:
        """Return the first row of a version."""
        rows = self.grid.rows
        return next((i for i, row in enumerate(rows) if row.version == version), None)

    def step(self, versions: int) -> None:
        """Choose the nearest row of another version: older with -1, newer with 1."""
        row = self.chosen
        if row is None:
            return
        index, step = self.grid.cursor_index, -versions
        while 0 <= index < len(self.grid.rows) and self.grid.rows[index].version == row.version:
            index += step
        self.grid.put_cursor(index)

    def menu(self) -> list[MenuItem]:
        row = self.chosen
        version = f"version {row.version}" if row else ""
        return [MenuItem("travel", "t", detail=version), MenuItem("live", "l")]

    def go_to_version(self, argument: str) -> None:
        """Choose the first change of a version, or have its number typed."""
        if argument:
            self.call_after_refresh(self._choose_version, argument)
        else:
            self.steering.ask_in_bar("version ")

    def _choose_version(self, argument: str) -> None:
        self.update()
        number = version_number(argument)
        if number is not None and self.index_of_version(number) is None:
            self.apply_filter("")
        index = self.index_of_version(number) if number is not None else None
        if index is None:
            head = self.model.live_state.shared.head
            refusal = f"there is no version {argument}; the newest is {head}"
            self.steering.tell("warning", refusal)
            return
        self.grid.put_cursor(index)
        self._travel_along()

    def _step_and_travel(self, versions: int) -> None:
        self.step(versions)
        self._travel_along()

    def _travel_along(self) -> None:
        """Show the version that is chosen now, while the past is shown."""
        row, moment = self.chosen, self.model.time.moment
        if row and moment and moment.version != row.version:
            self.travel_to(Moment(version=row.version))

    def none_older(self, argument: str) -> str | None:
        """Say so if no version is before the chosen one."""
        return self._no_other(self.grid.rows[-1:], "oldest")

    def none_newer(self, argument: str) -> str | None:
        """Say so if no version is after the chosen one."""
        return self._no_other(self.grid.rows[:1], "newest")

    def _no_other(self, last: Sequence[Change], word: str) -> str | None:
        row = self.chosen
        if row is None or not last:
            return "no version is chosen"
        return f"this is the {word} version" if last[0].version == row.version else None

    def no_versions(self, argument: str) -> str | None:
        """Say so if there are none."""
        return None if self.model.live_state.shared.head else "nothing is shared yet"

    verbs = (
        Verb(
            "older",
            "One version back",
            ("left_square_bracket",),
            lambda self, _: self._step_and_travel(-1),
            none_older,
            footer="Older",
        ),
        Verb(
            "newer",
            "One version on",
            ("right_square_bracket",),
            lambda self, _: self._step_and_travel(1),
            none_newer,
            footer="Newer",
        ),
        Verb(
            "version",
            "Go to a version",
            ("v",),
            go_to_version,
            no_versions,
            args="NUMBER",
            footer="Version",
        ),
    )
