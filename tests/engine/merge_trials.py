"""Real changes dealt out to streams, and git's own merges as the referee.

The difference between two releases of a package is cut into hunks, and each hunk is given to one of
a few streams; some are given to two of them on purpose, changed or as they are. Renames, deletions,
modes, links, binary files and files that become folders are mixed in. The referee merges the same
branches one after the other with ``git merge`` in a checkout of its own.
"""

from __future__ import annotations

import random
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.engine.repositories import git

LARGEST_FILE_BYTES = 60_000
MOST_FILES = 90
INSTALLED = ("click", "msgspec", "pluggy")
PLAIN, EXECUTABLE, LINK = "100644", "100755", "120000"
BRANCH = "trial"


class File(NamedTuple):
    """A file of a tree."""

    mode: str
    content: bytes


Files = dict[str, File]


class Release(NamedTuple):
    """Two successive states of a package."""

    name: str
    before: Files
    after: Files


class Hunk(NamedTuple):
    """A piece of a difference: lines of a file replaced by others."""

    path: str
    start: int
    end: int
    lines: tuple[bytes, ...]


@dataclass
class Stream:
    """What one stream is dealt; ``parent`` is the stream that it starts from, -1 for the base."""

    number: int
    parent: int = -1
    hunks: list[Hunk] = field(default_factory=list)
    whole: dict[str, File | None] = field(default_factory=dict)
    renames: dict[str, str] = field(default_factory=dict)

    @property
    def branch(self) -> str:
        return f"{BRANCH}-{self.number}"


# --- releases ------------------------------------------------------------------------------------


def releases(archives: Path | None) -> list[Release]:
    """Return successive releases from a folder of source archives, or made-up ones without it."""
    if archives is None:
        return [_made_up(name) for name in INSTALLED]
    by_name: dict[str, list[tuple[tuple[int, ...], Path]]] = {}
    for path in archives.glob("*.tar.gz"):
        found = re.fullmatch(r"(.+)-([0-9.]+)\.tar\.gz", path.name)
        if found:
            version = tuple(int(part) for part in found[2].split("."))
            by_name.setdefault(found[1].lower(), []).append((version, path))
    pairs = []
    for name, known in sorted(by_name.items()):
        ordered = [path for _, path in sorted(known)]
        for one, other in pairwise(ordered):
            pairs.append(Release(name, _of_archive(one), _of_archive(other)))
    return pairs


def _of_archive(path: Path) -> Files:
    files: Files = {}
    with tarfile.open(path) as tar:
        for member in tar.getmembers():
            _, _, name = member.name.partition("/")
            read = tar.extractfile(member) if member.isfile() else None
            if name and read is not None and member.size < LARGEST_FILE_BYTES:
                files[name] = File(EXECUTABLE if member.mode & 0o100 else PLAIN, read.read())
    return _some(files)


def _some(files: Files) -> Files:
    kept = [p for p in sorted(files) if not p.startswith(("docs/_static", ".git/"))]
    return {path: files[path] for path in kept[:MOST_FILES]}


