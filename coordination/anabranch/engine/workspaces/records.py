"""The engine's own notes about the workspaces it made, one small file each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.core.written_names import in_ref
from anabranch.engine.workspaces.repository import run_folder
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository
from anabranch.files import replace_whole
from anabranch.paths import capitals_count
from anabranch.plain_files import SMALL_FILE_BYTES, NotPlain, read_if_there
from anabranch.undecodable import UNDECODABLE

ASIDE = "aside"
"""The folder, of those of a run, for files that git must not keep."""


def record_path(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Path:
    """Return where the note about an attempt's workspace lies."""
    return note_of(run_folder(repo, run) / "prepared", stream, attempt)


def note_of(folder: Path, stream: StreamId, attempt: Attempt) -> Path:
    """Return where a note about an attempt lies in a folder of such notes."""
    return folder / f"{in_ref(stream, capitals_count(folder))}.{attempt}.json"


def index_path(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Path:
    """Return the engine's private index for an attempt's workspace."""
    return _of_attempt(run_folder(repo, run) / "index", stream, attempt)


def git_path(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Path:
    """Return the git directory of an attempt's workspace; it outlives the workspace's folder."""
    return _of_attempt(run_folder(repo, run) / "git", stream, attempt)


def objects_path(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Path:
    """Return where the engine has the objects that only an attempt's own repository holds."""
    return _of_attempt(run_folder(repo, run) / "objects", stream, attempt)


def layers_path(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Path:
    """Return where the layers of an attempt's workspace lie that are its own."""
    return _of_attempt(layers_folder(repo, run), stream, attempt)


def layers_folder(repo: Repository, run: RunId) -> Path:
    """Return where the layers lie that are the own ones of a run's workspaces."""
    return run_folder(repo, run) / "layers"


def aside_path(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Path:
    """Return where the files lie that git must not keep of an attempt's workspace."""
    return _of_attempt(run_folder(repo, run) / ASIDE, stream, attempt)


def made_path(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Path:
    """Return where it is noted what the setup of an attempt's workspace has made."""
    return _of_attempt(run_folder(repo, run) / "made", stream, attempt)


def _of_attempt(folder: Path, stream: StreamId, attempt: Attempt) -> Path:
    return folder / f"{in_ref(stream, capitals_count(folder))}.{attempt}"


def own_place(workspace: PreparedWorkspace) -> Path:
    """Return the folder that holds what is a workspace's own: of layers, the upper one."""
    return workspace.path if workspace.layers is None else workspace.layers.upper.parent


def write_record(repo: Repository, workspace: PreparedWorkspace) -> None:
    """Note that a workspace is complete."""
    path = record_path(repo, workspace.run, workspace.stream, workspace.attempt)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_whole(path, msgspec.json.encode(workspace, enc_hook=_encode_path), synced=True)


def read_record(
    repo: Repository, run: RunId, stream: StreamId, attempt: Attempt
) -> PreparedWorkspace | None:
    """Return the workspace that was prepared for this attempt, if one was."""
    return _read(record_path(repo, run, stream, attempt))


def _read(path: Path) -> PreparedWorkspace | None:
    try:
        noted = read_if_there(path, SMALL_FILE_BYTES)
        if noted is None:
            return None
        return msgspec.json.decode(noted, type=PreparedWorkspace, dec_hook=_decode_path)
    except (NotPlain, *UNDECODABLE):
        return None


def all_records(repo: Repository, run: RunId) -> Iterator[PreparedWorkspace]:
    """Yield the workspaces of a run that stand, or should: those of handlers too."""
    for note in sorted((run_folder(repo, run) / "prepared").glob("*.json")):
        noted = _read(note)
        if noted is not None:
            yield noted


def records_in(
    runs: Path, run: RunId | None = None
) -> Iterator[tuple[Path, PreparedWorkspace | None]]:
    """Yield every note about a workspace in the folder of all runs; None for an unreadable one."""
    for note in sorted(runs.glob(f"{run or '*'}/prepared/*.json")):
        yield note, _read(note)


def claimed_by_other(
    repo: Repository, run: RunId, stream: StreamId, attempt: Attempt, folder: Path
) -> bool:
    """Say whether a record says that a folder belongs to another attempt, or to another stream."""
    return any(
        noted.path == folder and (noted.stream, noted.attempt) != (stream, attempt)
        for noted in all_records(repo, run)
    )


def _encode_path(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)


def _decode_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(kind.__name__)
