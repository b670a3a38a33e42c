"""Runs a point's ``verify`` command on merged work, in a folder of the engine's own.

The folder holds the merged files and no repository. A tree that was checked before is not checked
again. The command ends with the run; what it came to counts only if it came to an end by itself.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.folds.verifying import has_passed
from anabranch.core.ids import PointId
from anabranch.core.model.state import State
from anabranch.engine import workspaces as ws
from anabranch.engine.bounded_command import Ended, run_bounded
from anabranch.engine.performers.workspaces import WorkspaceEffects
from anabranch.paths import RunFolder

TIMEOUT_SECONDS = 3600.0


async def run_verify(
    workspaces: WorkspaceEffects,
    folder: RunFolder,
    state: Callable[[], State],
    effect: fx.RunVerify,
    environment: Mapping[str, str],
) -> inputs.VerifyFinished:
    """Merge the streams that are asked about and check the result, unless that tree is known."""
    began = state()
    command = began.point_plan(effect.point).verify
    merged = await asyncio.to_thread(workspaces.merge_for_verify, began, effect.streams)
    if isinstance(merged, str):
        return _result(effect, "", False, None, merged, 0.0)
    known = None
    if not effect.failures:
        known = has_passed(began, command, merged.tree, effect.is_again)
    if known is not None:
        return _result(effect, merged.tree, known, None, "known already", 0.0, remembered=True)
    started = time.monotonic()
    log = folder.verify_log(effect.point, effect.trial_of)
    ended = await check_tree(
        workspaces.repository, folder, began, command, merged.commit, merged.tree, effect.point,
        environment, lambda: state().stop_reason is not None, log,
    )  # fmt: skip
    if ended.exit_code is None:
        return _no_result(effect, ended.reason)
    seconds = time.monotonic() - started
    passed = ended.exit_code == 0
    return _result(effect, merged.tree, passed, ended.exit_code, ended.reason, seconds, str(log))


async def check_tree(
    repo: ws.Repository,
    folder: RunFolder,
    state: State,
    command: str,
    commit: str,
    tree: str,
    point: PointId,
    environment: Mapping[str, str],
    is_unwanted: Callable[[], bool],
    log: Path | None = None,
) -> Ended:
    """Run a point's check on a merged tree, in a folder that is gone afterwards.

    What it says goes into the ``log``, that of the point if none is given.

    Raises GitError, OSError.
    """
    rooms = folder.room(folder.verifying, point)
    await asyncio.to_thread(shutil.rmtree, rooms, True)  # of an engine that was killed
    room = rooms / secrets.token_hex(6)
    try:
        await asyncio.to_thread(_set_up, repo, state, tree, room)
        return await run_bounded(
            command,
            _working_folder(room, repo.prefix),
            _environment(state, point, commit, room, environment),
            log or folder.verify_log(point),
            TIMEOUT_SECONDS,
            is_unwanted,
        )
    finally:
        await asyncio.to_thread(shutil.rmtree, room, True)


def _set_up(repo: ws.Repository, state: State, tree: str, room: Path) -> None:
    room.mkdir(parents=True)
    ws.write_tree(repo, state.run, tree, room)
    ws.copy_included(repo, state.run, room)


def _working_folder(room: Path, prefix: str) -> Path:
    inside = room / prefix
    return inside if inside.is_dir() and not inside.is_symlink() else room


def _environment(
    state: State, point: PointId, commit: str, room: Path, inherited: Mapping[str, str]
) -> dict[str, str]:
    return {
        **inherited,
        "ANABRANCH_RUN": state.run,
        "ANABRANCH_POINT": point,
        "ANABRANCH_COMMIT": commit,
        "ANABRANCH_WORKSPACE": str(room),
    }


def _result(
    effect: fx.RunVerify,
    tree: str,
    passed: bool,
    exit_code: int | None,
    reason: str,
    seconds: float,
    log: str = "",
    *,
    remembered: bool = False,
) -> inputs.VerifyFinished:
    return inputs.VerifyFinished(
        point=effect.point,
        streams=effect.streams,
        tree=tree,
        passed=passed,
        exit_code=exit_code,
        reason=reason,
        seconds=round(seconds, 3),
        log=log,
        is_remembered=remembered,
        cause=effect.cause,
    )


def _no_result(effect: fx.RunVerify, reason: str) -> inputs.VerifyFinished:
    return inputs.VerifyFinished(
        point=effect.point, streams=effect.streams, passed=None, reason=reason, cause=effect.cause
    )