def _made_up(name: str) -> Release:
    """Make a next release of an installed package, always the same one."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    found = (p for p in sorted(folder.rglob("*.py*")) if p.suffix in (".py", ".pyi"))
    before = {
        f"src/{p.relative_to(folder)}": File(PLAIN, p.read_bytes())
        for p in found
        if p.stat().st_size < LARGEST_FILE_BYTES
    }
    before |= {f"data/{n}.bin": File(PLAIN, bytes(range(256)) * (n + 1)) for n in range(3)}
    before = _some({**before, "tools/run.sh": File(EXECUTABLE, b"#!/bin/sh\nexit 0\n")})
    chance = random.Random(name)
    after = {path: File(f.mode, _aged(chance, f.content)) for path, f in before.items()}
    for path in chance.sample(sorted(after), 3):
        del after[path]
    after |= {f"src/new_{n}.py": File(PLAIN, b"# new\nVALUE = %d\n" % n) for n in range(3)}
    return Release(name, before, after)


def _aged(chance: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    if b"\0" in content or len(lines) < 4:
        return content
    for _ in range(chance.randint(0, 5)):
        at = chance.randrange(len(lines))
        fresh = [b"# changed %d\n" % chance.randrange(10_000) for _ in range(chance.randint(0, 3))]
        lines[at : at + chance.randint(0, 3)] = fresh
    return b"".join(lines)


# --- dealing -------------------------------------------------------------------------------------


def hunks_of(release: Release) -> list[Hunk]:
    """Return every hunk that makes the later release's text files of the earlier one's."""
    found = []
    for path, before in release.before.items():
        after = release.after.get(path)
        if after is None or b"\0" in before.content or after.content == before.content:
            continue
        old, new = before.content.splitlines(True), after.content.splitlines(True)
        for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if tag != "equal":
                found.append(Hunk(path, i, j, tuple(new[k:m])))
    return found


def deal(release: Release, chance: random.Random) -> list[Stream]:
    """Deal a release's changes out to 2 to 8 streams, some of it to two of them."""
    streams = [Stream(number) for number in range(chance.randint(2, 8))]
    for stream in streams[1:]:
        if chance.random() < 0.15:
            stream.parent = chance.randrange(stream.number)
    for hunk in hunks_of(release):
        if chance.random() < 0.5:
            continue
        chance.choice(streams).hunks.append(hunk)
        if chance.random() < 0.08:
            other = chance.choice(streams)
            varied = (*hunk.lines, b"# and more\n") if chance.random() < 0.6 else hunk.lines
            other.hunks.append(hunk._replace(lines=varied))
    _deal_whole_files(release, streams, chance)
    for _ in range(chance.randint(0, 3)):
        chance.choice(_TRICKS)(release, streams, chance)
    return streams


def _deal_whole_files(release: Release, streams: list[Stream], chance: random.Random) -> None:
    for path in sorted({*release.before, *release.after}):
        before, after = release.before.get(path), release.after.get(path)
        is_text = before is not None and after is not None and b"\0" not in before.content
        if before == after or is_text or chance.random() < 0.5:
            continue
        chance.choice(streams).whole[path] = after


def _rename(release: Release, streams: list[Stream], chance: random.Random) -> None:
    path = chance.choice(sorted(release.before))
    stream = chance.choice(streams)
    stream.renames[path] = f"moved/{stream.number}/{path.rpartition('/')[2]}"
    if chance.random() < 0.3:
        other = chance.choice(streams)
        other.renames[path] = f"elsewhere/{path.rpartition('/')[2]}"


def _rename_folder(release: Release, streams: list[Stream], chance: random.Random) -> None:
    folder = chance.choice(sorted({p.rpartition("/")[0] for p in release.before} - {""}) or [""])
    stream, other = chance.sample(streams, 2)
    for path in release.before:
        if folder and path.startswith(f"{folder}/"):
            stream.renames[path] = f"renamed/{path.removeprefix(folder).lstrip('/')}"
    if chance.random() < 0.5:
        other.whole[f"{folder}/added_meanwhile.txt".lstrip("/")] = File(PLAIN, b"new there\n")


def _delete(release: Release, streams: list[Stream], chance: random.Random) -> None:
    for path in chance.sample(sorted(release.before), min(2, len(release.before))):
        chance.choice(streams).whole[path] = None


def _mode(release: Release, streams: list[Stream], chance: random.Random) -> None:
    path = chance.choice(sorted(release.before))
    before = release.before[path]
    mode = PLAIN if before.mode == EXECUTABLE else EXECUTABLE
    chance.choice(streams).whole[path] = before._replace(mode=mode)


def _binary(release: Release, streams: list[Stream], chance: random.Random) -> None:
    for stream in chance.sample(streams, 2):
        content = b"\0" + chance.randbytes(200)
        stream.whole["data/picture.bin"] = File(PLAIN, content)


