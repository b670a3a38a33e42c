"""Patterns of plans and filters: whatever they are, they cost what the text is long."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from anabranch.core.patterns import (
    LONGEST_PATTERN,
    LONGEST_TEXT,
    PatternRefused,
    compiled,
    literal,
)

FOR_EVER = ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){20}$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a*)*b"]


@pytest.mark.parametrize("pattern", FOR_EVER)
def test_what_takes_others_for_ever_takes_no_time(pattern: str) -> None:
    """Python's own engine would take longer than the universe has been there."""
    begun = time.process_time()
    compiled(pattern).is_in("a" * 10_000 + "!")
    assert time.process_time() - begun < 5.0


def pattern_texts() -> st.SearchStrategy[str]:
    """Draw nested groups, alternatives and repetitions, the more the worse."""
    return st.recursive(
        st.sampled_from(["a", "b", ".", "[ab]", "a?", "^", "$", r"\w"]),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2,9}", "*?"])).map(
                lambda t: f"({t[0]}){t[1]}"
            ),
            st.tuples(inner, inner).map(lambda t: f"({t[0]}|{t[1]})"),
            st.tuples(inner, inner).map("".join),
        ),
        max_leaves=12,
    )


@settings(deadline=None)
@for_all(pattern=pattern_texts(), text=st.text("ab", min_size=1, max_size=8))
def test_no_pattern_can_make_a_search_long(pattern: str, text: str) -> None:
    """Found or not, refused or not: it comes back within a bound."""
    begun = time.process_time()
    with suppress(PatternRefused):
        compiled(pattern).is_in((text * LONGEST_TEXT)[:LONGEST_TEXT] + "!")
    assert time.process_time() - begun < 5.0


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "missing )"),
        ("(?=a)b", "look-around and back-references"),
        (r"(a)\1", "look-around and back-references"),
        ("((a{100}){100}){100}", "repetition"),
        ("a" * (LONGEST_PATTERN + 1), "longer than"),
        ("\ud800", "not Unicode"),
    ],
)
def test_what_cannot_be_a_pattern_is_refused_in_words(pattern: str, words: str) -> None:
    with pytest.raises(PatternRefused) as refused:
        compiled(pattern)
    assert words in str(refused.value)


def test_places_are_counted_in_characters() -> None:
    assert list(compiled("é+").places_in("aéé b é")) == [(1, 3), (6, 7)]
    assert list(literal("a.b", ignores_case=True).places_in("\ud800A.B aXb")) == [(1, 4)]
