"""A difference as a patch that ``git apply`` takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anabranch.engine.differences import Difference, FileDifference

_NOTHING = "000000"
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def patch_text(found: Difference) -> str:
    """Return the patch; what no patch can say, as it is not text or too large, is a comment."""
    return "".join(f"{line}\n" for file in found.files for line in _lines_of(file))


def _lines_of(file: FileDifference) -> Iterator[str]:
    if file.is_binary or file.cut:
        yield f"# left out: {file.path}: {file.cut or 'binary, or too large'}"
        return
    old, new = _quoted(f"a/{file.before_path}"), _quoted(f"b/{file.path}")
    yield f"diff --git {old} {new}"
    yield from _what_became(file)
    if not file.hunks:
        return
    yield f"--- {'/dev/null' if file.before_mode == _NOTHING else old}"
    yield f"+++ {'/dev/null' if file.after_mode == _NOTHING else new}"
    for hunk in file.hunks:
        before = f"-{hunk.before_start},{hunk.before_count}"
        after = f"+{hunk.after_start},{hunk.after_count}"
        yield f"@@ {before} {after} @@ {hunk.heading}".rstrip()
        yield from hunk.lines


def _what_became(file: FileDifference) -> Iterator[str]:
    if file.before_mode == _NOTHING:
        yield f"new file mode {file.after_mode}"
    elif file.after_mode == _NOTHING:
        yield f"deleted file mode {file.before_mode}"
    elif file.before_mode != file.after_mode:
        yield f"old mode {file.before_mode}"
        yield f"new mode {file.after_mode}"
    if file.before_path != file.path and file.status in ("renamed", "copied"):
        verb = "rename" if file.status == "renamed" else "copy"
        yield f"{verb} from {_quoted(file.before_path)}"
        yield f"{verb} to {_quoted(file.path)}"


def _quoted(path: str) -> str:
    """Return a path as git writes it: in quotes, if there is a sign in it that needs them."""
    if not any(sign in _ESCAPES or ord(sign) < 0x20 for sign in path):
        return path
    escaped = "".join(
        _ESCAPES.get(sign) or (f"\\{ord(sign):03o}" if ord(sign) < 0x20 else sign) for sign in path
    )
    return f'"{escaped}"'
