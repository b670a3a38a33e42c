"""Merge trials: our verdicts and trees are those of git's own merges in a checkout.

By hand: ``ANABRANCH_MERGE_TRIALS=2000 ANABRANCH_RELEASES=FOLDER``, where the folder holds source
archives of successive releases (``NAME-VERSION.tar.gz``).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace as replaced

from anabranch.core.events import Conflict, Resolution
from anabranch.core.folds.resolutions import key_of
from anabranch.core.ids import StreamId
from anabranch.core.model.state import Base, Result
from anabranch.engine.workspaces import (
    MergeOutcome,
    Repository,
    StreamResult,
    decide_side,
    look_at_merge,
    merge_trees,
    overlaid,
)
from anabranch.engine.workspaces.objects import Change, changes
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.union import Leaf
from tests.e2e.checkouts import likeness
from tests.engine.merge_trials import (
    Files,
    Release,
    Stream,
    Verdict,
    deal,
    import_streams,
    referee,
    releases,
)
from tests.engine.repositories import RUN, git, make_repository, open_project

TRIALS = int(os.environ.get("ANABRANCH_MERGE_TRIALS", "30"))
FIRST = int(os.environ.get("ANABRANCH_FIRST_TRIAL", "0"))
ARCHIVES = os.environ.get("ANABRANCH_RELEASES")
ENOUGH_DISAGREEMENTS = 5
TRIALS_A_TIDY = 200
"""Each trial leaves objects behind, and git grows slow with thousands of them lying about."""

SIMPLE = ("contents", "add/add", "binary", "modify/delete")
"""Kinds of conflict that taking one side of each path settles in the same way for everybody."""


class Ours(NamedTuple):
    """What our merge came to, and how it was settled."""

    outcome: MergeOutcome
    conflicts: dict[int, Conflict]
    settled: dict[int, str]
    decisions: dict[str, Resolution]


class Place(NamedTuple):
    """A repository with a release in it: the user's checkout, and the referee's."""

    repo: Repository
    base: Base
    user: Path
    judge: Path
    before: Files


def place_for(release: Release, folder: Path) -> Place:
    """Make a repository of a release's earlier state, its checkout in the middle of work."""
    user = make_repository(folder / "user", {"unfinished.txt": "committed\n"})
    for path, file in release.before.items():
        target = user / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(0o755 if file.mode == "100755" else 0o644)
    git(user, "rm", "-q", "-f", "unfinished.txt")
    git(user, "add", "-A", "-f")
    git(user, "commit", "-q", "-m", "before")
    project = open_project(user, folder / "outside")
    judge = folder / "judge"
    git(user, "worktree", "add", "-q", "--detach", str(judge), project.base.commit)
    (user / "mine.txt").write_text("not committed\n")
    (user / next(iter(sorted(release.before)))).write_text("in the middle of work\n")
    return Place(project.repo, project.base, user, judge, release.before)


def merge_ours(place: Place, streams: list[Stream], chance: random.Random) -> Ours:
    """Merge as a convergence point does; settle some of the simple conflicts by a side."""
    results = results_of(place, streams)
    below = {s.number: _descendants(streams, s.number) for s in streams}
    wants = {s.number: chance.choice(("", "ours", "theirs")) for s in streams}
    decisions: dict[str, Resolution] = {}
    settled: dict[int, str] = {}
    seen: dict[int, Conflict] = {}
    while True:
        outcome = merge_trees(
            place.repo, RUN, place.base, results, message="trial", stop_early=False,
            decisions=decisions, below=lambda s: {_name(n) for n in below[_number(s)]},
        )  # fmt: skip
        found = {_number(c.late): c for c in outcome.conflicts}
        seen |= found
        fresh = [
            n for n, c in found.items() if n not in settled and wants[n] and _is_simple(place, c)
        ]
        if not fresh:
            conflicts = {n: c for n, c in seen.items() if n in found or n in settled}
            return Ours(outcome, conflicts, settled, decisions)
        number = fresh[0]
        settled[number] = wants[number]
        side = "ours" if wants[number] == "ours" else "theirs"
        for path in found[number].paths:
            decisions[key_of(path)] = decide_side(path, "ours" if side == "ours" else "theirs")
        for later in [n for n in settled if n > number]:  # it is merged onto something else now
            del settled[later]


def _is_simple(place: Place, conflict: Conflict) -> bool:
    """Whether each path stands under its own name, with nothing else in its way."""
    names = [path.path for path in conflict.paths]
    files = git(place.user, "ls-tree", "-r", "-z", "--name-only", conflict.tree).split("\0")
    is_alone = len({*names}) == len(names) and {*names} <= {*files}
    return is_alone and all(path.kind in SIMPLE for path in conflict.paths)


def results_of(place: Place, streams: list[Stream]) -> list[StreamResult]:
    """Return the branches as results, each with the tree that it started from."""
    asked = [f"{s.branch}{kind}" for s in streams for kind in ("", "^{tree}")]
    ids = git(place.user, "rev-parse", *asked).split()
    found = dict(
        zip([s.number for s in streams], zip(ids[::2], ids[1::2], strict=True), strict=True)
    )
    found[-1] = (place.base.commit, place.base.tree)
    return [(_name(s.number), Result(*found[s.number], *found[s.parent])) for s in streams]


