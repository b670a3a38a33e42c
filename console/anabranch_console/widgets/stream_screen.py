"""The terminal of a stream as one more view: an emulated screen, live, that takes keys when asked.

What comes from the stream is taken when it comes, for a few milliseconds at a time: a flood costs
its watcher what it misses, never the console its keys. While the view has the keys, all of them go
to the program but one (ctrl+]); the mouse does, too, if the program hears it.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip

from anabranch.core.ids import Attempt, StreamId
from anabranch.engine.attaching import RECENT_BYTES, Attachment, Standing
from anabranch.errors import WorldError
from anabranch.paths import RunFolder
from anabranch_console.attached import shown
from anabranch_console.attached.emulator import Emulator
from anabranch_console.attached.outbox import Outbox
from anabranch_console.attached.typed import Piece
from anabranch_console.lines import Span
from anabranch_console.widgets.line_view import LineView

TAKING_SECONDS = 0.008
PAUSE_SECONDS = 0.016
NUDGE_SECONDS = 0.08
LEAVING_KEYS = ("ctrl+right_square_bracket", "ctrl+]")


class StreamScreen(LineView, inherit_bindings=False):
    """Shows the terminal of a stream."""

    class Changed(Message):
        """It has the keys, or has them no more; or the stream has ended."""

    class Left(Message):
        """The key that leaves was pressed."""

    def __init__(self, id: str = "terminal") -> None:
        super().__init__(id=id)
        self.can_focus = False
        self._of: tuple[StreamId, Attempt] | None = None
        self._seat: Attachment | None = None
        self._outbox: Outbox | None = None
        self._emulator: Emulator | None = None
        self._cursor: tuple[int, int] | None = None
        self._is_nudging = False
        self._strips: dict[int, Strip] = {}

    # --- whose terminal --------------------------------------------------------------------------

    def show(self, folder: RunFolder, stream: StreamId, attempt: Attempt) -> None:
        """Show the terminal of an attempt; what it showed last stays when it has ended."""
        if self._of == (stream, attempt):
            return
        self.leave()
        self._of = stream, attempt
        try:
            self._seat = seat = Attachment(folder, stream, attempt)
        except WorldError as error:
            self.say_when_empty((Span(error.message, "muted"),))
            return
        self._outbox = Outbox(seat)
        self._listen()

    def is_of(self, stream: StreamId) -> bool:
        """Return whether it shows the terminal of a stream, or showed it to its end."""
        return self._of is not None and self._of[0] == stream and self._emulator is not None

    def leave(self) -> None:
        """Show nobody's terminal any more; the stream runs on."""
        self._hang_up()
        self._of = self._emulator = self._cursor = None
        self.forget_strips()
        self.refresh()

    def say_why_not(self, why: str) -> None:
        """Show why there is no terminal."""
        self.leave()
        self.say_when_empty((Span(why, "muted"),))

    def on_unmount(self) -> None:
        self._hang_up()

    def _hang_up(self) -> None:
        if self._seat is not None:
            asyncio.get_running_loop().remove_reader(self._seat.fileno())
            self._seat.close()
        self._seat = self._outbox = None
        self.give_keys_back()

    # --- what it shows ---------------------------------------------------------------------------

    def _listen(self) -> None:
        if self._seat is not None:
            asyncio.get_running_loop().add_reader(self._seat.fileno(), self._take)

    def _take(self) -> None:
        """Take what has come, for a few milliseconds, and look again after a pause."""
        loop = asyncio.get_running_loop()
        if self._seat is None:
            return
        loop.remove_reader(self._seat.fileno())
        until = perf_counter() + TAKING_SECONDS
        while self._seat is not None and perf_counter() < until:
            try:
                said = self._seat.receive()
            except BlockingIOError:
                break
            if said is None:
                self._hang_up()
                self.post_message(self.Changed())
            elif isinstance(said, Standing):
                self._stand(said)
            elif self._emulator is not None:
                self._emulator.feed(said)
        self._send()
        self._paint_changes()
        loop.call_later(PAUSE_SECONDS, self._listen)

    def _stand(self, standing: Standing) -> None:
        """Follow the terminal's size; at first, and after a gap, begin with the end of what was."""
        if self._emulator is not None and not standing.left_out:
            self._emulator.resize(standing.rows, standing.columns)
            self.forget_strips()
            self.refresh()
            return
        assert self._seat is not None
        self._emulator = Emulator(standing.rows, standing.columns, self._put)
        wanted, recent = shown.modes_of(standing.modes), self._seat.recent(standing)
        self._emulator.feed(shown.switching(shown.modes_of(""), wanted))
        is_cut = len(recent) >= RECENT_BYTES
        self._emulator.feed(shown.before(recent, is_alternate=wanted.is_alternate, is_cut=is_cut))
        self.forget_strips()
        self.refresh()
        if self.has_keys:
            self._fit()

    def _put(self, piece: Piece) -> None:
        if self._outbox is not None:
            self._outbox.put(piece)

    def _send(self) -> None:
        if self._outbox is not None:
            self._outbox.send()

    def _paint_changes(self) -> None:
        emulator = self._emulator
        if emulator is None:
            return
        before, self._cursor = self._cursor, emulator.cursor if self.has_keys else None
        changed = set(emulator.changed_rows())
        if before != self._cursor:
            changed |= {place[1] for place in (before, self._cursor) if place}
        for row in changed:
            self._strips.pop(row, None)
            self.refresh_index(row)
        self._keep_cursor_in_sight(emulator.cursor)

    def _keep_cursor_in_sight(self, cursor: tuple[int, int] | None) -> None:
        """Scroll, where the terminal has more rows than there is room for."""
        if not self.content_size.height:
            return
        row, top = cursor[1] if cursor else self.top, min(self.top, self.last_top)
        if not top <= row < top + self.visible_lines:
            top = row - self.visible_lines + 1 if row > top else row
        self.scroll_to_line(top)

    @property
    def line_count(self) -> int:
        return self._emulator.rows if self._emulator is not None else 0

    def text_at(self, index: int) -> str:
        return self._emulator.text_of(index).rstrip() if self._emulator is not None else ""

    def strip_at(self, index: int) -> Strip:
        strip = self._strips.get(index)
        if strip is None:
            strip = self._strips[index] = self._painted(index)
        return strip

    def _painted(self, row: int) -> Strip:
        assert self._emulator is not None
        cursor = self._cursor[0] if self._cursor and self._cursor[1] == row else None
        glyphs, ground = self.looks.glyphs, self.looks.palette.style("text")
        segments = self._emulator.segments_of(row, cursor)
        if glyphs.is_ascii:
            segments = [Segment(glyphs.presentable(s.text), s.style) for s in segments]
        cells = self.content_size.width
        return Strip(segments).apply_style(ground).adjust_cell_length(cells, ground)

    def forget_strips(self) -> None:
        self._strips.clear()

    @property
    def allow_select(self) -> bool:
        """Whether the mouse selects: not while the program hears it."""
        return super().allow_select and not self._program_has_mouse

    # --- what goes in ----------------------------------------------------------------------------

    @property
    def has_keys(self) -> bool:
        """Whether keys go to the program."""
        return self.has_focus

    @property
    def is_live(self) -> bool:
        """Whether there is a program that could take keys."""
        return self._seat is not None

    def take_keys(self) -> bool:
        """Have all keys go to the program; false if there is none."""
        if self._seat is None:
            return False
        self.can_focus = True
        self.focus()
        self._fit()
        return True

    def give_keys_back(self) -> None:
        """Have keys mean what they mean elsewhere."""
        if self.has_focus:
            self.post_message(self.Left())
        self.can_focus = False

    def on_focus(self) -> None:
        self.post_message(self.Changed())
        if self._emulator is not None:
            self._emulator.focus(is_in=True)
            self._send()
        self._paint_changes()

    def on_blur(self) -> None:
        self.can_focus = False
        self.post_message(self.Changed())
        if self._emulator is not None:
            self._emulator.focus(is_in=False)
            self._send()
        self._paint_changes()

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        if self.has_keys:
            self._fit()

    def _fit(self) -> None:
        """Give the program the room there is, and have it paint that whole."""
        width, height = self.content_size
        if self._seat is None or not (width and height):
            return
        try:
            emulator = self._emulator
            if emulator and emulator.has_alternate_screen and not self._is_nudging:
                self._is_nudging = True
                self._seat.fit(max(1, min(height, emulator.rows) - 1), width)
                self.set_timer(NUDGE_SECONDS, self._fit)
                return
            self._is_nudging = False
            self._seat.fit(height, width)
        except BlockingIOError:
            self._is_nudging = False

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        if event.key in LEAVING_KEYS:
            self.give_keys_back()
        elif self._emulator is not None:
            self._emulator.key(event.key, event.character)
            self._send()

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        if self._emulator is not None:
            self._emulator.paste(event.text)
            self._send()

    # --- the mouse -------------------------------------------------------------------------------

    @property
    def _program_has_mouse(self) -> bool:
        return self.has_keys and self._emulator is not None and self._emulator.wants_mouse

    def _tell_mouse(self, event: events.MouseEvent, what: str, button: int) -> bool:
        if not self._program_has_mouse or self._emulator is None:
            return False
        event.stop()
        held = {"shift": event.shift, "meta": event.meta, "ctrl": event.ctrl}
        modifiers = {name for name, is_held in held.items() if is_held}
        self._emulator.mouse(event.x, event.y + self.top, button, what, modifiers)
        self._send()
        return True

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._tell_mouse(event, "press", max(0, event.button - 1))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._tell_mouse(event, "release", max(0, event.button - 1))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._tell_mouse(event, "move", max(0, event.button - 1))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if not self._tell_mouse(event, "press", 65):
            super().on_mouse_scroll_down(event)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if not self._tell_mouse(event, "press", 64):
            super().on_mouse_scroll_up(event)
