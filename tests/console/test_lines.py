"""How wide a text is: the command line and the console lay out by the ruler that paints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

from anabranch_console.cli.output import print_table
from anabranch_console.lines import cut_left, cut_right, fit, hard_wrap, text_cells

TEXTS = {
    "ascii": ("plain", 5),
    "cjk": ("日本語", 6),
    "combining marks": ("e\u0301a\u0308", 2),
    "emoji": ("🚀x", 3),
    "an emoji by its selector": ("❤\ufe0f", 2),
    "a family, joined": ("👨\u200d👩\u200d👧", 2),
    "a skin tone": ("👍🏽", 2),
    "hangul, in parts": ("\u1112\u1161\u11ab", 2),
    "a sign of ours": ("…│●", 3),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_as_wide_as_it_is_painted(name: str) -> None:
    text, cells = TEXTS[name]
    assert text_cells(text) == cells == Strip([Segment(text)]).cell_length


@pytest.mark.parametrize("name", TEXTS)
def test_columns_stay_where_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line's tables begin each column in the same cell, whatever stands before it."""
    text, _ = TEXTS[name]
    print_table(["first", "last"], [[text, "here"], ["x" * 12, "here"]])
    _, *rows = capsys.readouterr().out.splitlines()
    assert len({cell_len(row.partition("here")[0]) for row in rows}) == 1


ANY_TEXT = st.lists(
    st.sampled_from(["a", " ", *(text for text, _ in TEXTS.values()), "\ufe0f", "\u0301"])
).map("".join)


@given(ANY_TEXT, st.integers(0, 12))
def test_what_is_cut_fits(text: str, cells: int) -> None:
    """However it is cut; and what is fitted takes exactly the room there is."""
    assert cell_len(cut_right(text, cells)) <= cells
    assert cell_len(fit(text, cells)) == cells
    assert cell_len(cut_left(text, max(cells, 1))) <= max(cells, 1)
    assert all(cell_len(piece) <= max(cells, 2) for piece in hard_wrap(text, cells))


@pytest.mark.parametrize(
    ("text", "cells", "cut"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("漢漢", 4, "漢漢"),
        ("漢漢", 3, "漢…"),
        ("漢漢漢", 4, "漢…"),
        ("👨\u200d👩\u200d👧x", 2, "…"),
        ("abc", 0, ""),
    ],
)
def test_cutting_counts_cells(text: str, cells: int, cut: str) -> None:
    """A wide character takes two cells, and what is joined is not taken apart."""
    assert cut_right(text, cells) == cut
