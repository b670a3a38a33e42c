"""Lets the plan's resolver command settle a conflict, in a workspace of the engine's own.

The workspace holds the merge as far as it went, the conflicted files with markers and the base in
them. ``ANABRANCH_BASE``, ``ANABRANCH_OURS`` and ``ANABRANCH_THEIRS`` name folders with each side's
version of these files, ``ANABRANCH_CONFLICT`` a JSON file that says what meets what. A file without
markers afterwards is a decision. A conflict that no markers can show (a binary file, a deletion
against an edit) starts out without the file, and is decided by writing it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.ids import PointId, RunId
from anabranch.core.model.state import State
from anabranch.engine import workspaces as ws
from anabranch.engine.bounded_command import Ended, run_bounded
from anabranch.files import replace_whole
from anabranch.hostile_text import utf8_text
from anabranch.paths import RunFolder
from anabranch.plain_files import NotPlain, read_plain

TIMEOUT_SECONDS = 600.0

SIDES = ("base", "ours", "theirs")


async def run_resolver(
    repo: ws.Repository,
    folder: RunFolder,
    state: Callable[[], State],
    effect: fx.RunResolver,
    environment: Mapping[str, str],
) -> inputs.ResolverFinished:
    """Run the resolver on each conflict it was asked about; say what it has settled."""
    began = state()
    point = began.points[effect.point]
    command = began.point_plan(effect.point).resolver
    settled: list[ev.Resolution] = []
    ended = Ended(None, "there was nothing to settle")
    rooms = folder.room(folder.resolving, effect.point)
    shutil.rmtree(rooms, ignore_errors=True)  # of an engine that was killed
    for conflict in point.resolving:
        # What a resolver of such an engine may still write must not come into this one's way.
        room = Room(repo, began.run, rooms / f"{effect.cause}-{secrets.token_hex(4)}")
        try:
            await asyncio.to_thread(room.set_up, conflict)
            env = environment_of(began, effect.point, room, environment)
            ended = await run_bounded(
                command,
                room.working_folder,
                env,
                folder.resolver_log(effect.point),
                TIMEOUT_SECONDS,
                lambda: state().stop_reason is not None,
            )
            if ended.exit_code == 0:
                settled += await asyncio.to_thread(room.decisions, conflict)
        finally:
            await asyncio.to_thread(room.clear)
    with suppress(OSError):  # there is no folder, or somebody put something there
        rooms.rmdir()
    return inputs.ResolverFinished(
        point=effect.point,
        reason=f"resolver: {ended.reason}",
        resolutions=tuple(settled),
        cause=effect.cause,
    )


def environment_of(
    state: State, point: PointId, room: Room, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return what a resolver gets to know: where the sides are, and whose they are."""
    return {
        **environment,
        "ANABRANCH_RUN": state.run,
        "ANABRANCH_POINT": point,
        **room.variables,
    }


class Room:
    """The folder in which a resolver works on one conflict."""

    def __init__(self, repo: ws.Repository, run: RunId, path: Path) -> None:
        self._repo, self._run = repo, run
        self.path = path
        self.tree = path / "tree"

    @property
    def working_folder(self) -> Path:
        """The plan's folder inside the workspace, where there is one."""
        inside = self.tree / self._repo.prefix
        return inside if inside.is_dir() and not inside.is_symlink() else self.tree

    @property
    def variables(self) -> dict[str, str]:
        """What tells a command where things are."""
        return {
            "ANABRANCH_WORKSPACE": str(self.tree),
            "ANABRANCH_CONFLICT": str(self.path / "conflict.json"),
            **{f"ANABRANCH_{side.upper()}": str(self.path / side) for side in SIDES},
        }

    def set_up(self, conflict: ev.Conflict) -> None:
        """Write the workspace, the sides, and what there is to know. Raises GitError, OSError."""
        self.clear()
        self.tree.mkdir(parents=True)
        ws.write_tree(self._repo, self._run, conflict.tree, self.tree)
        ws.copy_included(self._repo, self._run, self.tree)
        with ws.Sides(self._repo, self._run) as sides:
            paths = [self._lay_out(sides, conflict, path) for path in conflict.paths]
        facts = {"streams": list(conflict.streams), "paths": paths}
        replace_whole(self.path / "conflict.json", msgspec.json.encode(facts))

    def _lay_out(
        self, sides: ws.Sides, conflict: ev.Conflict, path: ev.ConflictedPath
    ) -> dict[str, object]:
        blobs = {"base": path.base, "ours": path.ours, "theirs": path.theirs}
        has: dict[str, str | None] = {}
        for side, blob in blobs.items():
            content = sides.content(blob)
            has[side] = None if content is None else str(self._write(side, path.path, content))
        marked = sides.merged(path, labels_of(conflict))
        if marked is not None:
            self._write("tree", path.path, marked)
        else:
            self._remove(path.path)
        return {"path": path.path, "kind": path.kind, **has, "markers": marked is not None}

    def _write(self, part: str, path: str, content: bytes) -> Path:
        target = inside(self.path / part, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(target, content)
        return target

    def _remove(self, path: str) -> None:
        target = inside(self.tree, path)
        if os.path.lexists(target) and not (target.is_dir() and not target.is_symlink()):
            target.unlink()

    def decisions(self, conflict: ev.Conflict) -> list[ev.Resolution]:
        """Return a decision for each path whose file is there and has no markers left."""
        found = []
        with ws.Sides(self._repo, self._run) as sides:
            for path in conflict.paths:
                content, mode = self._result(path)
                if content is None or ws.has_markers(content):
                    continue
                blob = sides.keep(content)
                found.append(ev.Resolution.of(path, "command", blob, mode))
        return found

    def _result(self, path: ev.ConflictedPath) -> tuple[bytes | None, str]:
        """Return what a file became; a resolver may have put anything in its place."""
        try:
            target = inside(self.tree, path.path)
            content = read_plain_file(target)
            mode = target.lstat().st_mode
        except (OSError, ValueError):
            return None, ""
        modes = {path.ours_mode, path.theirs_mode} - {""}
        is_executable = modes == {"100755"} or bool(mode & 0o100)
        return content, "100755" if is_executable else "100644"

    def clear(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.path, ignore_errors=True)


def read_plain_file(path: Path) -> bytes | None:
    """Return the content of a plain file, None if it is not one or too large. Raises OSError."""
    try:
        return read_plain(path, ws.LARGEST_TEXT_BYTES)
    except NotPlain:
        return None


def inside(root: Path, path: str) -> Path:
    """Return a path of git's below a folder; raises ValueError if it would lead elsewhere.

    It must not lead through a folder that is a link (the tree may hold some).
    """
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{path!r} is not a path inside a folder")
    at = root
    for part in parts[:-1]:
        at = at / part
        if at.is_symlink():
            raise ValueError(f"{path!r} leads through a link")
    return at / parts[-1]


def labels_of(conflict: ev.Conflict) -> tuple[str, str, str]:
    """Return what the markers name the sides: by whose work they are."""
    others = ", ".join(conflict.streams[:-1]) or "the base of the run"
    return utf8_text(others), "before both", utf8_text(conflict.late)
