"""Entering a stream's workspace: a person's shell there, as the stream has it but not as itself.

The shell gets the environment that the stream's command has, without what speaks for the stream:
neither its token nor the way to the engine. What a person does there is not a sign of the stream's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.wording import spelled
from anabranch.engine.attaching import outside_or_unknown
from anabranch.engine.git_variables import without_git_variables
from anabranch.engine.performers.launching import stream_environment
from anabranch.engine.performers.plan_variables import own_variables
from anabranch.engine.performers.workspaces import NoWorkingFolder, working_directory
from anabranch.env_files import BadEnvFile
from anabranch.errors import UsageError

SHELL = "/bin/sh"
_OF_THE_STREAM = ("ANABRANCH_TOKEN", "ANABRANCH_SOCKET", "ANABRANCH_SPOOL", "ANABRANCH_HOLDER")


class Entry(msgspec.Struct, frozen=True):
    """How a workspace is entered: by which shell, where, and with which environment.

    ``counts`` says whether what is changed there still becomes part of the stream's result.
    """

    argv: tuple[str, ...]
    folder: str
    environment: dict[str, str]
    counts: bool


def entry_into(
    state: State, stream: StreamId, environment: Mapping[str, str] = os.environ
) -> Entry:
    """Return how a stream's workspace is entered. Raises UsageError, which says why it cannot be.

    Args:
        state: the run's.
        stream: whose workspace.
        environment: the person's own.
    """
    found = state.streams.get(stream)
    if found is None:
        raise outside_or_unknown(state, stream, "its workspace is where it was started")
    workspace = found.workspace
    if workspace is None:
        raise UsageError(f"{stream} has no workspace yet: it is {spelled(found.public_state)}")
    if not os.path.isdir(workspace.path):
        hint = f"anabranch diff {stream} shows what it changed"
        raise UsageError(f"the workspace of {stream} has been given back", hint)
    prefix = _prefix(Path(state.project))
    env = stream_environment(state, stream, found.attempt, without_git_variables(environment))
    try:
        env |= own_variables(state, stream, prefix, None)
        folder = working_directory(
            Path(workspace.path), prefix, state.stream_plan(stream).working_dir
        )
    except NoWorkingFolder:
        folder = Path(workspace.path)
    except (OSError, BadEnvFile) as error:
        raise UsageError(f"the environment of {stream} cannot be read: {error}") from error
    for name in _OF_THE_STREAM:
        env.pop(name, None)
    shell = env.get("SHELL", "")
    argv = (shell if shutil.which(shell) else SHELL,)
    return Entry(argv, str(folder), env | {"PWD": str(folder)}, counts=found.is_active)


def _prefix(project: Path) -> str:
    """Return where a project lies in its repository; nothing if it is all of it, or in none."""
    for folder in (project, *project.parents):
        if (folder / ".git").exists():
            return "" if folder == project else project.relative_to(folder).as_posix()
    return ""
