"""The locks: who holds what, who waits, and who waits for whom."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core.model.locks import Entry, LockTable, shown
from anabranch.core.views.locks import waits_across
from anabranch_console.lines import Line, Span
from anabranch_console.panes.pane import MenuItem, Pane
from anabranch_console.presenters.lock_lines import (
    LockLook,
    by_path,
    lock_columns,
    lock_detail,
    lock_rows,
    lock_text,
)
from anabranch_console.presenters.wording import listing, safe
from anabranch_console.run_model import RunModel
from anabranch_console.verbs import Scope


class LocksPane(Pane[Entry]):
    """One row a lock, those that are waited for first."""

    name_of = "locks"
    title = "Locks"
    scope = Scope.LOCKS
    told_when_empty = "nobody holds a lock"

    def __init__(self, model: RunModel) -> None:
        self.look = LockLook(model.state, model.now)
        super().__init__(model, lock_columns(lambda: self.look), lambda entry: entry.path)

    def before_update(self) -> None:
        state = self.model.state
        is_other = state.locks.contentions is not self.look.state.locks.contentions
        over = by_path(state.locks.contentions) if is_other else self.look.over
        is_other = state.locks is not self.look.state.locks
        across = waits_across(state.locks) if is_other else self.look.across
        self.look = LockLook(state, self.model.now, self.glyphs, over, across)

    def source_of_rows(self) -> LockTable:
        return self.model.state.locks

    def all_rows(self) -> Sequence[Entry]:
        return lock_rows(self.look)

    def text_of(self, row: Entry) -> str:
        return lock_text(row)

    def standing(self) -> Line:
        dot = f" {self.glyphs.separator} "
        contended = sum(bool(self.look.queue(entry)) for entry in self._all)
        return (Span(f"{dot}{contended} waited for", "level.warning"),) if contended else ()

    def detail_title(self, row: Entry | None) -> Line:
        return (Span("Who waits for whom", "title"),)

    def detail_lines(self, row: Entry | None, cells: int) -> list[Line]:
        return lock_detail(self.look, row, cells)

    @property
    def violators(self) -> list[str]:
        """The streams whose violations are not allowed yet."""
        known = self.model.state.locks.violations
        return sorted(s for s in known if any(not v.is_allowed for v in known[s]))

    def menu(self) -> list[MenuItem]:
        entry = self.chosen
        holders = [safe(shown(g.stream)) for g in entry.grants] if entry else []
        return [
            MenuItem("revoke", "v", detail=f"from {listing(holders)}" if holders else ""),
            MenuItem("allow", "a", detail=listing(self.violators)),
        ]
