"""How a name becomes part of a path or of a ref, never the same part for two names.

A dot and a number mean an attempt elsewhere, a character may mean something to a shell or to git,
and not every file system keeps ``A`` and ``a``, or a letter and its decomposed form, apart. So what
is written is ASCII, other characters are escaped, and where capitals may not count, which letters
are capitals is written once more, behind ``@u``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

_UNSAFE_IN_PATHS = re.compile(r"[^A-Za-z0-9._-]")
_UNSAFE_IN_REFS = re.compile(r"(?!(?<=[^@])@[0-9]+\Z)[^A-Za-z0-9_-]")
_CAPITALS = "@u"
_ATTEMPT = "@"


@lru_cache(maxsize=16_384)
def in_path(name: str, capitals_count: bool) -> str:
    """Return a name as a part of a path, or the beginning of one; `name_of` turns it back.

    Args:
        name: what to write.
        capitals_count: whether the file system keeps ``A`` and ``a`` apart.
    """
    written = _UNSAFE_IN_PATHS.sub(_escaped, name)
    return written if capitals_count else written + _capitals(name)


def in_ref(name: str, capitals_count: bool = False) -> str:
    """Return a name as one component of a ref, without any dot; `name_of` turns it back.

    A repository may be moved to where capitals do not count, so they do not by default. The
    ``@3`` at the end of a handler's name stays as it is.
    """
    written = _UNSAFE_IN_REFS.sub(_escaped, name)
    return written if capitals_count else written + _capitals(name)


def workspace_name(name: str, attempt: int, capitals_count: bool) -> str:
    """Return the folder that an attempt works in: the first has the stream's own name."""
    written = in_path(name, capitals_count)
    return written if attempt == 1 else f"{written}{_ATTEMPT}{attempt}"


def name_of(written: str) -> str:
    """Return the name that was written."""
    return unquote(written.partition(_CAPITALS)[0], errors="surrogateescape")


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))


def _capitals(name: str) -> str:
    marked = sum(1 << at for at, letter in enumerate(name) if "A" <= letter <= "Z")
    return f"{_CAPITALS}{marked:x}" if marked else ""
