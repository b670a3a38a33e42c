"""What a clean merge by git has to hold, judged by its three trees; contents are lists of lines."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import example, given, settings
from hypothesis import strategies as some

from anabranch.engine.workspaces.carrying import Account
from anabranch.engine.workspaces.objects import Change

Files = Mapping[str, str]
"""Paths with their contents: a line is a letter, and the content is its own blob id."""

NAMES = ("a", "b", "d/a", "e/a")
CONTENTS = ("pqrst", "pqrstX", "YpqrsT", "pqst", "other")


def changes(before: Files, after: Files) -> dict[str, Change]:
    found = {}
    for path in sorted({*before, *after}):
        one, two = before.get(path), after.get(path)
        if one != two:
            old_mode, new_mode = ("000000" if side is None else "100644" for side in (one, two))
            found[path] = Change(path, old_mode, new_mode, one or "", two or "")
    return found


def lost(base: Files, ours: Files, theirs: Files, merged: Files) -> list[str]:
    def content(blob: str | None) -> bytes:
        return b"\n".join(letter.encode() for letter in blob or "")

    one, two, both = (changes(base, side) for side in (theirs, ours, merged))
    return Account(one, two, both, content, lambda _: False).settle().lost


def test_a_change_that_did_not_follow_its_file_is_lost() -> None:
    """One renames, the other edits: the edit has to be under the new name."""
    base, renamed, edited = {"a": "pqrst"}, {"b": "pqrst"}, {"a": "pqXrst"}
    assert lost(base, renamed, edited, {"b": "pqXrst"}) == []
    assert lost(base, edited, renamed, {"b": "pqXrst"}) == []
    assert lost(base, renamed, edited, {"b": "pqrst"}) == ["a"]
    assert lost(base, edited, renamed, {"b": "pqrst"}) == ["a"]
    assert lost(base, edited, renamed, {}) == ["a", "b"]


def test_both_sides_of_a_renamed_and_edited_file_are_there() -> None:
    base, renamed, edited = {"a": "pqrst"}, {"b": "pqrstY"}, {"a": "Xpqrst"}
    assert lost(base, renamed, edited, {"b": "XpqrstY"}) == []
    assert lost(base, renamed, edited, {"b": "pqrstY"}) == ["a"]
    assert lost(base, renamed, edited, {"b": "Xpqrst"}) == ["a", "b"]


sides = some.dictionaries(some.sampled_from(NAMES), some.sampled_from(CONTENTS), max_size=4)


@given(sides, sides, some.sampled_from(NAMES))
@settings(max_examples=300)
def test_a_merge_that_lacks_what_one_side_alone_did_is_found_out(
    base: Files, theirs: Files, path: str
) -> None:
    """Whatever was renamed: without the other side's touch a merge is what this side has."""
    assert lost(base, base, theirs, theirs) == []
    assert lost(base, theirs, base, theirs) == []
    if base.get(path) != theirs.get(path):
        spoiled = {**theirs, path: base[path]} if path in base else dict(theirs)
        if path not in base:
            del spoiled[path]
        assert path in lost(base, base, theirs, spoiled)
        assert path in lost(base, theirs, base, spoiled)


@given(sides, sides, sides, sides)
@settings(max_examples=500)
@example({"a": "pqrstX"}, {"a": "pqrst"}, {"b": "pqrstX"}, {"a": "pqrst", "b": "pqrst"})
@example({"a": "pqrstX"}, {"a": "pqrst"}, {"b": "pqrst"}, {"b": "YpqrsT"})
def test_nothing_is_lost_only_if_every_line_of_both_is_somewhere(
    base: Files, ours: Files, theirs: Files, merged: Files
) -> None:
    """A merge that accounts for everything has each line that one side alone has added.

    A file that is new to a side may have been moved: then it adds only what was nowhere before.
    """
    if lost(base, ours, theirs, merged):
        return
    there = set("".join(merged.values()))
    for side, other in ((ours, theirs), (theirs, ours)):
        for path, change in changes(base, side).items():
            is_both = path in changes(base, other)
            if change.after and not (is_both and path in merged):
                before = change.before if path in base else "".join(base.values())
                assert set(change.after) - set(before or "") <= there
