"""What a handler declares to work on: files whose contents are a part of what it is known by."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from .digests import blake2b
from .placeholders import ItemValue, parse

CHUNK_BYTES = 1024 * 1024
DIGEST_BYTES = 9
_ABSENT = b"\0absent"


class Inputs:
    """The files that a handler declares.

    Args:
        paths: where they are, with placeholders as in an argument vector.
        folder: where relative paths begin.
    """

    def __init__(self, paths: Sequence[str], folder: str) -> None:
        self._template, self._folder = parse(list(paths)), folder

    def digest(self, value: ItemValue, index: int) -> str:
        """Return what their contents are known by; empty if none are declared.

        Raises BadCommand if the item lacks a key.
        """
        if not self._template.words:
            return ""
        found = blake2b(digest_size=DIGEST_BYTES)
        for path in self._template.argv(value, index):
            found.update(_content(os.path.join(self._folder, path)))
        return found.hexdigest()


def _content(path: str) -> bytes:
    """Return a digest of what a file holds; one that is not there, or no file, holds nothing."""
    found = blake2b(digest_size=DIGEST_BYTES)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return _ABSENT  # a device may have no end
            while chunk := file.read(CHUNK_BYTES):
                found.update(chunk)
    except (OSError, ValueError):
        return _ABSENT
    return found.digest()
