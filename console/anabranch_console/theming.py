"""Palettes: named colours, and the styles that panes ask for by meaning.

A theme file (:mod:`anabranch_console.theme_files`) holds colours only; which colour a failed stream
or a key has is decided here, once, for all themes. The terminal library gets the same colours for
what it draws itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.style import Style
from textual.theme import Theme

DEFAULT_THEME = "delta"
SIXTEEN_COLOUR_THEME = "basalt"

_STATES = {
    "waiting": "waiting",
    "queued": "waiting",
    "starting": "starting",
    "setting_up": "starting",
    "running": "running",
    "ready": "running",
    "stalled": "recovering",
    "unhealthy": "recovering",
    "recovering": "recovering",
    "succeeded": "succeeded",
    "failed": "failed",
    "skipped": "waiting",
    "quarantined": "quarantined",
    "stopped": "stopped",
    "stopping": "recovering",
    "interrupted": "recovering",
    "needs_operator": "recovering",
    "converged": "succeeded",
}

_STYLES: dict[str, tuple[str, bool]] = {
    "text": ("foreground", False),
    "strong": ("foreground", True),
    "muted": ("muted", False),
    "faint": ("faint", False),
    "accent": ("accent", False),
    "title": ("accent", True),
    "key": ("accent", True),
    "bar.on": ("accent", False),
    "bar.lost": ("failed", False),
    "bar.off": ("faint", False),
    "badge.warning": ("recovering", True),
    "level.info": ("muted", False),
    "level.routine": ("muted", False),
    "level.good": ("succeeded", False),
    "level.warning": ("recovering", False),
    "level.error": ("failed", False),
    "diff.added": ("succeeded", False),
    "diff.removed": ("failed", False),
    "code.comment": ("muted", False),
    "code.keyword": ("accent", False),
    "code.string": ("recovering", False),
    "code.number": ("starting", False),
    "code.name": ("running", False),
    "log.grey": ("muted", False),
    "log.red": ("failed", False),
    "log.green": ("succeeded", False),
    "log.yellow": ("recovering", False),
    "log.blue": ("running", False),
    "log.magenta": ("quarantined", False),
    "log.cyan": ("starting", False),
    "log.white": ("foreground", False),
    **{f"state.{state}": (colour, False) for state, colour in _STATES.items()},
    **{f"state.{state}.strong": (colour, True) for state, colour in _STATES.items()},
}

COLOURS = (
    "background",
    "panel",
    "cursor",
    "foreground",
    "muted",
    "faint",
    "border",
    "accent",
    "match",
    "waiting",
    "starting",
    "running",
    "recovering",
    "succeeded",
    "failed",
    "stopped",
    "quarantined",
)


@dataclass(slots=True)
class Palette:
    """The colours of one theme, and the styles made of them."""

    name: str
    title: str
    is_dark: bool
    colours: Mapping[str, str]
    _styles: dict[tuple[str, str], Style] = field(default_factory=dict)

    def style(self, name: str, background: str = "background") -> Style:
        """Return the style of a meaning on one of the backgrounds, plain text if unknown.

        ``+bold`` and ``+underlined`` after a meaning add to it.
        """
        key = (name, background)
        found = self._styles.get(key)
        if found is None:
            found = self._styles[key] = self._make(name, background)
        return found

    def _make(self, name: str, background: str) -> Style:
        if name == "match":
            return Style(color=self.colours["foreground"], bgcolor=self.colours["match"], bold=True)
        if name.endswith(".word"):  # what differs within a line stands out on any background
            colour, _ = _STYLES[name.removesuffix(".word")]
            return Style(color=self.colours["background"], bgcolor=self.colours[colour])
        name, *more = name.split("+")
        colour, is_bold = _STYLES.get(name, _STYLES["text"])
        return Style(
            color=self.colours[colour],
            bgcolor=self.colours[background],
            bold=is_bold or "bold" in more or None,
            underline="underlined" in more or None,
        )


def default_theme(colour_system: str | None) -> str:
    """Return the theme for a terminal, by what the library says about its colours."""
    return SIXTEEN_COLOUR_THEME if colour_system == "standard" else DEFAULT_THEME


def textual_theme(palette: Palette) -> Theme:
    """Return the palette in the form that the terminal library knows."""
    colours = palette.colours
    own = {f"ab-{name}": value for name, value in colours.items()}
    return Theme(
        name=palette.name,
        primary=colours["accent"],
        secondary=colours["running"],
        accent=colours["accent"],
        warning=colours["recovering"],
        error=colours["failed"],
        success=colours["succeeded"],
        foreground=colours["foreground"],
        background=colours["background"],
        surface=colours["background"],
        panel=colours["panel"],
        dark=palette.is_dark,
        text_alpha=1.0,
        variables={
            **own,
            "input-cursor-background": colours["accent"],
            "input-cursor-foreground": colours["background"],
            "input-selection-background": f"{colours['accent']} 35%",
            "screen-selection-background": colours["cursor"],
            "block-cursor-background": colours["cursor"],
            "block-cursor-foreground": colours["foreground"],
            "block-hover-background": colours["panel"],
        },
    )
