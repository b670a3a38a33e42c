"""The engine's own notes about the workspaces it made, one small file each."""

from __future__ import annotations

from pathlib import Path

import msgspec

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine.workspaces.names import component
from anabranch.engine.workspaces.repository import run_folder
from anabranch.engine.workspaces.values import Repository, Workspace
from anabranch.plain_files import SMALL_FILE_BYTES, NotPlain, read_if_there, write_whole


def record_path(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Path:
    """Where the note about an attempt's workspace lies."""
    return run_folder(repo, run) / "prepared" / f"{component(stream)}.{attempt}.json"


def index_path(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Path:
    """The engine's private index for an attempt's workspace."""
    return run_folder(repo, run) / "index" / f"{component(stream)}.{attempt}"


def write_record(repo: Repository, workspace: Workspace) -> None:
    """Notes that a workspace is complete."""
    path = record_path(repo, workspace.run, workspace.stream, workspace.attempt)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, msgspec.json.encode(workspace, enc_hook=_encode_path), to_disk=True)


def read_record(
    repo: Repository, run: RunId, stream: StreamId, attempt: Attempt
) -> Workspace | None:
    """The workspace that was prepared for this attempt, if one was."""
    path = record_path(repo, run, stream, attempt)
    try:
        noted = read_if_there(path, SMALL_FILE_BYTES)
        if noted is None:
            return None
        return msgspec.json.decode(noted, type=Workspace, dec_hook=_decode_path)
    except (NotPlain, msgspec.DecodeError):
        return None


def _encode_path(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)


def _decode_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(kind.__name__)
