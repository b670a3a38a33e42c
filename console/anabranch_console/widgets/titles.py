"""The titles in the borders of panels, set only where they are other ones: each paints a border."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from anabranch_console.lines import Line
from anabranch_console.widgets.line_view import Looks


class Titles:
    """Knows which titles stand in which borders."""

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], Line] = {}

    def put(self, widget: Widget, side: str, line: Line, looks: Looks) -> None:
        """Set a panel's ``title`` or ``subtitle``, unless it stands there."""
        key = (widget.id or "", side)
        if self._standing.get(key) == line:
            return
        self._standing[key] = line
        content: Content | str = ""
        if line:
            parts = [
                (looks.glyphs.presentable(t), str(looks.palette.style(s))) for t, s in line if t
            ]
            content = Content.assemble(*parts)
        if side == "title":
            widget.border_title = content
        else:
            widget.border_subtitle = content

    def forget(self) -> None:
        """Have every title set anew: colours have changed."""
        self._standing.clear()
