"""The locks: who holds what, who waits, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from anabranch.core.ids import StreamId
from anabranch.core.inputs import AllowViolation
from anabranch.core.model.locks import Entry, LockTable, shown
from anabranch.core.views.locks import waits_across
from anabranch.core.wording import listing
from anabranch_console import operator_calls
from anabranch_console.lines import Line, Span
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.presenters.consequences import of_allowing, of_revoking
from anabranch_console.presenters.lock_lines import (
    LockLook,
    by_path,
    lock_columns,
    lock_detail,
    lock_rows,
    lock_text,
)
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb


class LocksPane(GridPane[Entry]):
    """One row a lock, those that are waited for first."""

    name_of = where = of_pane = "locks"
    title = "Locks"
    full_title = "Locks"
    when_empty = "nobody holds a lock; streams take one by ab-stream lock"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        self.look = LockLook(model.state, model.now)
        super().__init__(model, steering, lock_columns(lambda: self.look), lambda entry: entry.path)

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

    def completions(self) -> Mapping[str, Iterable[str]]:
        locks = self.model.state.locks
        return {"locks": sorted(locks.entries), "violators": sorted(locks.violations)}

    # --- verbs -----------------------------------------------------------------------------------

    def menu(self) -> list[MenuItem]:
        entry = self.chosen
        holders = [safe(shown(g.stream)) for g in entry.grants] if entry else []
        return [
            MenuItem("revoke", "v", detail=f"from {listing(holders)}" if holders else ""),
            MenuItem("allow", "a", detail=listing(self.violators)),
        ]

    def revoke(self, argument: str) -> None:
        """Take the lock of a path, or the chosen one, away from all who hold it."""
        entry = self.model.state.locks.entries.get(argument) if argument else self.chosen
        if entry is None or not entry.grants:
            refusal = f"nobody holds {argument or 'it'}; :locks lists what is held"
            self.steering.tell("warning", refusal)
            return
        asked = of_revoking(self.model.state, entry, self.model.now)
        self.steering.steer_after_yes(asked, [operator_calls.revoke(entry.path)])

    def cannot_revoke(self, argument: str) -> str | None:
        """Say so if nobody holds what is chosen."""
        entry = self.chosen
        if argument or (entry is not None and entry.grants):
            return None
        for lease in self.look.leases(entry) if entry is not None else ():
            holder = safe(shown(lease.stream))
            return f"{holder} holds {safe(lease.path)}, which reaches here: choose that"
        return "nobody holds it; give a lock's path"

    def allow(self, argument: str) -> None:
        """Let the violations of a stream, or of all, be merged."""
        wanted = [s for s in self.violators if argument in ("", s)]
        if not wanted:
            self.steering.tell("warning", f"{argument} has no violation left to allow")
            return
        known = self.model.state.locks.violations
        asked = of_allowing([v for s in wanted for v in known[StreamId(s)] if not v.is_allowed])
        commands = [AllowViolation(stream=StreamId(s)) for s in wanted]
        self.steering.steer_after_yes(asked, commands)

    def cannot_allow(self, argument: str) -> str | None:
        """Say so if there is no violation."""
        return None if self.violators else "there is no violation left to allow"

    verbs = (
        Verb(
            "revoke",
            "Take the lock away…",
            ("x v",),
            revoke,
            cannot_revoke,
            args="[PATH]",
            completes="locks",
            steers=True,
            shows_its_pane=False,
        ),
        Verb(
            "allow",
            "Let violations be merged…",
            ("x a",),
            allow,
            cannot_allow,
            args="[STREAM]",
            completes="violators",
            steers=True,
            shows_its_pane=False,
        ),
    )
