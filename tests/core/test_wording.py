"""Phrases that messages share."""

from __future__ import annotations

import pytest

from anabranch.core.wording import (
    age,
    clauses,
    conflicting,
    counted,
    duration,
    length,
    listing,
    size,
)


def test_who_is_in_conflict_is_told_by_name_and_each_path_once() -> None:
    """git tells a file against a link as two paths of one name."""
    assert conflicting(["one", "two"], ["n", "n"]) == "one and two conflict in n"
    assert conflicting(["one"], ["n"]) == "one conflicts with what is there, in n"
    assert conflicting(["a", "b"], ["1", "2", "3", "4", "5"]).endswith("in 1, 2, 3 and 2 more")


@pytest.mark.parametrize(
    ("seconds", "in_a_table", "in_a_sentence", "ago"),
    [
        (0.44, "0.4s", "0 s", "0s"),
        (12, "12s", "12 s", "12s"),
        (95, "1m35s", "95 s", "1m"),
        (184, "3m04s", "3 min", "3m"),
        (7500, "2h05m", "2 h", "2h"),
        (200_000, "55h33m", "55 h", "2d"),
    ],
)
def test_a_length_of_time_is_told_in_one_way_for_each_place(
    seconds: float, in_a_table: str, in_a_sentence: str, ago: str
) -> None:
    assert duration(seconds) == in_a_table
    assert length(seconds) == in_a_sentence
    assert age(seconds) == ago


def test_a_short_length_may_have_digits() -> None:
    assert [length(seconds, 1) for seconds in (0.44, 9.96, 12.3)] == ["0.4 s", "10.0 s", "12 s"]


def test_what_is_too_many_to_name_is_counted() -> None:
    assert listing([1, 2, 3]) == "1, 2, 3"
    assert listing("abcdef") == "a, b, c, d and 2 more"
    assert listing([]) == ""
    assert clauses(["x fails", "y fails"], 2) == "x fails; y fails"
    assert clauses(["x fails", "y fails", "z fails"], 2) == "x fails; y fails; 1 more"


def test_a_number_has_its_noun() -> None:
    found = [counted(1, "try", "tries"), counted(2, "try", "tries"), counted(3, "process")]
    assert found == ["1 try", "2 tries", "3 processes"]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (1_234, "1.2 kB"),
        (9_960, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (814_000_000, "814 MB"),
        (4 << 40, "4.4 TB"),
        (9 << 50, "10133 TB"),
    ],
)
def test_how_much_data_it_is_is_told_in_three_digits(count: int, words: str) -> None:
    assert size(count) == words
