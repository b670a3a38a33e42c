"""What a stream has changed: its files, the hunks of the chosen one, and a review of all that.

It is read by a thread: once when somebody comes, again while the stream runs, and when it has
another result. What is read then is shown from where one was.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult

from anabranch.core.ids import StreamId
from anabranch.core.inputs import AddNote, HandBackWork, RemoveNote, TakeWork
from anabranch.core.views.reviews import merged_at, review_of, waits_for_review
from anabranch.core.wording import counted
from anabranch.hostile_text import utf8_text
from anabranch_console.diff_reading import DiffReading, Read
from anabranch_console.lines import Line, Span
from anabranch_console.panes.pane import Filter, MenuItem, Pane
from anabranch_console.presenters import consequences
from anabranch_console.presenters.diff_lines import FileRow, file_columns
from anabranch_console.presenters.diff_rows import anchored, next_hunk, note_at, rows_of
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.steering import Steering
from anabranch_console.text_filter import TextFilter, cells_of, compile_text_filter, keys_of
from anabranch_console.verbs import Verb
from anabranch_console.widgets.diff_view import DiffView

if TYPE_CHECKING:
    from anabranch.core.events import ReviewNote
    from anabranch.core.model.state import State
    from anabranch.engine.differences import Against, StreamDifference

REST_FACTOR = 10.0
LEAST_REST_SECONDS = 1.0
_REASON = "from the console"


class DiffPane(Pane[FileRow]):
    """One row a changed file; beside it its lines, which take notes."""

    name_of = where = of_pane = "diff"
    title = "Changes"
    full_title = "What a stream has changed"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        columns = file_columns(lambda: self.glyphs)
        super().__init__(model, steering, columns, lambda row: row.path)
        self.view = DiffView(id="diff-lines", classes="panel detail")
        self.view.verbs_of = self.name_of
        self.stream: StreamId | None = None
        self.against: Against = "base"
        self._filter = TextFilter()
        self._reading: DiffReading | None = None
        self._read: Read | None = None
        self._is_reading = self._is_failing = False
        self._looked_at: object = None
        self._rest_until = 0.0
        self._drawn: object = None
        self._anchor: ReviewNote | None = None

    def compose(self) -> ComposeResult:
        yield self.grid
        yield self.view

    # --- which stream ----------------------------------------------------------------------------

    def show_those_of(self, stream: StreamId) -> None:
        """Show what a stream has changed, from the first file on."""
        if stream != self.stream:
            self._forget()
            self.stream = stream
            self.against = "base"
            self._filter = TextFilter()
            self.grid.cursor = None
            self.grid.cursor_index = self.grid.top = 0
        self.title = f"Changes of {safe(stream)}"
        self._reading = self._reading or DiffReading()

    @property
    def entrance(self) -> DiffView:
        return self.view

    def arrived(self) -> None:
        self.screen.add_class("-drawer")  # where there is no room for both, the lines are seen

    def left(self) -> None:
        self._forget()

    def closed(self) -> None:
        if self._reading is not None:
            self._reading.close()

    def _forget(self) -> None:
        reading, self._reading = self._reading, None
        self._read = self._looked_at = self._drawn = self._anchor = None
        if reading is not None:
            self.steering.in_thread(reading.close, lambda _: None, "diff")

    def chosen_streams(self) -> list[StreamId]:
        return [self.stream] if self.stream else []

    # --- reading ---------------------------------------------------------------------------------

    def apply(self, changes: Changes) -> None:
        if changes.is_new_second or changes.events or self.stream in changes.rows:
            self.update()

    def update(self) -> None:
        self._ask()
        self._show_files()
        self.paint_titles()
        self.paint_detail()

    def _ask(self) -> None:
        """Have the changes read, if they may be others by now."""
        reading, stream, state = self._reading, self.stream, self.model.live_state
        known = state.streams.get(stream) if stream else None
        if self._is_reading or reading is None or stream is None or known is None:
            return
        commit = known.result.commit if known.result else ""
        merged = tuple(p.commit for p in state.points.values()) if self.against == "result" else ()
        wish = (reading, known.attempt, known.phase, commit, self.against, merged)
        is_live = known.is_active and time.monotonic() >= self._rest_until
        if wish == self._looked_at and not is_live:
            return
        self._is_reading, self._looked_at = True, wish
        work = partial(_read, reading, state, stream, self.against, wish)
        self.steering.in_thread(work, self._take, "diff")

    def _take(self, taken: tuple[object, Read]) -> None:
        wish, read = taken
        self._is_reading = False
        rest = max(LEAST_REST_SECONDS, REST_FACTOR * read.seconds)
        self._rest_until = time.monotonic() + rest
        if self._is_passing(read):
            self._looked_at = None  # it is read again, and where one reads stays
        elif wish == self._looked_at and self._reading is not None and self._is_news(read):
            self._read = read
        if self.is_in_sight:
            self.update()

    def _is_passing(self, read: Read) -> bool:
        """Say whether a problem is the first in a row: files come and go while they are read."""
        was_failing, self._is_failing = self._is_failing, bool(read.problem)
        return self._is_failing and not was_failing and self.seen is not None

    def _is_news(self, read: Read) -> bool:
        before = self._read
        return before is None or (before.found, before.problem) != (read.found, read.problem)

    @property
    def seen(self) -> StreamDifference | None:
        """What is shown; None while nothing was read, or nothing can be."""
        return self._read.found if self._read is not None else None

    # --- what is seen ----------------------------------------------------------------------------

    @property
    def detail_view(self) -> DiffView:
        return self.view

    @property
    def filter(self) -> Filter:
        return self._filter

    @property
    def total(self) -> int:
        return len(self.seen.found.files) if self.seen else 0

    def apply_filter(self, text: str) -> None:
        self._filter = compile_text_filter(text, keys_of(self.grid.columns))
        self.update()

    def _show_files(self) -> None:
        if self.stream is None:
            return
        notes = Counter(n.note.path for n in review_of(self.model.state, self.stream).notes)
        files = self.seen.found.files if self.seen else ()
        rows = [FileRow(file, notes[utf8_text(file.path)]) for file in files]
        if not self._filter.is_empty:
            keys, wanted = keys_of(self.grid.columns), self._filter
            rows = [row for row in rows if wanted.matches(row.path, cells_of(keys, row))]
        self.grid.say_when_empty((Span(f"  {safe(self._why_empty())}", "muted"),))
        self.grid.show(rows)

    def _why_empty(self) -> str:
        if self._read is None:
            return "reading…"
        if self._read.problem:
            return self._read.problem
        if not self._filter.is_empty and self.total:
            return "no file matches; esc clears the filter"
        return "nothing is changed" if self.against == "base" else "what has merged has it all"

    def standing(self) -> Line:
        seen, dot = self.seen, f" {self.glyphs.separator} "
        if seen is None:
            return ()
        spans = [Span(f"{dot}+{seen.found.added}", "diff.added")]
        spans.append(Span(f" -{seen.found.removed}", "diff.removed"))
        return tuple(spans)

    def paint_titles(self) -> None:
        super().paint_titles()
        chosen, dot = self.chosen, f" {self.glyphs.separator} "
        path = (Span(safe(chosen.path), "title"),) if chosen else (Span("Lines", "title"),)
        self.set_title(self.view, "title", path)
        parts = [part for part in (*self._what_it_is(), *self._place()) if part]
        waits = self.stream is not None and waits_for_review(self.model.state, self.stream)
        marks = (Span("waits for your review", "badge.warning"),) if waits else ()
        rest = dot.join(parts)
        gap = (Span(dot, "muted"),) if marks and rest else ()
        self.set_title(self.view, "subtitle", (*marks, *gap, Span(rest, "muted")))

    def _what_it_is(self) -> list[str]:
        seen = self.seen
        if seen is None:
            return []
        source = {"workspace": "as it is now", "result": "its result", "partial": "partial work"}
        against = "its base" if seen.against == "base" else "what has merged"
        clash = f"{counted(len(seen.conflicts), 'file')} would not merge" if seen.conflicts else ""
        return [f"attempt {seen.attempt}, {source[seen.source]}", f"against {against}", clash]

    def _place(self) -> list[str]:
        rows = self.view.rows
        return [f"{self.view.cursor + 1} of {len(rows)}"] if rows else []

    def paint_detail(self) -> None:
        chosen, stream = self.chosen, self.stream
        if chosen is None or stream is None:
            if self._drawn is not None:
                self._drawn = None
                self.view.show("", [])
            return
        notes = review_of(self.model.state, stream).notes
        drawn = (chosen.file, notes)
        if drawn != self._drawn:
            self._drawn = drawn
            self.view.show(chosen.path, rows_of(chosen.file, notes))

    @on(DiffView.CursorMoved)
    def _cursor_has_moved(self) -> None:
        self.paint_titles()

    # --- moving ----------------------------------------------------------------------------------

    def step_hunk(self, step: int) -> None:
        """Go to the next hunk with 1, to the one before with -1; on to other files at the ends."""
        at = next_hunk(self.view.rows, self.view.cursor, step)
        if at is not None:
            self.view.put_cursor(at)
            return
        other = self.grid.cursor_index + step
        if not 0 <= other < len(self.grid.rows):
            last = "last" if step > 0 else "first"
            self.steering.tell("info", f"this is the {last} hunk")
            return
        self.grid.put_cursor(other)
        self.paint_detail()
        if step < 0:
            self.view.move("last")
            at = next_hunk(self.view.rows, self.view.cursor, -1)
            self.view.put_cursor(self.view.cursor if at is None else at)

    def toggle(self, argument: str) -> None:
        """Compare with the other: with what it started from, or with what has merged by now."""
        self.against = "base" if self.against == "result" else "result"
        self._read = None
        self.update()

    # --- notes -----------------------------------------------------------------------------------

    @on(DiffView.NoteAsked)
    def _note_asked(self) -> None:
        why_not = self.no_review("")
        if why_not:
            self.steering.tell("warning", f"Note: {why_not}")
        else:
            self.note("")

    def no_lines(self, argument: str) -> str | None:
        """Say so if there is no changed file to go through."""
        return None if self.grid.rows else "nothing is changed here"

    def note(self, argument: str) -> None:
        """Write a note on the line under the cursor, or have it typed."""
        chosen, stream = self.chosen, self.stream
        if chosen is None or stream is None:
            return
        if not argument:
            self._anchor = anchored(chosen.path, self.view.rows, self.view.cursor)
            self.steering.ask_in_bar("note ")
            return
        place = self._anchor or anchored(chosen.path, self.view.rows, self.view.cursor)
        self._anchor = None
        self.steering.steer(AddNote(stream=stream, note=replace(place, text=argument)))

    def remove_note(self, argument: str) -> None:
        """Take the note under the cursor back."""
        number = note_at(self.view.rows, self.view.cursor)
        if self.stream is not None:
            self.steering.steer(RemoveNote(stream=self.stream, note=number))

    def no_note(self, argument: str) -> str | None:
        """Say so if the cursor is on none, nor on a line that has just one."""
        if note_at(self.view.rows, self.view.cursor):
            return None
        return "no note, or several, at the cursor; put it on the note itself"

    # --- the review ------------------------------------------------------------------------------

    def take(self, argument: str) -> None:
        """Take the result just as it is shown, after a question."""
        seen = self.seen
        if seen is not None and seen.commit:
            asked = consequences.of_taking(self.model.live_state, seen)
            reason = f"taken {_REASON}"
            taking = TakeWork(stream=seen.stream, commit=seen.commit, reason=reason)
            self.steering.steer_after_yes(asked, [taking])

    def hand_back(self, argument: str) -> None:
        """Hand the result back with the notes and a text, after a question; or have that typed."""
        seen, state = self.seen, self.model.live_state
        if seen is None or not seen.commit:
            return
        if not argument and not review_of(state, seen.stream).notes:
            self.steering.ask_in_bar("hand-back-work ")
            return
        asked = consequences.of_handing_work_back(state, seen, argument)
        handing = HandBackWork(
            stream=seen.stream, commit=seen.commit, note=argument, reason=f"handed back {_REASON}"
        )
        self.steering.steer_after_yes(asked, [handing])

    def no_review(self, argument: str) -> str | None:
        """Say so if the stream needs none."""
        state = self.model.state
        if self.stream is None or self.seen is None:
            return "nothing is shown"
        needs = self.stream in state.topology.reviewed
        return None if needs else f"{self.stream} needs no review (review = true in the plan)"

    def cannot_take(self, argument: str) -> str | None:
        """Say so if what is shown does not wait for a review."""
        why_not = self.no_review("")
        if why_not or self.stream is None or self.seen is None:
            return why_not
        if not waits_for_review(self.model.state, self.stream):
            return f"{self.stream} does not wait for a review"
        return None if self.seen.commit else "its result is being read"

    def cannot_hand_back(self, argument: str) -> str | None:
        """Say so if what is shown is not a result, or is merged."""
        why_not = self.no_review("")
        if why_not or self.seen is None or self.stream is None:
            return why_not
        point = merged_at(self.model.state, self.stream)
        if point is not None:
            return f"{self.stream} is merged at {point} already; another stream can mend it"
        return None if self.seen.source == "result" else f"{self.stream} is not finished"

    def menu(self) -> list[MenuItem]:
        stream = str(self.stream or "")
        notes = len(review_of(self.model.state, self.stream).notes) if self.stream else 0
        return [
            MenuItem("take", "T", detail="as it is shown"),
            MenuItem("hand-back-work", "H", detail=counted(notes, "note")),
            *self.menu_of_stream(self.stream if stream else None),
        ]

    @property
    def menu_title(self) -> str:
        return f"Actions on {safe(self.stream or '')}"

    verbs = (
        Verb(
            "note",
            "Note on the line…",
            ("c",),
            note,
            no_review,
            args="[TEXT]",
            footer="Note",
            steers=True,
        ),
        Verb("remove-note", "Take the note back", ("D",), remove_note, no_note, steers=True),
        Verb(
            "take",
            "Take the work: it may be merged…",
            ("T",),
            take,
            cannot_take,
            footer="Take",
            steers=True,
        ),
        Verb(
            "hand-back-work",
            "Hand the work back with the notes…",
            ("H",),
            hand_back,
            cannot_hand_back,
            args="[TEXT]",
            footer="Hand back",
            steers=True,
        ),
        Verb(
            "next-hunk",
            "Next hunk",
            ("n",),
            lambda self, _: self.step_hunk(1),
            no_lines,
            footer="Next",
        ),
        Verb("previous-hunk", "Previous hunk", ("N",), lambda self, _: self.step_hunk(-1)),
        Verb("against", "Against its base, or what has merged", ("t",), toggle, footer="Against"),
    )


def _read(
    reading: DiffReading, state: State, stream: StreamId, against: Against, wish: object
) -> tuple[object, Read]:
    return wish, reading.read(state, stream, against)
