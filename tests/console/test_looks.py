"""Colours and signs: readable in both themes, without colour, and in plain ASCII."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest

from anabranch_console.app import ConsoleApp
from anabranch_console.glyphs import SETS
from anabranch_console.lines import text_cells
from anabranch_console.theme_files import load_themes, own_themes, parse_palette
from anabranch_console.theming import _STYLES, COLOURS, Palette, default_theme
from tests.console.conftest import Console, OpenConsole, settle
from tests.console.scripted_source import demo_source

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


@pytest.mark.parametrize("palette", own_themes().values(), ids=lambda palette: palette.name)
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
    palettes = own_themes()
    assert palettes["delta"].is_dark
    assert not palettes["floodplain"].is_dark


def test_sixteen_colours_get_a_theme_of_their_own() -> None:
    """Where there are only sixteen, no two meanings may fall together with the ground."""
    from rich.color import Color, ColorSystem

    name = default_theme("standard")
    colours = own_themes()[name].colours
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


def test_high_contrast_keeps_seven_to_one() -> None:
    """Granite keeps the contrast of WCAG AAA for all text."""
    colours = own_themes()["granite"].colours
    for name, (colour, _) in _STYLES.items():
        for ground in ("background", "panel", "cursor"):
            if name not in DECORATION:
                assert _contrast(colours[colour], colours[ground]) >= 7.0, (name, ground)


def test_there_are_enough_good_themes() -> None:
    """Two light ones among at least six, each with all colours and a title."""
    themes = own_themes()
    assert len(themes) >= 6
    assert len([p for p in themes.values() if not p.is_dark]) >= 2
    assert all(set(p.colours) == set(COLOURS) and p.title for p in themes.values())


_CONE_LOSS = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
                   (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
                     (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
                   (0.004733, 0.691367, 0.303900)),
    "none": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
}  # fmt: skip
"""What is left of linear red, green and blue without one kind of cone (Machado et al. 2009)."""


def _seen(colour: str, loss: str) -> tuple[float, float, float]:
    """Return where a colour stands in OKLab (Ottosson 2020), where distance is difference."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    rows = _CONE_LOSS[loss]
    r, g, b = (
        min(1.0, max(0.0, sum(w * p for w, p in zip(row, linear, strict=True)))) for row in rows
    )
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    middle = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


@pytest.mark.parametrize("loss", _CONE_LOSS)
def test_states_are_told_apart_with_any_colour_vision(loss: str) -> None:
    """In Heron no two states come near each other, whichever kind of cone is missing."""
    colours = own_themes()["heron"].colours
    states = ("running", "succeeded", "failed", "recovering", "waiting", "quarantined", "stopped")
    for one, other in itertools.combinations(states, 2):
        distance = math.dist(_seen(colours[one], loss), _seen(colours[other], loss))
        assert distance > 0.1, (one, other, distance)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[colors", "Expected"),
        ("tilte = 'x'", "unknown key 'tilte'; did you mean 'title'?"),
        ("extends = 'dleta'", "there is no such theme; did you mean 'delta'?"),
        ("extends = 'delta'\n[colors]\nfaild = '#ff0000'", "did you mean 'failed'?"),
        ("extends = 'delta'\n[colors]\nfailed = 'red'", "expected a colour like"),
        ("[colors]\nfailed = '#ff0000'", "lacks the colours"),
        ("extends = 'delta'\ndark = 'yes'", "dark is true or false"),
    ],
)
def test_a_theme_of_the_users_that_is_wrong_is_left_out_with_the_reason(
    text: str, words: str, tmp_path: Path
) -> None:
    """The file and what was expected are named; all other themes are there."""
    (tmp_path / "odd.toml").write_text(text)
    (tmp_path / "mine.toml").write_text("extends = 'estuary'\n[colors]\naccent = '#00407f'\n")
    (tmp_path / "delta.toml").write_text("extends = 'estuary'\n")
    themes = load_themes([tmp_path, tmp_path / "not there"])
    assert set(themes.palettes) == {*own_themes(), "mine"}
    mine = themes.palettes["mine"]
    assert (mine.colours["accent"], mine.is_dark) == ("#00407f", False)
    delta, odd = themes.problems
    assert "delta.toml: there is a theme delta already" in delta
    assert "odd.toml" in odd
    assert words in odd


async def test_a_users_theme_is_taken_up_while_the_console_runs(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that is written now can be chosen now; one that is broken is told."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "anabranch/themes"
    folder.mkdir(parents=True)
    async with open_console() as console:
        (folder / "mine.toml").write_text("extends = 'peat'\n[colors]\nfailed = '#ffffff'\n")
        await console.command("theme mine")
        assert console.app.palette.name == "mine"
        (folder / "mine.toml").write_text("extends = 'peat'\n[colors]\nfailed = '#fefefe'\n")
        await console.command("theme peat")
        await console.command("theme mine")
        assert console.app.palette.colours["failed"] == "#fefefe"


@pytest.mark.parametrize("name", SETS)
def test_every_sign_is_one_cell_wide(name: str) -> None:
    """Whatever the set, columns stay where they are."""
    glyphs = SETS[name]
    signs = [*glyphs.states.values(), *glyphs.levels.values(), *glyphs.spark]
    signs += [glyphs.product, glyphs.cursor, glyphs.mark, glyphs.past, glyphs.held, glyphs.edge]
    assert all(text_cells(sign) == 1 for sign in signs)
    assert glyphs.states.keys() == SETS["unicode"].states.keys()


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
        assert "|  R 5" in shown


async def test_what_is_told_is_framed_in_ascii_too(tmp_path: Path) -> None:
    """A note in the corner has no line that the terminal cannot draw."""
    source = demo_source(tmp_path)
    app = ConsoleApp(source, is_paced=False, environ={"ANABRANCH_GLYPHS": "ascii"})
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        console = Console(app, source, pilot)
        await console.frame()
        app.notify("something is told")
        await settle(pilot)
        assert "something is told" in console.shown()
        assert console.shown().isascii()


async def test_no_colour(open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR every state still has its sign and its word, and the cursor its arrow."""
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_console() as console:
        shown = console.shown()
        for needed in ("✗ failed", "● running", "✓ succeeded", "○ waiting", "▸ lint", "▸"):
            assert needed.replace("▸ ", "▸ ") in shown or needed == "▸ lint"
        assert "▸" in shown
        await console.press("x")
        styles = [
            segment.style
            for strip in console.app.screen._compositor.render_strips()
            for segment in strip
            if segment.style
        ]
        assert [s for s in styles if s.color or s.bgcolor] == []
        assert any(style.reverse for style in styles)
