"""The line that says that what is shown is the past."""

from __future__ import annotations

from anabranch.core import wording
from anabranch.core.model.state import State
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Part, Span, bar, fit_parts
from anabranch_console.presenters.wording import wall_clock
from anabranch_console.time_travel import Moment


def travel_line(moment: Moment, past: State, live: State, glyphs: Glyphs, cells: int) -> Line:
    """Return which moment is shown, how far it is behind, and the way back."""
    if moment.version is not None:
        number, noun = live.shared.head - past.shared.head, "version"
    else:
        number, noun = live.seq - past.seq, "event"
    behind = (f"{wording.counted(number, noun)} behind live", f"{number} behind live")
    at = wall_clock(past.started_wall, past.at)
    left = [
        Part(100, ((Span(f"{glyphs.past} viewing {moment.words}", "badge.warning"),),)),
        Part(80, tuple((Span(words, "text"),) for words in behind)),
        Part(30, ((Span(at, "text"),),)),
        Part(10, ((Span(f"event {past.seq}", "muted"),),)),
        Part(20, ((Span("read-only", "muted"),),)),
    ]
    right = [
        Part(
            75,
            (
                (Span("esc", "key"), Span(" back to live", "text")),
                (Span("esc", "key"), Span(" live", "text")),
            ),
        )
    ]
    fitted = fit_parts([*left, *right], cells - 2)
    return (Span(" "), *bar(fitted[:-1], fitted[-1:], cells - 2), Span(" "))
