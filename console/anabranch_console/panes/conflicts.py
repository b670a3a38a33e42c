"""The conflicts: what waits for a decision, what is foreseen, and both sides of each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from anabranch.core.events import Resolution
from anabranch.core.ids import StreamId
from anabranch.core.inputs import HandBack, ReopenConflict, ResolveConflict, TellConflict
from anabranch.core.model.decisions import Decision
from anabranch.core.views.conflicts import key_of, undecided, why_not_reopened
from anabranch.core.wording import listing
from anabranch.errors import AnabranchError
from anabranch.paths import RunFolder
from anabranch_console.lines import Line, Span, wrap
from anabranch_console.panes import deciding
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.presenters.conflict_lines import (
    ConflictRow,
    conflict_columns,
    conflict_detail,
    conflict_rows,
    conflict_text,
    decision_detail,
)
from anabranch_console.presenters.consequences import of_deciding, of_reopening
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import RunModel
from anabranch_console.screens.dialogs import Choice
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb

if TYPE_CHECKING:
    from anabranch.engine.settling import PlainChoice, SideTexts

TEXTS_KEPT = 40
FORESEEN_TEXTS_SECONDS = 5.0


class ConflictsPane(GridPane[ConflictRow]):
    """One row a conflicted path; beside it both sides, read from git in a thread."""

    name_of = where = of_pane = "conflicts"
    title = "Conflicts"
    full_title = "Conflicts"
    when_empty = "nothing is in conflict, as far as anybody knows"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        super().__init__(
            model, steering, conflict_columns(lambda: self.glyphs), lambda row: row.key
        )
        self._texts: OrderedDict[object, tuple[float, SideTexts | str | None]] = OrderedDict()
        self._awaited: str | None = None
        self._drawn: tuple[object, object, int, list[Line]] | None = None

    def source_of_rows(self) -> object:
        return None  # the points, the streams and the decisions all have a part in it

    def all_rows(self) -> Sequence[ConflictRow]:
        return conflict_rows(self.model.state)

    def update(self) -> None:
        super().update()
        self._return_to_awaited()

    def _return_to_awaited(self) -> None:
        """Choose the path that was taken back, as soon as it is in conflict again."""
        rows = self.grid.rows
        for index, row in enumerate(rows if self._awaited else ()):
            if row.waits and row.resolution is None and key_of(row.path) == self._awaited:
                self._awaited = None
                self.grid.put_cursor(index)
                return

    def text_of(self, row: ConflictRow) -> str:
        return conflict_text(row)

    def standing(self) -> Line:
        dot = f" {self.glyphs.separator} "
        waiting = sum(row.waits and row.resolution is None for row in self._all)
        foreseen = sum(row.is_foreseen for row in self._all)
        settled = sum(row.decided is not None for row in self._all)
        parts = [
            (waiting, "to decide", "level.error"),
            (foreseen, "foreseen", "level.warning"),
            (settled, "settled", "muted"),
        ]
        return tuple(
            Span(f"{dot}{number} {word}", style) for number, word, style in parts if number
        )

    def detail_title(self, row: ConflictRow | None) -> Line:
        is_settled = row is not None and row.decided is not None
        return (Span("What was decided" if is_settled else "Both sides", "title"),)

    def detail_lines(self, row: ConflictRow | None, cells: int) -> list[Line]:
        if row is None:
            text = (
                "running streams are test-merged all the time; what would not merge is shown here"
            )
            return [(Span(piece, "muted"),) for piece in wrap(text, cells)]
        if row.decided is not None:
            refusal = why_not_reopened(self.model.state, row.decided)
            return decision_detail(row, self.model.state.started_wall, cells, refusal)
        texts = self._texts_of(row)
        known = self._drawn
        if known and known[0] == row and known[1] is texts and known[2] == cells:
            return known[3]
        lines = conflict_detail(row, texts, cells, self.glyphs)
        self._drawn = (row, texts, cells, lines)
        return lines

    def menu(self) -> list[MenuItem]:
        row = self.chosen
        path = safe(row.path.path) if row else ""
        return [
            MenuItem("take-ours", "o", detail=safe(row.ours) if row else ""),
            MenuItem("take-theirs", "T", detail=safe(row.theirs) if row else ""),
            MenuItem("take-both", "b", detail=path),
            MenuItem("edit", "e", detail=path),
            MenuItem(
                "hand-back", "h", detail=listing([str(s) for s in row.streams]) if row else ""
            ),
            MenuItem("settle", "r", detail="with the markers in a workspace of its own"),
            MenuItem("undo-decision", "u", detail=path),
            MenuItem(
                "tell-both", "m", detail=listing([str(s) for s in row.streams]) if row else ""
            ),
        ]

    def go_to_next(self) -> None:
        """Choose the next path that waits for a decision, after the chosen one if there is one."""
        rows, here = self.grid.rows, self.grid.cursor_index
        order = [*range(here + 1, len(rows)), *range(here)]
        waiting = [i for i in order if rows[i].waits and rows[i].resolution is None]
        if waiting:
            self.grid.put_cursor(waiting[0])

    # --- both sides ------------------------------------------------------------------------------

    def _texts_of(self, row: ConflictRow) -> SideTexts | str | None:
        """Return both sides if they were read; else have them read. What is foreseen grows old."""
        known = self._texts.get(row.key)
        is_old = known and not row.waits and self.model.now - known[0] > FORESEEN_TEXTS_SECONDS
        if known is None or is_old:
            before = known[1] if known else None
            self._texts[row.key] = (self.model.now, before)
            self._texts.move_to_end(row.key)
            if len(self._texts) > TEXTS_KEPT:
                self._texts.popitem(last=False)
            self.steering.in_thread(partial(self._read, row), self._show_sides, "sides")
            return before
        return known[1]

    def _read(self, row: ConflictRow) -> tuple[object, SideTexts | str]:
        """Return both sides of a row, or why they cannot be read, beside its key."""
        from anabranch.engine import settling  # it brings what the first picture does not need

        state = self.model.live_state
        texts: SideTexts | str
        try:
            repo = settling.repository_of(state)
            if row.conflict is not None:
                texts = settling.texts_of(repo, state.run, row.conflict, row.path)
            else:
                texts = settling.texts_foreseen(repo, state, row.streams, row.path)
        except AnabranchError as error:
            texts = f"the sides cannot be read: {error.message}"
        return row.key, texts

    def _show_sides(self, read: tuple[object, SideTexts | str]) -> None:
        key, texts = read
        known = self._texts.get(key)
        if known is not None and known[1] != texts:
            self._texts[key] = (known[0], texts)
            self.paint_detail()

    # --- verbs -----------------------------------------------------------------------------------

    def take_side(self, choice: PlainChoice) -> None:
        """Take one side, or both, for the chosen path; the last one only after a question."""
        row = self.chosen
        if row is None or row.conflict is None:
            return
        make = deciding.by_choice(self.model.live_state, row.conflict, row.path, choice)
        left = [p for p in undecided(self.model.live_state, row.conflict) if p != row.path]
        if left:  # what is not the last can be decided again
            self._decide(make)
        else:
            self.steering.confirm(of_deciding(row, choice), partial(self._decide, make))

    def edit(self, argument: str) -> None:
        """Let an editor settle the chosen path."""
        row, state = self.chosen, self.model.live_state
        if row is None or row.conflict is None:
            return
        try:
            text = deciding.text_to_edit(state, row.conflict, row.path)
            edited = deciding.edited(self.app, row.path.path, text)
        except AnabranchError as error:
            self.steering.tell("warning", error.message)
            return
        if edited == text:
            self.steering.tell("info", "nothing was changed, so nothing was decided")
        else:
            self._decide(deciding.by_text(state, row.path, edited))

    def settle(self, argument: str) -> None:
        """Let a command settle the conflict, or have it typed."""
        row, state = self.chosen, self.model.live_state
        if row is None or row.conflict is None:
            return
        if not argument.strip():
            plan = state.point_plan(row.point) if row.point else None
            self.steering.ask_in_bar(f"settle {plan.resolver if plan else ''}")
            return
        self.steering.tell("info", "the command is at work")
        home = RunFolder(self.model.source.folder)
        self._decide(deciding.by_command(state, home, row.conflict, argument))

    def _decide(self, make: deciding.Making) -> None:
        """Make a decision in a thread, as git has a part in it, and send it."""
        self.steering.in_thread(lambda: deciding.decided(make), self._send_decision, "deciding")

    def _send_decision(self, made: tuple[Resolution, ...] | str) -> None:
        if isinstance(made, str):
            self.steering.tell("warning", made)
        elif made:
            self.steering.steer(ResolveConflict(resolutions=made))
            self.go_to_next()

    def hand_back(self, argument: str) -> None:
        """Hand the conflict back to a stream: ``STREAM [NOTE]``, or ask which."""
        name, _, note = argument.strip().partition(" ")
        row = self.chosen
        if name:
            self._hand_to(name, note)
        elif row is not None and row.conflict is not None:
            late = str(row.conflict.late)
            choices = [
                Choice(
                    str(s),
                    str(number),
                    f"{s} does its work again",
                    "on top of what the others brought"
                    if s == late
                    else "on top of the other side",
                )
                for number, s in enumerate(reversed(row.streams), 1)
            ]
            self.steering.choose("Hand the conflict back", choices, self._hand_to, late)

    def _hand_to(self, name: str, note: str = "") -> None:
        self.steering.steer(HandBack(stream=StreamId(name), note=note))

    def take_back(self, argument: str) -> None:
        """Have the chosen path decided again; what was merged with it is merged anew."""
        row, made = self.chosen, self._made()
        if row is None or made is None:
            return
        if row.waits:  # nothing has gone on from it
            self._reopen(made)
        else:
            self.steering.confirm(of_reopening(row), partial(self._reopen, made))

    def _reopen(self, made: Decision) -> None:
        self._awaited = key_of(made.resolution)
        self.steering.steer(ReopenConflict(resolutions=(made.resolution,)))

    def _made(self) -> Decision | None:
        """Return the decision about the chosen path that holds now."""
        row = self.chosen
        if row is None or row.resolution is None:
            return None
        return self.model.live_state.decisions.get(key_of(row.path))

    def why_not_taken_back(self, argument: str) -> str | None:
        """Say why what is chosen stays decided, if so."""
        made = self._made()
        if made is None:
            return "nothing was decided about what is chosen"
        refusal = why_not_reopened(self.model.live_state, made)
        return None if refusal is None else f"{refusal.reason}; {refusal.hint}"

    def tell_both(self, argument: str) -> None:
        """Tell both streams of a foreseen conflict about it."""
        row = self.chosen
        if row is not None and len(row.streams) == 2:
            self.steering.steer(TellConflict(streams=(row.streams[0], row.streams[1])))

    def none_waits(self, argument: str) -> str | None:
        """Say so if what is chosen does not wait for a decision."""
        waits = bool(argument) or bool(self.chosen and self.chosen.waits)
        return None if waits else "no path that waits for a decision is chosen"

    def none_foreseen(self, argument: str) -> str | None:
        """Say so if what is chosen is not a foreseen conflict."""
        is_foreseen = bool(self.chosen and self.chosen.is_foreseen)
        return None if is_foreseen else "no foreseen conflict is chosen"

    verbs = (
        Verb(
            "take-ours",
            "Take ours: what merged before",
            ("o",),
            lambda self, _: self.take_side("ours"),
            none_waits,
            footer="Ours",
            steers=True,
        ),
        Verb(
            "take-theirs",
            "Take theirs: the late one's",
            ("T",),
            lambda self, _: self.take_side("theirs"),
            none_waits,
            footer="Theirs",
            steers=True,
        ),
        Verb(
            "take-both",
            "Take the lines of both",
            ("b",),
            lambda self, _: self.take_side("both"),
            none_waits,
            footer="Both",
            steers=True,
        ),
        Verb("edit", "Edit it in $EDITOR", ("e",), edit, none_waits, footer="Edit", steers=True),
        Verb(
            "hand-back",
            "Hand it back to a stream…",
            ("h",),
            hand_back,
            none_waits,
            args="[STREAM [NOTE]]",
            completes="streams",
            footer="Hand back",
            steers=True,
            shows_its_pane=False,
        ),
        Verb(
            "settle",
            "Let a command settle it…",
            ("r",),
            settle,
            lambda self, _: self.none_waits(""),
            args="COMMAND",
            footer="Command",
            steers=True,
        ),
        Verb(
            "undo-decision",
            "Undo: decide it again",
            ("u",),
            take_back,
            why_not_taken_back,
            footer="Undo",
            steers=True,
        ),
        Verb(
            "tell-both",
            "Tell both streams of it",
            ("m",),
            tell_both,
            none_foreseen,
            footer="Tell both",
            steers=True,
        ),
    )
