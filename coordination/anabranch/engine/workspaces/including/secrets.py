"""What of the included files must not be repeated: values of variables, lines of small texts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from anabranch.core.ids import RunId
from anabranch.engine.masking import LARGEST_TEXT_BYTES, Masks, values_in
from anabranch.engine.workspaces.including.frozen_files import FrozenFiles, included_in
from anabranch.engine.workspaces.including.listing import IncludedFile
from anabranch.engine.workspaces.values import Repository
from anabranch.plain_files import SMALL_FILE_BYTES, read_if_there

MOST_TEXTS = 200
"""So many small texts are read, those that lie highest first: what is in packages is known."""

_ENV_FILE = re.compile(rb"(?:^|/)(?:\.env[^/]*|[^/]*\.env|\.envrc)$")


def masks_of_included(repo: Repository, run: RunId) -> Masks:
    """Return what must not be repeated of what a run took along. Raises OSError."""
    frozen = included_in(repo, run)
    if frozen is None:
        return Masks()
    values: list[str] = []
    lines: list[str] = []
    for file, text in _texts(frozen):
        lines += text.splitlines()
        if _ENV_FILE.search(file.path):
            values += values_in(text)
    return Masks.of(values, lines)


def _texts(frozen: FrozenFiles) -> Iterator[tuple[IncludedFile, str]]:
    small = [f for f in frozen.files.values() if _is_small(f)]
    small.sort(key=lambda f: (not _ENV_FILE.search(f.path), f.path.count(b"/"), f.path))
    for file in small[:MOST_TEXTS]:
        content = read_if_there(
            frozen.folder / file.path.decode("utf-8", "surrogateescape"), SMALL_FILE_BYTES
        )
        if content and b"\0" not in content:
            yield file, content.decode("utf-8", "replace")


def _is_small(file: IncludedFile) -> bool:
    most_bytes = SMALL_FILE_BYTES if _ENV_FILE.search(file.path) else LARGEST_TEXT_BYTES
    return not file.is_link and 0 < file.size_bytes <= most_bytes
