"""A command of the plan's that the engine itself runs and waits for, for a bounded time.

It gets a session of its own, so that it and all it has started can be ended together. Its output
goes to a file. If the engine's process dies, the command goes on until it ends by itself; whatever
it makes then is looked at by nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from anabranch.plain_files import open_to_append

POLL_SECONDS = 0.2


class Ended(msgspec.Struct, frozen=True):
    """How a command ended: an exit code (negative for a signal), or why it was ended."""

    exit_code: int | None
    reason: str


async def run_bounded(
    command: str | Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    log: Path,
    timeout_seconds: float,
    is_unwanted: Callable[[], bool] = lambda: False,
) -> Ended:
    """Run a text by ``sh -c``, or words as they are, in a folder.

    It is ended when time is up or it is wanted no more.

    Raises OSError if it cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open_to_append(log) as output:
        process = await asyncio.create_subprocess_exec(
            *(("/bin/sh", "-c", command) if isinstance(command, str) else command),
            cwd=folder,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        return await _wait(process, timeout_seconds, is_unwanted)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


async def _wait(
    process: asyncio.subprocess.Process, timeout_seconds: float, is_unwanted: Callable[[], bool]
) -> Ended:
    waiting = asyncio.ensure_future(process.wait())
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    try:
        while not waiting.done():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return Ended(None, f"it took longer than {timeout_seconds:g} s")
            if is_unwanted():
                return Ended(None, "it was not wanted any more")
            await asyncio.wait({waiting}, timeout=min(POLL_SECONDS, left))
    finally:
        waiting.cancel()
    code = process.returncode
    return Ended(code, f"exit {code}" if code is None or code >= 0 else f"signal {-code}")