def _both_add(release: Release, streams: list[Stream], chance: random.Random) -> None:
    same = chance.random() < 0.4
    for stream in chance.sample(streams, 2):
        text = b"the same\n" if same else b"by %d\n" % stream.number
        stream.whole["src/added_by_two.py"] = File(PLAIN, text)


def _link(release: Release, streams: list[Stream], chance: random.Random) -> None:
    for stream in chance.sample(streams, chance.randint(1, 2)):
        stream.whole["link"] = File(LINK, b"target-%d" % stream.number)


def _becomes_folder(release: Release, streams: list[Stream], chance: random.Random) -> None:
    path = chance.choice(sorted(release.before))
    stream = chance.choice(streams)
    stream.whole[path] = None
    stream.whole[f"{path}/inside.txt"] = File(PLAIN, b"a folder now\n")


def _twins(release: Release, streams: list[Stream], chance: random.Random) -> None:
    one, other = chance.sample(streams, 2)
    one.whole["Notes.txt"] = File(PLAIN, b"upper\n")
    other.whole["notes.txt"] = File(PLAIN, b"lower\n")


_TRICKS = (
    *(_rename, _rename, _rename_folder, _delete, _delete, _mode, _binary, _both_add, _link),
    *(_becomes_folder, _twins),
)


def applied(files: Mapping[str, File], stream: Stream, base: Mapping[str, File]) -> Files:
    """Return a tree after a stream's changes; hunks are placed by the base's line numbers."""
    after = dict(files)
    by_path: dict[str, list[Hunk]] = {}
    for hunk in stream.hunks:
        by_path.setdefault(hunk.path, []).append(hunk)
    for path, hunks in by_path.items():
        here = after.get(path)
        if here is None or here.content != base[path].content:
            continue  # its parent changed the file: the lines would be others
        lines = here.content.splitlines(True)
        last = len(lines) + 1
        for hunk in sorted(set(hunks), key=lambda h: (h.start, h.end), reverse=True):
            if hunk.end <= last:
                lines[hunk.start : hunk.end] = hunk.lines
                last = hunk.start
        after[path] = here._replace(content=b"".join(lines))
    for path, new in stream.whole.items():
        if new is None:
            after.pop(path, None)
        else:
            _make_way(after, path)
            after[path] = new
    for old, new_path in stream.renames.items():
        if old in after:
            moved = after.pop(old)
            _make_way(after, new_path)
            after[new_path] = moved
    return after


def _make_way(files: Files, path: str) -> None:
    """A file and a folder cannot have one name in one tree."""
    for other in [p for p in files if p.startswith(f"{path}/") or path.startswith(f"{p}/")]:
        del files[other]


# --- git -----------------------------------------------------------------------------------------


def import_streams(
    repository: Path, base: str, before: Files, streams: list[Stream]
) -> dict[int, Files]:
    """Make every stream a branch by git's own importer; return the trees."""
    trees: dict[int, Files] = {}
    out: list[bytes] = []
    for stream in streams:
        start = trees[stream.parent] if stream.parent >= 0 else before
        tree = trees[stream.number] = applied(start, stream, before)
        parent = streams[stream.parent].branch if stream.parent >= 0 else ""
        origin = f"refs/heads/{parent}" if parent else base
        out += [
            f"reset refs/heads/{stream.branch}\nfrom {origin}\n\n".encode(),
            f"commit refs/heads/{stream.branch}\n".encode(),
            b"committer T <t@example.org> 1700000000 +0000\ndata 1\nx\n",
            *_operations(start, tree),
            b"\n",
        ]
    found = b"".join(out).decode("utf-8", "surrogateescape")
    git(repository, "fast-import", "--quiet", "--force", stdin=found)
    return trees


def _operations(before: Files, after: Files) -> Iterator[bytes]:
    for path in sorted(before.keys() - after.keys()):
        yield b"D " + _quoted(path) + b"\n"
    for path in sorted(after):
        new = after[path]
        if before.get(path) != new:
            yield f"M {new.mode} inline ".encode() + _quoted(path) + b"\n"
            yield b"data %d\n" % len(new.content) + new.content + b"\n"


