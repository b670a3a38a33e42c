"""Path patterns: what they cover, and whether two of them cover a common path, decided exactly.

A pattern is a path relative to the workspace. It covers itself; ``dir/`` covers ``dir`` and all
below it; ``*`` and ``?`` stand for characters of one segment, ``[abc]`` for one of a set,
``**`` as a whole segment for any number of segments, none included. A segment with brackets also
covers its own spelling, so ``app/[id]/page.tsx`` locks the file of that name. Case matters.

**Theory of operation.** A path is a chain of segments and a segment a chain of characters; in both
a *star* takes any number of links. Two chains meet if some word fits both: a walk through the
product of their automata. The walk goes along one chain and keeps, as the bits of one integer,
every position of the other that is reachable so far. A star reaches every position behind the
first; any other link moves the positions it can meet one on, and lets stars stay. So a step costs
a few operations on an integer. What a pattern may hold is bounded, and patterns that begin
differently are never walked: nobody can make a lock slow.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from functools import lru_cache

LONGEST_PATTERN = 512
MOST_SEGMENTS = 64
MOST_WILDCARDS = 32
MOST_SET_CHARACTERS = 64
"""How many characters the sets of one pattern may name in all."""


_WILD = frozenset("*?[")
_LAST_CHARACTER = 0x10FFFF


class PatternRefused(ValueError):
    """A pattern that is not a path inside a workspace; the message says why."""


@lru_cache(maxsize=1 << 12)
def normalised(pattern: str) -> str:
    """Return the one spelling of a pattern. Raises PatternRefused."""
    _refuse_hostile(pattern)
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if pattern.endswith("/"):
        parts.append("**")
    segments = [p for i, p in enumerate(parts) if p != "**" or i == 0 or parts[i - 1] != "**"]
    if not segments:
        raise PatternRefused("the path is empty; ** means everything")
    if ".." in segments:
        raise PatternRefused("a path may not contain ..")
    if any(segment.lower() == ".git" for segment in segments):
        raise PatternRefused("nothing under .git can be locked")
    if len(segments) > MOST_SEGMENTS:
        raise PatternRefused(f"the path is more than {MOST_SEGMENTS} segments deep")
    if len(segments) > 1 and segments[-1] == "**":
        segments[-1] = ""
    return "/".join(segments)


def _refuse_hostile(pattern: str) -> None:
    if len(pattern) > LONGEST_PATTERN:
        raise PatternRefused(f"the path is longer than {LONGEST_PATTERN} characters")
    if pattern.startswith("/"):
        raise PatternRefused("the path is absolute; give it relative to the workspace")
    if "\\" in pattern:
        raise PatternRefused("a path may not contain a backslash; separate with /")
    if any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in pattern):
        raise PatternRefused("a path may not contain control characters")
    if sum(map(pattern.count, _WILD)) > MOST_WILDCARDS:
        raise PatternRefused(f"the path has more than {MOST_WILDCARDS} wildcards")
    if sum(len(inside) for part in pattern.split("/") for inside in _sets_of(part)) > (
        MOST_SET_CHARACTERS
    ):
        raise PatternRefused(f"its sets name more than {MOST_SET_CHARACTERS} characters")


def is_literal(path: str) -> bool:
    """Return whether a normalised pattern covers exactly one path, itself."""
    return not path.endswith("/") and _WILD.isdisjoint(path)


def overlap(one: str, other: str) -> bool:
    """Return whether two normalised patterns cover a common path."""
    if one == other:
        return True
    if not _begin_alike(one, other) or (is_literal(one) and is_literal(other)):
        return False
    return _overlap(one, other)


def _begin_alike(one: str, other: str) -> bool:
    """Return whether two patterns agree as far as both are without wildcards; most do not."""
    length = min(_fixed_length(one), _fixed_length(other))
    return one[:length] == other[:length]


@lru_cache(maxsize=1 << 16)
def _fixed_length(pattern: str) -> int:
    """Return for how many characters a pattern can only mean itself."""
    for place, character in enumerate(pattern):
        if character in _WILD:
            return place
    return len(pattern) - pattern.endswith("/")


@lru_cache(maxsize=1 << 16)
def _overlap(one: str, other: str) -> bool:
    return _meet(_path_chain(one), _path_chain(other))


def covered_by_any(path: str, patterns: Sequence[str]) -> bool:
    """Return whether one literal path is covered by one of some normalised patterns."""
    return any(overlap(path, pattern) for pattern in patterns)


# --- links ---------------------------------------------------------------------------------------


class _Star:
    """Takes any number of links."""


_STAR = _Star()


class _OneOf:
    """One character of some ranges, which are in order and do not touch."""

    def __init__(self, ranges: tuple[tuple[int, int], ...]) -> None:
        self.ranges = ranges

    def meets(self, other: object) -> bool:
        if not isinstance(other, _OneOf):
            return self._has(ord(str(other)))
        at = there = 0
        while at < len(self.ranges) and there < len(other.ranges):
            (low, high), (their_low, their_high) = self.ranges[at], other.ranges[there]
            if low <= their_high and their_low <= high:
                return True
            at, there = (at + 1, there) if high < their_high else (at, there + 1)
        return False

    def _has(self, number: int) -> bool:
        place = bisect_right(self.ranges, (number, _LAST_CHARACTER)) - 1
        return place >= 0 and self.ranges[place][0] <= number <= self.ranges[place][1]


class _WildSegment:
    """A segment with wildcards: ``ways`` are the chains of which it is any one."""

    def __init__(self, text: str) -> None:
        chain = _Chain(_links_of(text))
        self.ways = (chain, _Chain(tuple(text))) if "[" in text else (chain,)

    def meets(self, other: object) -> bool:
        ways = other.ways if isinstance(other, _WildSegment) else (_Chain(tuple(str(other))),)
        return any(_meet(one, two) for one in self.ways for two in ways)


class _Chain:
    """Links, and for each distinct one the bits of the positions where it stands."""

    def __init__(self, links: Sequence[Hashable]) -> None:
        self.links = links
        self.stars = 0
        self.plain: dict[Hashable, int] = {}
        self.wild: dict[_OneOf | _WildSegment, int] = {}
        for position, link in enumerate(links):
            bit = 1 << position
            if isinstance(link, _Star):
                self.stars |= bit
            elif isinstance(link, _OneOf | _WildSegment):
                self.wild[link] = self.wild.get(link, 0) | bit
            else:
                self.plain[link] = self.plain.get(link, 0) | bit

    def positions_that_meet(self, link: Hashable) -> int:
        """Return the bits where this chain can take the same as a link."""
        found = self.stars
        for wild, bits in self.wild.items():
            if wild.meets(link):
                found |= bits
        if not isinstance(link, _OneOf | _WildSegment):
            return found | self.plain.get(link, 0)
        for plain, bits in self.plain.items():
            if link.meets(plain):
                found |= bits
        return found


def _meet(one: _Chain, other: _Chain) -> bool:
    """Say whether some word fits both chains; ``reach`` has a bit for each place in ``other``."""
    end = 1 << len(other.links)
    stars = other.stars
    known: dict[Hashable, int] = {}
    reach = 1 | ((1 & stars) << 1)
    for link in one.links:
        if isinstance(link, _Star):
            lowest = reach & -reach
            reach = (end << 1) - lowest
            continue
        positions = known.get(link)
        if positions is None:
            positions = known[link] = other.positions_that_meet(link)
        hit = positions & reach
        stay = hit & stars
        reach = ((hit & ~stars) << 1) | stay
        reach |= (reach & stars) << 1
        if not reach:
            return False
    return bool(reach & end)


# --- reading a pattern ---------------------------------------------------------------------------


@lru_cache(maxsize=1 << 14)
def _path_chain(pattern: str) -> _Chain:
    text = pattern + "**" if pattern.endswith("/") else pattern
    return _Chain([_segment(part) for part in text.split("/")])


@lru_cache(maxsize=1 << 14)
def _segment(text: str) -> Hashable:
    if text == "**":
        return _STAR
    return text if _WILD.isdisjoint(text) else _WildSegment(text)


def _links_of(text: str) -> list[Hashable]:
    """Return the links of a segment; neighbouring stars are one."""
    links: list[Hashable] = []
    at = 0
    while at < len(text):
        end = _end_of_set(text, at) if text[at] == "[" else 0
        if end:
            links.append(_one_of(text[at + 1 : end]))
            at = end
        elif text[at] == "?":
            links.append(_OneOf(_without(((ord("/"), ord("/")),))))
        elif text[at] != "*":
            links.append(text[at])
        elif not links or links[-1] is not _STAR:
            links.append(_STAR)
        at += 1
    return links


def _sets_of(text: str) -> list[str]:
    """Return what stands between the brackets of each set of a segment."""
    found: list[str] = []
    at = text.find("[")
    while at >= 0:
        end = _end_of_set(text, at)
        found += [text[at + 1 : end]] if end else []
        at = text.find("[", max(end, at) + 1)
    return found


def _end_of_set(text: str, at: int) -> int:
    """Return where the set that begins at ``at`` is closed, or 0; a first ``]`` is a member."""
    first = at + 1
    if text[first : first + 1] in ("!", "^"):
        first += 1
    return max(0, text.find("]", first + 1))


def _one_of(inside: str) -> _OneOf:
    is_negated = inside[0] in "!^"
    ranges = _ranges(inside[1:] if is_negated else inside)
    if is_negated:
        return _OneOf(_without((*ranges, (ord("/"), ord("/")))))
    return _OneOf(_without(_without(ranges)))  # in order, and those that touch are one


def _ranges(members: str) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(members):
        last = members[at + 2] if members[at + 1 : at + 2] == "-" and at + 2 < len(members) else ""
        low, high = ord(members[at]), ord(last or members[at])
        found.append((min(low, high), max(low, high)))
        at += 3 if last else 1
    return tuple(found)


def _without(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Return the ranges of all characters but some."""
    found: list[tuple[int, int]] = []
    begin = 0
    for low, high in sorted(ranges):
        if begin < low:
            found.append((begin, low - 1))
        begin = max(begin, high + 1)
    if begin <= _LAST_CHARACTER:
        found.append((begin, _LAST_CHARACTER))
    return tuple(found)
