"""Words that are not commands: what was meant, and never something dangerous by a likeness."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch_console.cli.main import COMMANDS
from anabranch_console.cli.meaning import DANGEROUS, meant

SLIPS = {"stpo": "stop", "stopp": "stop", "aprove": "approve", "dril": "drill", "rnu": "run"}


@pytest.mark.parametrize(
    ("word", "command"),
    [
        *(
            ("kill", "stop"),
            ("abort", "stop"),
            ("log", "logs"),
            ("tail", "logs"),
            ("ps", "streams"),
        ),
        *(("ls", "runs"), ("up", "run"), ("top", "console"), ("merge", "approve"), ("rm", "gc")),
        *(
            ("validate", "check"),
            ("uninstall", "plugins"),
            ("statsu", "status"),
            ("evnts", "events"),
        ),
        *SLIPS.items(),
        *(
            ("skill", None),
            ("rill", None),
            ("step", None),
            ("gcc", None),
            ("c", None),
            ("frobnicate", None),
        ),
    ],
)
def test_a_word_is_understood_by_its_meaning_then_by_its_spelling(
    word: str, command: str | None
) -> None:
    assert meant(word, COMMANDS) == command


@given(
    st.one_of(
        st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=9),
        st.builds(
            lambda name, at, letters: name[:at] + letters + name[at + 1 :],
            st.sampled_from(sorted(DANGEROUS)),
            st.integers(0, 7),
            st.text("abcdefghijklmnopqrstuvwxyz", max_size=2),
        ),
    )
)
def test_a_likeness_alone_never_offers_what_ends_or_takes_something(word: str) -> None:
    """Whatever is offered of that kind has the word's first letter and all but one of its letters,
    or is offered for a word of its meaning."""
    found = meant(word, COMMANDS, {})
    if found in DANGEROUS and found != word:
        assert found[0] == word[0]
        assert len(set(found) ^ set(word)) <= 1
