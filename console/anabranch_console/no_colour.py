"""What is painted where nobody wants colours: none at all, not even greys.

The toolkit turns colours into greys, which are colours too and may be unreadable on the ground of
the terminal. Here all has the terminal's own two; what is told apart by its ground is reversed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter, Monochrome

from anabranch_console.theming import Palette

_PLAIN_GROUNDS = ("background", "panel")


class NoColour(LineFilter):
    """Takes every colour away.

    Args:
        palette: returns the colours that are used, of which two are no more than a ground.
    """

    def __init__(self, palette: Callable[[], Palette]) -> None:
        super().__init__()
        self._palette = palette
        self._known: dict[tuple[str, Style], Style] = {}

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments without colours."""
        return [
            Segment(text, self._plain(style) if style else style, control)
            for text, style, control in segments
        ]

    def _plain(self, style: Style) -> Style:
        palette = self._palette()
        found = self._known.get((palette.name, style))
        if found is None:
            if len(self._known) > 2000:
                self._known.clear()
            found = self._known[palette.name, style] = self._made(style, palette)
        return found

    def _made(self, style: Style, palette: Palette) -> Style:
        ground = style.bgcolor.get_truecolor().hex if style.bgcolor else ""
        plain_grounds = {"", *(palette.colours[name].lower() for name in _PLAIN_GROUNDS)}
        is_told_apart = ground.lower() not in plain_grounds
        return Style(
            bold=style.bold,
            dim=style.dim,
            italic=style.italic,
            underline=style.underline,
            strike=style.strike,
            reverse=style.reverse != is_told_apart or None,
            meta=style.meta or None,
        )


def without_greys(
    filters: Iterable[LineFilter], palette: Callable[[], Palette]
) -> list[LineFilter]:
    """Return the toolkit's filters, with one that leaves no colour where it would leave greys."""
    return [NoColour(palette) if isinstance(f, Monochrome) else f for f in filters]
