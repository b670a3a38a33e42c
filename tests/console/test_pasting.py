"""What is pasted is text, whatever is in it and however it comes in parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from textual._xterm_parser import XTermParser
from textual.events import Key, Paste

from anabranch_console.pasting import BEGINS, ENDS, Pasting

TEXTS = st.text("\x1b[201~a\r\n", max_size=30)


def _heard(parts: list[str]) -> tuple[list[str], list[str]]:
    """Return the pastes and the keys that the toolkit makes of what a terminal sends."""
    pasting, parser = Pasting(), XTermParser()
    given = "".join(pasting.take(part) for part in parts)
    events = [event for one in given for event in parser.feed(one)]
    keys = [event.character or "" for event in events if isinstance(event, Key)]
    return [event.text for event in events if isinstance(event, Paste)], keys


@given(TEXTS.filter(lambda text: ENDS not in text), st.integers(1, 12))
def test_no_part_of_a_paste_is_a_key(pasted: str, length: int) -> None:
    """Not what follows an escape code in it; what is typed after it is."""
    sent = f"{BEGINS}x{pasted}{ENDS}q"
    parts = [sent[at : at + length] for at in range(0, len(sent), length)]
    text = ("x" + pasted).replace("\x1b", "")
    assert _heard(parts) == ([text], ["q"])


@given(TEXTS, st.integers(1, 12))
def test_what_is_typed_is_handed_on_as_it_is_at_once(typed: str, length: int) -> None:
    pasting = Pasting()
    for at in range(0, len(typed), length):
        assert pasting.take(typed[at : at + length]) == typed[at : at + length]