def _name(number: int) -> StreamId:
    return StreamId(f"s{number}")


def _number(stream: StreamId) -> int:
    return int(stream.removeprefix("s"))


def _descendants(streams: list[Stream], number: int) -> set[int]:
    found: set[int] = set()
    for stream in streams:
        if stream.parent == number or stream.parent in found:
            found.add(stream.number)
    return found


def disagreement(place: Place, streams: list[Stream], ours: Ours, theirs: Verdict) -> str | None:
    """Return how our verdicts and tree differ from git's, None if they do not."""
    record = {
        number: frozenset(p.path for p in conflict.paths if p.base or p.ours or p.theirs)
        for number, conflict in ours.conflicts.items()
    }
    if record != theirs.conflicts:
        return f"conflicts: ours {record}, git's {theirs.conflicts}"
    if ours.outcome.tree != theirs.tree:
        differing = git(
            place.user, "diff-tree", "-r", "--no-renames", ours.outcome.tree, theirs.tree
        )
        return f"trees differ: {differing}"
    merged = [(s, r) for s, r in results_of(place, streams) if s in ours.outcome.merged]
    found = look_at_merge(
        place.repo,
        RUN,
        place.base,
        merged,
        ours.outcome,
        {made.path for made in ours.decisions.values()},
    )
    if found.lost:
        return f"called lost, wrongly: {found.lost}"
    files = git(place.user, "ls-tree", "-r", "--name-only", theirs.tree).split("\n")
    if {"Notes.txt", "notes.txt"} <= {*files} and "differ only in case" not in str(found.warnings):
        return "names that differ only in case were not told"
    return None


def blindness(place: Place, streams: list[Stream], ours: Ours, chance: random.Random) -> str | None:
    """Spoil what we merged in one path, and return what was not found out about it, if so."""
    merged = [(s, r) for s, r in results_of(place, streams) if s in ours.outcome.merged]
    touched: dict[str, list[Change]] = {}
    for _, result in merged:
        for change in changes(frozen_view(place.repo, RUN), result.start_tree, result.tree):
            touched.setdefault(change.path, []).append(change)
    decided = {made.path for made in ours.decisions.values()}
    alone = sorted(p for p, ends in touched.items() if len(ends) == 1 and p not in decided)
    if not alone:
        return None
    path = chance.choice(alone)
    before = touched[path][0]
    leaf = Leaf(path, before.before_mode if before.before else "", before.before)
    tree = overlaid(place.repo, RUN, ours.outcome.tree, [leaf])
    if tree == ours.outcome.tree:  # renamed away by somebody, or merged with what others did
        return None
    spoiled = replaced(ours.outcome, tree=tree)
    found = look_at_merge(place.repo, RUN, place.base, merged, spoiled, decided)
    return None if found.lost else f"{path} was put back, and nobody noticed"


@pytest.mark.timeout(120 + TRIALS * 2)
def test_our_merges_are_those_of_git_in_a_checkout(tmp_path: Path) -> None:
    """Clean or conflict, the paths, the tree, and the tree after taking sides; nobody touched."""
    found = releases(Path(ARCHIVES) if ARCHIVES else None)
    places = [place_for(r, tmp_path / f"{n}-{r.name}") for n, r in enumerate(found)]
    before = [likeness(place.user) for place in places]
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    for trial in range(FIRST, FIRST + TRIALS):
        chance = random.Random(trial)
        which = trial % len(found)
        release, place = found[which], places[which]
        streams = deal(release, chance)
        if trial % TRIALS_A_TIDY == TRIALS_A_TIDY - 1:
            for each in places:
                git(each.user, "repack", "-q", "-a", "-d", "-n")
                git(each.user, "prune", "--expire=now")
        import_streams(place.user, place.base.commit, place.before, streams)
        ours = merge_ours(place, streams, chance)
        remembered = {_key(made): (made.mode, made.blob) for made in ours.decisions.values()}
        theirs = referee(place.judge, place.base.commit, streams, ours.settled, remembered)
        problem = disagreement(place, streams, ours, theirs) or blindness(
            place, streams, ours, chance
        )
        if problem:
            wrong.append(f"trial {trial} ({release.name}): {problem}")
            if len(wrong) >= ENOUGH_DISAGREEMENTS:
                break
        _count(seen, ours)
    print(dict(seen))
    assert not wrong, "\n".join(wrong)
    assert [likeness(place.user) for place in places] == before
    assert seen["clean"] > TRIALS // 10
    assert seen["settled"] > TRIALS // 10
    assert seen["conflict contents"] > TRIALS // 10


def _key(made: Resolution) -> tuple[str, str, str, str]:
    one, other = sorted((made.ours or "", made.theirs or ""))
    return made.path, made.base or "", one, other


def _count(seen: Counter[str], ours: Ours) -> None:
    seen["trials"] += 1
    seen["clean"] += not ours.conflicts
    seen["settled"] += bool(ours.settled)
    seen["left out"] += len(ours.conflicts) > len(ours.settled)
    for conflict in ours.conflicts.values():
        seen.update(f"conflict {p.kind}" for p in conflict.paths)
