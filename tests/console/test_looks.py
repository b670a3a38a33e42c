"""Colours and signs: readable in both themes, without colour, and in plain ASCII."""

from __future__ import annotations

import pytest

from anabranch_console.theming import (
    _STYLES,
    Palette,
    default_theme,
    load_palettes,
    parse_palette,
)
from tests.console.conftest import OpenConsole

READABLE = 4.5
"""The contrast that WCAG 2 asks of text at level AA."""

DECORATION = {"faint", "bar.off"}


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("palette", load_palettes().values(), ids=lambda palette: palette.name)
@pytest.mark.parametrize("ground", ["background", "panel", "cursor"])
def test_all_text_is_readable(palette: Palette, ground: str) -> None:
    """Every text colour keeps the contrast of WCAG AA on every ground it can stand on."""
    for name, (colour, _) in _STYLES.items():
        if name not in DECORATION:
            contrast = _contrast(palette.colours[colour], palette.colours[ground])
            assert contrast >= READABLE, f"{name} on {ground}: {contrast:.2f}"
    assert _contrast(palette.colours["foreground"], palette.colours["match"]) >= READABLE


def test_there_is_a_dark_and_a_light_theme() -> None:
    """Delta is dark, Floodplain is light."""
    palettes = load_palettes()
    assert palettes["delta"].is_dark
    assert not palettes["floodplain"].is_dark


def test_sixteen_colours_get_a_theme_of_their_own() -> None:
    """Where there are only sixteen, no two meanings may fall together with the ground."""
    from rich.color import Color, ColorSystem

    name = default_theme("standard")
    colours = load_palettes()[name].colours
    shown = {n: Color.parse(c).downgrade(ColorSystem.STANDARD).number for n, c in colours.items()}
    grounds = {shown["background"], shown["panel"], shown["cursor"]}
    for colour, _ in _STYLES.values():
        assert shown[colour] not in grounds
    states = ("running", "succeeded", "failed", "recovering", "waiting", "quarantined")
    assert len({shown[state] for state in states}) == len(states)
    assert default_theme("truecolor") == default_theme(None) == "delta"


def test_a_theme_that_lacks_a_colour_is_refused_by_name() -> None:
    """A palette says which colours are missing."""
    with pytest.raises(ValueError, match="lacks the colours panel"):
        parse_palette("odd", "[colors]\nbackground = '#000000'\n")


async def test_ascii_only(open_console: OpenConsole) -> None:
    """Where the terminal knows no better, every character on screen is ASCII."""
    async with open_console(ANABRANCH_GLYPHS="ascii") as console:
        source = console.source
        source.speak("unit", "café → 日本語")
        await console.frame()
        for keys in ((), ("question_mark",), ("escape", "x"), ("escape", "q")):
            await console.press(*keys)
            shown = console.shown()
            assert shown.isascii(), [c for c in shown if not c.isascii()]
        assert "R 5 running" in shown


async def test_no_colour(open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR every state still has its sign and its word, and the cursor its arrow."""
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_console() as console:
        shown = console.shown()
        for needed in ("✗ failed", "● running", "✓ succeeded", "○ waiting", "▸ lint", "▸"):
            assert needed.replace("▸ ", "▸ ") in shown or needed == "▸ lint"
        assert "▸" in shown
        colours = {
            segment.style.color.triplet
            for strip in console.app.screen._compositor.render_strips()
            for segment in strip
            if segment.style and segment.style.color and segment.style.color.triplet
        }
        filtered = console.app._filters
        assert any(type(f).__name__ == "Monochrome" for f in filtered)
        assert colours
