"""Text from outside can do nothing to whoever is shown it, in words or in JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.hostile_text import escape_for_terminal, json_text

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(ANYTHING, st.sampled_from([0, 2]), st.booleans())
def test_json_is_printable_and_means_the_same(value: object, indent: int, is_ascii: bool) -> None:
    found = json_text(value, indent=indent, is_ascii=is_ascii)
    assert json.loads(found) == value
    assert all(char.isprintable() for line in found.split("\n") for char in line)
    assert found.isascii() or not is_ascii


def test_json_escapes_what_would_act_on_a_terminal() -> None:
    hostile = "\x9b2J \u202e\x7f \U000e0101 é"
    assert json_text(hostile) == '"\\u009b2J \\u202e\\u007f \\udb40\\udd01 é"'


def test_a_path_that_is_not_utf8_can_be_told_as_json() -> None:
    assert json.loads(json_text({"caf\udce9": ["\udcff"]})) == {"caf\\xe9": ["\\xff"]}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[2GDo\x1b[5Gyou\x1b[9Gproceed?", " Do you proceed?"),
        ("a\x1b[Cb\x9b3Cc", "a b c"),
        ("a\x1b[1Gb\x1b[Gc\x1bCd\x1b[2Ke\x1b[31mf", "abcdef"),
        ("\x1b]0;ABC\x07x", "x"),
    ],
)
def test_words_that_a_program_puts_apart_by_moving_stay_apart(written: str, shown: str) -> None:
    assert escape_for_terminal(written) == shown
