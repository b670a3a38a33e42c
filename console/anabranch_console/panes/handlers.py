"""The handlers of one stream: their table, and what the chosen one has written.

What is shown is read by a thread, once a second while the run goes on and at once when another
order, another filter or another handler is wished for; it is let go of when the pane is left.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical

from anabranch.core.ids import StreamId
from anabranch.core.inputs import RecoverHandler
from anabranch.core.views.handlers import why_not as why_no_handler
from anabranch.engine.handler_book import Handler, HandlerState
from anabranch.paths import RunFolder
from anabranch_console.containing import Contained
from anabranch_console.handler_reading import HandlerReader, Listing, Wish
from anabranch_console.lines import Line, Span
from anabranch_console.panes.log_verbs import LogVerbs
from anabranch_console.panes.pane import Filter, MenuItem
from anabranch_console.panes.sorted_pane import SortedPane, sorting_verbs
from anabranch_console.presenters import consequences, handler_words
from anabranch_console.presenters.handler_lines import (
    PLACE,
    handler_columns,
    handler_facts,
    why_no_output,
)
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.sort_order import SortOrder
from anabranch_console.steering import Steering
from anabranch_console.text_filter import TextFilter, compile_text_filter
from anabranch_console.verbs import Verb
from anabranch_console.widgets.held_lines import HeldLines
from anabranch_console.widgets.line_view import TextLines
from anabranch_console.widgets.log_view import LogView

_RETRIED = "tried again from the console"


class HandlerDetails(Contained, Vertical):
    """Facts about the chosen handler above, what it has written below."""

    def __init__(self) -> None:
        super().__init__(id="handler-details", classes="detail")
        self.facts = TextLines(id="handler-facts", classes="panel")
        self.facts.can_focus = False
        self.output = LogView(id="handler-output")
        self.output.verbs_of = LogVerbs.name_of
        self.frame = Container(self.output, id="handler-output-frame", classes="panel")

    def compose(self) -> ComposeResult:
        yield self.facts
        yield self.frame


class HandlersPane(SortedPane[Handler]):
    """One row a handler that has begun, in the order of the items at first."""

    name_of = where = of_pane = "handlers"
    title = "Handlers"
    full_title = "The handlers of a stream"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        columns = handler_columns(lambda: self.glyphs, self._wall)
        super().__init__(model, steering, columns, lambda handler: handler.place)
        self._order = SortOrder(columns, PLACE)
        self.grid.sorted_by = lambda: (self._order.sort, self._order.is_reversed)
        self.details = HandlerDetails()
        self.stream: StreamId | None = None
        self._filter = TextFilter()
        self._reader: HandlerReader | None = None
        self._listing = Listing()
        self._is_reading = self._is_asked_again = False
        self._shown: int | None = None
        self._held = HeldLines()

    def compose(self) -> ComposeResult:
        yield self.grid
        yield self.details

    def completions(self) -> Mapping[str, Iterable[str]]:
        return {"handler columns": self._order.sortable}

    def _wall(self) -> float:
        return self.model.state.started_wall + self.model.now

    # --- which stream ----------------------------------------------------------------------------

    def show_those_of(self, stream: StreamId) -> None:
        """Show the handlers of a stream, from the first on."""
        if stream != self.stream:
            self.stream = stream
            self._filter = TextFilter()
            self.grid.cursor = None
            self.grid.cursor_index = self.grid.top = 0
        self.title = f"Handlers of {safe(stream)}"
        folder = RunFolder(self.model.source.folder).handlers(stream)
        self._reader = HandlerReader(folder)

    def left(self) -> None:
        self._reader = None
        self._listing = Listing()
        self.grid.rows = ()
        self._show_output(None)

    def chosen_streams(self) -> list[StreamId]:
        return [self.stream] if self.stream else []

    # --- reading ---------------------------------------------------------------------------------

    def update(self) -> None:
        self._ask()
        self.grid.compare()
        self.paint_titles()
        self.paint_detail()

    def apply(self, changes: Changes) -> None:
        if changes.is_new_second or changes.is_other_time or self.stream in changes.rows:
            self.update()

    def _ask(self) -> None:
        """Have read what there is, unless that is being done; then once more afterwards."""
        if self._is_reading:
            self._is_asked_again = True
            return
        reader = self._reader
        if reader is None:
            return
        self._is_reading = True
        chosen = self.chosen.place if self.chosen else None
        wish = Wish(self._order.sort, self._order.is_reversed, self._filter, chosen)
        wall = self._wall()

        def read() -> tuple[HandlerReader, Wish, Listing]:
            return reader, wish, _read(reader, wish, wall)

        self.steering.in_thread(read, self._take, "handlers")

    def _take(self, found: tuple[HandlerReader, Wish, Listing]) -> None:
        reader, wish, listing = found
        self._is_reading = False
        is_asked_again, self._is_asked_again = self._is_asked_again, False
        if reader is self._reader:
            self._show(wish, listing)
        elif self._reader is not None:
            is_asked_again = True
        if is_asked_again:
            self._ask()

    def _show(self, wish: Wish, listing: Listing) -> None:
        is_first = not self.grid.rows
        self._listing = listing
        self.grid.say_when_empty((Span(f"  {self._why_empty()}", "muted"),))
        self.grid.show(listing.rows, listing.chosen_at)
        if self.chosen is not None and self.chosen.place == wish.chosen:
            self._show_output(listing)
        self.paint_titles()
        self.paint_detail()
        if listing.again_seconds:
            self.set_timer(listing.again_seconds, self._ask)
        elif listing.again_seconds == 0 or (is_first and self.grid.rows):
            self._ask()  # for the rest of the book, and the output of the one chosen now

    def _why_empty(self) -> str:
        if self._listing.problem:
            return self._listing.problem
        if not self._listing.is_whole:
            return "reading…"
        if not self._filter.is_empty and self._listing.total:
            return "no handler matches; esc clears the filter"
        return "no handler has begun yet"

    # --- what is seen ----------------------------------------------------------------------------

    @property
    def order(self) -> SortOrder[Handler]:
        return self._order

    def rearrange(self) -> None:
        self.paint_titles()
        self._ask()

    @property
    def filter(self) -> Filter:
        return self._filter

    @property
    def total(self) -> int:
        return self._listing.total

    def apply_filter(self, text: str) -> None:
        self._filter = compile_text_filter(text)
        self.rearrange()

    @property
    def detail_view(self) -> LogView:
        return self.details.output

    @property
    def log_view(self) -> LogView:
        return self.details.output

    def keep_reading(self) -> None:
        self.log_view.read_more()

    def standing(self) -> Line:
        dot = f" {self.glyphs.separator} "
        spans = [] if self._listing.is_whole else [Span(f"{dot}reading…", "muted")]
        failed = self._listing.total_failed
        if failed:
            spans.append(Span(f"{dot}{failed:,} failed", "state.failed"))
        tally = self.model.tally_of(self.stream) if self.stream else None
        if tally is not None and self._is_running:
            spans.append(Span(dot + handler_words.pace_in_short(tally), "muted"))
        if self.model.time.past is not None:
            spans.append(Span(f"{dot}as they are now", "muted"))
        return (*spans, *self.order_in_words())

    @property
    def _is_running(self) -> bool:
        stream = self.model.live_state.streams.get(self.stream) if self.stream else None
        return stream is not None and not stream.has_ended

    def paint_detail(self) -> None:
        details, chosen = self.details, self.chosen
        cells = details.facts.content_size.width
        if cells:
            details.facts.show(handler_facts(chosen, self._wall(), cells) if chosen else [])
        title = Span("no handler is chosen", "muted")
        if chosen is not None:
            name = chosen.state
            title = Span(f"{self.glyphs.state(name)} {name}", f"state.{name}")
        number = (Span(f"#{chosen.place} ", "strong"),) if chosen else ()
        self.set_title(details.facts, "title", (*number, title))
        if self._shown is not None and (chosen is None or chosen.place != self._shown):
            self._show_output(None)
        self._paint_output_title()

    def another_is_chosen(self) -> None:
        super().another_is_chosen()
        self._ask()

    # --- its output ------------------------------------------------------------------------------

    def _show_output(self, listing: Listing | None) -> None:
        """Show what the chosen handler wrote; None for nothing, as it is not known yet."""
        output, chosen = (listing.output, listing.chosen) if listing else (None, None)
        view = self.details.output
        view.say_when_empty((Span(why_no_output(chosen) if output else "", "muted"),))
        if chosen is None or output is None:
            if listing is None:
                self._shown = None
                view.show_held(None, follows=False)
            return
        if chosen.place != self._shown:
            self._shown, self._held = chosen.place, HeldLines()
            view.show_held(self._held, follows=chosen.ended is None)
        if view.is_following or output.begin == self._held.begin:  # what is being read stays
            self._held.take(output.lines, output.begin, output.size)
            view.read_more()

    @on(LogView.Changed)
    def _paint_output_title(self) -> None:
        view, dot = self.details.output, f" {self.glyphs.separator} "
        self.set_title(self.details.frame, "title", (Span("Output", "title"),))
        parts = [*view.standing(), *(["wrapped"] if view.is_wrapped else [])]
        self.set_title(self.details.frame, "subtitle", (Span(dot.join(parts), "muted"),))

    @on(TextLines.Resized)
    def _other_width(self) -> None:
        self.details.facts.forget_strips()
        self.paint_detail()

    def step_back(self) -> bool:
        view = self.details.output
        if self.screen.focused is view and view.needle:
            view.find("")
            return True
        return False

    # --- verbs -----------------------------------------------------------------------------------

    def menu(self) -> list[MenuItem]:
        name = str(self.stream or "")
        items = [MenuItem("retry", "r", name, "all that failed")]
        if self.chosen is not None:
            items.append(MenuItem("retry-handler", "h", detail=f"#{self.chosen.place} alone"))
        items += [MenuItem("recover", "g", name, name), MenuItem("stop", "s", name, name)]
        return items if self.stream else []

    @property
    def menu_title(self) -> str:
        return f"Actions on {self.title.lower()}"

    def step_failure(self, step: int) -> None:
        """Go to the next handler that has failed with 1, to the one before with -1."""
        failed, here = self._listing.failed, self.grid.cursor_index
        at = bisect_right(failed, here) if step > 0 else bisect_left(failed, here) - 1
        self.grid.put_cursor(failed[at % len(failed)])

    def none_failed(self, argument: str) -> str | None:
        """Say so if none of those that are listed has failed."""
        return None if self._listing.failed else "no handler that is listed has failed"

    def retry(self, argument: str) -> None:
        """Have the chosen handler tried again, after a question; if it runs, it is ended first."""
        chosen, stream = self.chosen, self.stream
        if chosen is not None and stream is not None:
            asked = consequences.of_retrying_handler(
                stream, chosen, self._wall(), has_ended=not self._is_running
            )
            again = RecoverHandler(stream=stream, handler=chosen.place, reason=_RETRIED)
            self.steering.steer_after_yes(asked, [again])

    def cannot_retry(self, argument: str) -> str | None:
        """Say so if the chosen one has succeeded, or its stream is not one to be tried again."""
        if self.chosen is None or self.stream is None:
            return "no handler is chosen"
        if self.chosen.state is HandlerState.SUCCEEDED:
            return "it has succeeded"
        refusal = why_no_handler(self.model.state, self.stream)
        return refusal.reason if refusal else None

    def copy_item(self, argument: str) -> None:
        """Copy what the item of the chosen handler is."""
        if self.chosen is not None:
            self.steering.copy(safe(self.chosen.text))

    def none_chosen(self, argument: str) -> str | None:
        """Say so if there is none."""
        return None if self.chosen else "no handler is chosen"

    verbs = (
        *sorting_verbs("-handlers", "handler columns"),
        Verb(
            "next-failure",
            "Next handler that has failed",
            ("n",),
            lambda self, _: self.step_failure(1),
            none_failed,
            footer="Failed",
        ),
        Verb(
            "previous-failure",
            "Previous handler that has failed",
            ("N",),
            lambda self, _: self.step_failure(-1),
            none_failed,
        ),
        Verb(
            "retry-handler",
            "Try the handler again…",
            ("x h",),
            retry,
            cannot_retry,
            steers=True,
            shows_its_pane=False,
        ),
        Verb("copy-item", "Copy the item", ("y",), copy_item, none_chosen, footer="Copy"),
    )


def _read(reader: HandlerReader, wish: Wish, wall: float) -> Listing:
    try:
        return reader.read(wish, time.monotonic(), wall)
    except OSError as error:
        return Listing(problem=f"their book cannot be read: {error.strerror or error}")
