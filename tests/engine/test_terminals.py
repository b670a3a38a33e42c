"""What a holder knows of a terminal by what goes through it: modes, and a line half typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.holder.screen_modes import ScreenModes
from anabranch.holder.typed_line import TypedLine


@pytest.mark.parametrize(
    ("keys", "stands"),
    [
        (b"", False),
        (b"make", True),
        (b"make\r", False),
        (b"make\x03", False),
        (b"make\x15", False),
        (b"ab\x7f", True),
        (b"ab\x7f\x7f", False),
        (b"\x7f\x7fa\x7f", False),
        ("ä漢".encode(), True),
        ("ä漢\x7f\x7f".encode(), False),
        (b"\x0c\x04", False),  # painted again, the end of input: nothing is typed
        (b"\x1b[A", True),  # a line from the past may stand there now
        (b"\x1b[A\x7f\x7f\x7f\x7f", True),
        (b"\x1b[A\x15", True),  # taken back from where the cursor is, which nobody knows
        (b"\x1b[A\r", False),
        (b"a\x1b\r", True),  # a line break in the middle of what is written
        (b"\x1b[200~one\rtwo\r\x1b[201~", True),  # pasted, not sent off
        (b"\t", True),
        (b"one\rtwo", True),
    ],
)
def test_a_line_stands_until_it_is_sent_off_or_taken_back(keys: bytes, *, stands: bool) -> None:
    """Who wants to type for a program waits for that; in doubt the line stands."""
    line = TypedLine()
    for key in keys:
        line.typed(bytes((key,)))
    assert line.stands is stands


@pytest.mark.parametrize(
    ("output", "modes"),
    [
        (b"plain \x1b[31mred\x1b[0m", ""),
        (b"\x1b[?1049h\x1b[?25l", "?1049h ?25l"),
        (b"\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l", ""),
        (b"\x1b[?1000;1006h", "?1000h ?1006h"),
        (b"\x1b[?7l", "?7l"),
        (b"\x1b[?2004h\x1bc", ""),
        (b"\x1b[>1u\x1b[>5u\x1b[<u", ">1u"),
        (b"\x1b[>4;2m", ">4;2m"),
        (b"\x1b[>4;2m\x1b[>4m", ""),
        (b"\x1b[?" + b"1" * 5000 + b"h", ""),
        (b"\x1b[?1\x1b[?2004h", "?2004h"),
    ],
)
def test_modes_are_known_by_the_output(output: bytes, modes: str) -> None:
    """Whoever attaches later switches the same on."""
    known = ScreenModes()
    known.saw(output)
    assert known.as_text() == modes


@given(
    st.lists(
        st.sampled_from([b"\x1b[?1049h", b"\x1b[?25l", b"\x1b[?1049l", b"a\x1b[1mb", b"\x1b[>1u"])
    ),
    st.integers(1, 9),
)
def test_where_output_is_cut_makes_no_difference(pieces: list[bytes], length: int) -> None:
    """Sequences come in parts, as reads have it."""
    output = b"".join(pieces)
    whole, parts = ScreenModes(), ScreenModes()
    whole.saw(output)
    for at in range(0, len(output), length):
        parts.saw(output[at : at + length])
    assert parts.as_text() == whole.as_text()