def _quoted(path: str) -> bytes:
    return b'"' + path.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'


class Verdict(NamedTuple):
    """What a sequence of merges came to: a tree, and the paths each stream conflicts in."""

    tree: str
    conflicts: dict[int, frozenset[str]]


Key = tuple[str, str, str, str]
"""A path and the blobs of its base and of both sides, the sides in order."""


def referee(
    checkout: Path,
    base: str,
    streams: list[Stream],
    settled: Mapping[int, str],
    remembered: Mapping[Key, tuple[str, str | None]],
) -> Verdict:
    """Merge the streams' branches one after the other, as a person would in a checkout.

    A conflict of a stream in ``settled`` is settled by taking that side of every path. One whose
    paths were all decided about before, in the same three versions, is settled as it was then and
    told of no more. Any other is called off, and what was built on that stream is left out as well.
    """
    git(checkout, "checkout", "-q", "-f", "--detach", base)
    git(checkout, "clean", "-q", "-f", "-d", "-x")
    left_out: set[int] = set()
    conflicts: dict[int, frozenset[str]] = {}
    for stream in streams:
        if stream.parent in left_out:
            left_out.add(stream.number)
            continue
        git(checkout, "merge", "-q", "--no-edit", "--no-ff", stream.branch, check=False)
        paths = _unmerged(checkout)
        if not paths:
            assert not (_git_folder(checkout) / "MERGE_HEAD").exists(), stream
            continue
        if stream.number not in settled and _is_remembered(paths, remembered):
            _settle_as_before(checkout, paths, remembered)
            continue
        conflicts[stream.number] = frozenset(_plain(p, stream.branch) for p in paths)
        if stream.number in settled:
            _settle(checkout, paths, settled[stream.number])
            continue
        git(checkout, "merge", "--abort")
        left_out.add(stream.number)
    return Verdict(git(checkout, "rev-parse", "HEAD^{tree}").strip(), conflicts)


def _git_folder(checkout: Path) -> Path:
    return Path(git(checkout, "rev-parse", "--absolute-git-dir").strip())


Unmerged = dict[str, dict[str, tuple[str, str]]]
"""Every unmerged path: its stages, each with a mode and a blob."""


def _unmerged(checkout: Path) -> Unmerged:
    found: Unmerged = {}
    for line in git(checkout, "ls-files", "-u", "-z").split("\0")[:-1]:
        facts, _, path = line.partition("\t")
        mode, blob, stage = facts.split(" ")
        found.setdefault(path, {})[stage] = (mode, blob)
    return found


def _key(path: str, stages: Mapping[str, tuple[str, str]]) -> Key:
    base, ours, theirs = (stages.get(s, ("", ""))[1] for s in "123")
    one, other = sorted((ours, theirs))
    return path, base, one, other


def _is_remembered(paths: Unmerged, remembered: Mapping[Key, tuple[str, str | None]]) -> bool:
    return all(_key(path, stages) in remembered for path, stages in paths.items())


def _settle_as_before(
    checkout: Path, paths: Unmerged, remembered: Mapping[Key, tuple[str, str | None]]
) -> None:
    for path, stages in paths.items():
        mode, blob = remembered[_key(path, stages)]
        git(checkout, "rm", "-q", "-f", "--", path)
        if blob is not None:
            git(checkout, "update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}")
    git(checkout, "commit", "-q", "--no-edit", "--no-verify")
    git(checkout, "checkout", "-q", "-f", "HEAD")


def _plain(path: str, branch: str) -> str:
    return path.removesuffix("~HEAD").removesuffix(f"~{branch}")


def _settle(checkout: Path, paths: Unmerged, side: str) -> None:
    stage = {"ours": "2", "theirs": "3"}[side]
    for path, stages in paths.items():
        if stage in stages:
            git(checkout, "checkout", f"--{side}", "--", path)
            git(checkout, "add", "-f", "--", path)
        else:
            git(checkout, "rm", "-q", "-f", "--", path)
    git(checkout, "commit", "-q", "--no-edit", "--no-verify")
