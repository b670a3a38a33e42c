"""Phrases that messages share."""

from __future__ import annotations

from anabranch.core.wording import conflicting


def test_who_is_in_conflict_is_told_by_name_and_each_path_once() -> None:
    """git tells a file against a link as two paths of one name."""
    assert conflicting(["one", "two"], ["n", "n"]) == "one and two conflict in n"
    assert conflicting(["one"], ["n"]) == "one conflicts with what is there, in n"
    assert conflicting(["a", "b"], ["1", "2", "3", "4", "5"]).endswith("in 1, 2, 3 and 2 more")
