"""Path patterns: their one spelling, what is refused, and exact overlap."""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.core.globs import (
    MOST_SET_CHARACTERS,
    PatternRefused,
    is_literal,
    normalised,
    overlap,
)

SEGMENTS = ["".join(p) for n in (1, 2) for p in product("ab", repeat=n)]
PATHS = ["/".join(p) for n in (1, 2, 3, 4) for p in product(SEGMENTS, repeat=n)]
"""Enough to tell patterns of two segments, of two links each, and a slash apart."""


def covers(pattern: str, path: str) -> bool:
    """Whether a pattern covers a path, in the plainest way to say it."""
    text = pattern + "**" if pattern.endswith("/") else pattern
    return _segments_cover(text.split("/"), path.split("/"))


def _segments_cover(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_segments_cover(pattern[1:], path[i:]) for i in range(len(path) + 1))
    return bool(path) and _fits(pattern[0], path[0]) and _segments_cover(pattern[1:], path[1:])


def _fits(pattern: str, text: str) -> bool:
    return pattern == text or _characters_fit(pattern, text)


def _characters_fit(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_characters_fit(pattern[1:], text[i:]) for i in range(len(text) + 1))
    end = pattern.find("]", 2) if pattern[0] == "[" else -1
    if end > 0:
        members, rest = pattern[1:end], pattern[end + 1 :]
        return bool(text) and _is_member(members, text[0]) and _characters_fit(rest, text[1:])
    return bool(text) and pattern[0] in ("?", text[0]) and _characters_fit(pattern[1:], text[1:])


def _is_member(members: str, character: str) -> bool:
    if members[0] == "!":
        return character not in members[1:]
    return character in members


segment = st.one_of(
    st.just("**"),
    st.lists(st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]"]), min_size=1, max_size=2).map(
        "".join
    ),
)
pattern = st.builds(
    lambda parts, is_folder: normalised("/".join(parts) + ("/" if is_folder else "")),
    st.lists(segment, min_size=1, max_size=2),
    st.booleans(),
)


@settings(max_examples=800, deadline=None)
@given(pattern, pattern)
def test_overlap_is_what_trying_every_short_path_finds(one: str, other: str) -> None:
    """Two patterns over {a, b} overlap exactly if some path of a few segments is in both."""
    expected = any(covers(one, path) and covers(other, path) for path in PATHS)
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected


@settings(max_examples=500, deadline=None)
@given(pattern)
def test_a_pattern_overlaps_itself_and_everything(one: str) -> None:
    """Every pattern covers something, itself included."""
    assert overlap(one, one)
    assert overlap(one, "**")
    assert normalised(one) == one


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("a", "a"),
        ("./a//b", "a/b"),
        ("a/./b/", "a/b/"),
        ("a/**", "a/"),
        ("**", "**"),
        ("**/", "**"),
        ("./", "**"),
        ("a/**/**/b", "a/**/b"),
        ("a***b", "a***b"),
    ],
)
def test_a_pattern_has_one_spelling(given_: str, expected: str) -> None:
    """However it was written, the same path has the same name in the lock table."""
    assert normalised(given_) == expected


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        ".",
        "/etc/passwd",
        "..",
        "a/../b",
        "a\\..\\b",
        "a\0b",
        "a\nb",
        ".git",
        "x/.GIT/config",
        "\ud800",
        "a" * 513,
        "a/" * 70,
        "*a" * 33,
    ],
)
def test_a_hostile_path_is_refused(hostile: str) -> None:
    """What leaves the workspace, names git's own files or is too large is no path to lock."""
    with pytest.raises(PatternRefused):
        normalised(hostile)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("src/", "src/a/b.py", True),
        ("src/", "src", True),
        ("src/", "srcs", False),
        ("A", "a", False),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/sub/a.py", False),
        ("src/**/x.py", "src/x.py", True),
        ("app/[id]/page.tsx", "app/i/page.tsx", True),
        ("**/[id]/*", "app/[id]/page.tsx", True),
        ("a[", "a[", True),
        ("a[!a-y]", "az", True),
        ("a[!a-y]", "ab", False),
        ("*.py", "*.md", False),
        ("?", "a", True),
        ("?", "ab", False),
        ("a?", "?b", True),
        ("[]a]", "]", True),
        ("[]a]", "a", True),
        ("[]a]", "a]", False),
        ("[!]]", "a", True),
        ("[!]]", "]", False),
        ("a*c", "*b*", True),
        ("é*", "éa", True),
    ],
)
def test_overlap_by_example(one: str, other: str, expected: bool) -> None:
    """Files, folders, globs, sets, and names that look like sets."""
    assert overlap(normalised(one), normalised(other)) is expected


@pytest.mark.timeout(20)
def test_the_worst_patterns_are_compared_quickly() -> None:
    """No pair of allowed patterns takes long, however many stars it has."""
    rows = ["*a" * 31 + "b" * 440, "*" + "a" * 250 + "*" + "a" * 250, "*ab" * 31 + "a" * 400]
    deep = ["/".join(["*a*"] * 15 + ["x"] * 40) + "/", "**/" + "/".join(["a*"] * 15 + ["b"] * 40)]
    worst = [normalised(text) for text in (*rows, *deep)]
    for one, other in product(worst, worst):
        overlap(one, other)
    assert not any(is_literal(text) for text in worst)


def awkward(characters: str) -> st.SearchStrategy[str]:
    """Draw patterns as costly as they come: sets of far characters, stars, deep paths."""
    sets = st.lists(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=60).map(
        lambda chosen: f"[!{''.join(chosen)}]" if chosen else "?"
    )
    part = st.one_of(sets, st.just("*"), st.text(characters, max_size=30))
    return st.lists(st.lists(part, max_size=8).map("".join), min_size=1, max_size=12).map("/".join)


@settings(max_examples=300, deadline=None)
@given(awkward("ab"), awkward("ab"))
def test_no_two_patterns_take_long_to_compare(one: str, other: str) -> None:
    """Whatever a stream thinks of: refused at once, or compared within a bound."""
    begun = time.process_time()
    with suppress(PatternRefused):
        overlap(normalised(one), normalised(other))
    assert time.process_time() - begun < 0.5


def test_sets_of_too_many_characters_are_refused() -> None:
    far = "".join(chr(0x4E00 + 3 * n) for n in range(MOST_SET_CHARACTERS + 1))
    with pytest.raises(PatternRefused, match="its sets name more than"):
        normalised(f"src/[{far}]*")
    assert normalised(f"src/[{far[1:]}]*")
    assert normalised("app/[id]/[slug]/[...rest]/page.tsx")


def test_sets_are_compared_as_the_ranges_they_are() -> None:
    assert overlap("[a-cb-f]x", "[e-g]x")
    assert not overlap("[a-cb-d]x", "[e-g]x")
    for one, other in (("[a-c]x", "[c-e]x"), ("[c-e]x", "[a-c]x"), ("[c]x", "[a-e]x")):
        assert overlap(one, other)
    assert overlap("[!a-z]x", "[A-Z]x")
    assert not overlap("[!a-z]x", "[b-y]x")
