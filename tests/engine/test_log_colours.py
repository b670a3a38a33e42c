"""What is kept of the colours of a stream's output: hue, bold and underline, at the right place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.engine.log_colours import MOST_RUNS, Look, Run, runs_of
from anabranch.engine.log_reading import LineAssembler
from anabranch.hostile_text import escape_for_terminal, left_of, sequences, visible_lengths


@pytest.mark.parametrize(
    ("raw", "runs"),
    [
        ("plain", ()),
        ("\x1b[31mred\x1b[0m on", (Run(0, Look("red")), Run(3, Look()))),
        ("a\x1b[1;92mb", (Run(1, Look("green", True)),)),
        ("a\x1b[4mb\x1b[24mc", (Run(1, Look("", False, True)), Run(2, Look()))),
        ("\x1b[38;5;196mx", (Run(0, Look("red")),)),
        ("\x1b[38;2;10;20;250mx", (Run(0, Look("blue")),)),
        ("\x1b[38:2:200:200:10mx", (Run(0, Look("yellow")),)),
        ("\x1b[38;5;238mx", (Run(0, Look("grey")),)),
        ("\x1b[97;41mx", (Run(0, Look("white")),)),  # no background
        ("\x1b[48;5;31;35mx", (Run(0, Look("magenta")),)),  # its 31 is part of the background
        ("\x1b[8mhidden\x1b[5mblinks", ()),
        ("\x1b[38;5mx\x1b[38;2;1mx\x1b[m", ()),
        ("\x1b[2J\x1b]0;\x1b[31mowned\x07x", (Run(0, Look("red")),)),
        ("\tA\x1b[31mB", (Run(9, Look("red")),)),
        ("\x07\u202e\x1b[31mB", (Run(10, Look("red")),)),
    ],
)
def test_colours_are_kept_where_they_stood(raw: str, runs: tuple[Run, ...]) -> None:
    """By what is shown of the line, in which other characters stand for some."""
    assert runs_of(raw) == runs


_PARTS = st.sampled_from(
    [
        "a",
        "é",
        "\t",
        "\x07",
        "\u202e",
        "⚠️",
        "\x1b[31m",
        "\x1b[1;38;5;9m",
        "\x1b[0m",
        "\x1b[2K",
        "\x1b[7G",
        "\x1b[C",
        "\x9b4m",
    ]
)


@given(st.lists(_PARTS | st.text(max_size=3), max_size=20))
def test_every_run_begins_within_what_is_shown(parts: list[str]) -> None:
    """What is shown is the same with and without colours, and their order is that of the text."""
    raw = "".join(parts)
    shown = escape_for_terminal(raw)
    starts = [run.start for run in runs_of(raw)]
    assert starts == sorted(set(starts))
    assert all(0 <= start <= len(shown) for start in starts)
    without = sequences().sub(lambda found: left_of(found[0]), raw)
    lengths = visible_lengths(without)
    if lengths is not None:
        assert [len(escape_for_terminal(without[:at])) for at in range(len(without) + 1)] == lengths


def test_a_line_full_of_colours_stays_bounded() -> None:
    """However often it changes."""
    assert len(runs_of("\x1b[31ma\x1b[32mb" * 5000)) <= MOST_RUNS


@given(st.lists(st.integers(0, 200), max_size=4))
def test_cutting_the_output_elsewhere_changes_no_colour(cuts: list[int]) -> None:
    """Lines have the colours that they have when all is read at once."""
    data = ("x\x1b[31mred\x1b[0m\nplain\n\x1b[1m⚠️ bold\r\x1b[32mgreen\n" * 3).encode()
    whole, pieces = LineAssembler(), LineAssembler()
    whole.feed(data)
    at, colours = 0, []
    for cut in [*sorted(cuts), len(data)]:
        pieces.feed(data[at:cut])
        colours += pieces.new_colours
        at = max(at, cut)
    assert colours == whole.new_colours
