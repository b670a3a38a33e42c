"""Files of environment variables, as a stream's ``env_file`` names them.

A line is ``NAME=VALUE``, with ``export`` before it or not. Empty lines and those that begin with
``#`` say nothing. A value in single quotes stands as it is; in double quotes ``\\n``, ``\\t``,
``\\"``, ``\\\\`` and ``\\$`` mean what they mean elsewhere; without quotes it ends at the end of
its line or at a ``#`` after white space. Quoted values may go on over several lines. Nothing is
expanded: ``$NAME`` stays ``$NAME``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from anabranch.plain_files import read_plain
from anabranch.shortage import is_short

LARGEST_BYTES = 1 << 20

_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"[^\n]*")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_SILENT = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)+")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANING = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$", "\n": ""}


class BadEnvFile(ValueError):
    """A file of variables that cannot be used; the message names it, the line and the reason."""


def read_env_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the variables of some files, those of later files before those of earlier ones.

    Args:
        folder: what the names are relative to.
        names: the files; links are followed, and only plain files are read.

    Raises BadEnvFile, OSError if the machine is short of something.
    """
    found: dict[str, str] = {}
    for name in names:
        try:
            data = read_plain(os.path.realpath(folder / name), LARGEST_BYTES)
            found |= variables_in(data.decode("utf-8-sig"))
        except FileNotFoundError:
            raise BadEnvFile(f"env_file {name!r} is not there (looked in {folder})") from None
        except OSError as error:
            if is_short(error.errno):  # says nothing about the file, and passes
                raise
            raise BadEnvFile(f"env_file {name!r} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BadEnvFile(f"env_file {name!r} is not UTF-8") from None
        except BadEnvFile as error:
            raise BadEnvFile(f"env_file {name!r}, {error}") from None
    return found


def variables_in(text: str) -> dict[str, str]:
    """Return the variables that a text sets. Raises BadEnvFile with the line's number."""
    text = text.replace("\r\n", "\n") + "\n"
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if silent := _SILENT.match(text, at):
            at = silent.end()
            continue
        begin = at
        name = _NAME.match(text, at)
        if name is None:
            raise _bad(text, begin, "is not NAME=VALUE")
        value, at = _value(text, name.end())
        if "\0" in value:
            raise _bad(text, begin, f"{name[1]} holds a NUL character")
        found[name[1]] = value
    return found


def _value(text: str, at: int) -> tuple[str, int]:
    """Return the value that begins at a place, and where the next line begins."""
    quote = text[at : at + 1]
    if quote not in ("'", '"') or not quote:
        bare = _BARE.match(text, at)
        assert bare is not None
        return _COMMENT.sub("", bare[0]).strip(), bare.end() + 1
    quoted = (_SINGLE if quote == "'" else _DOUBLE).match(text, at)
    if quoted is None:
        raise _bad(text, at, "a quote is not closed")
    rest = _REST.match(text, quoted.end())
    if rest is None:
        raise _bad(text, quoted.end(), "something follows the closing quote")
    value = quoted[1]
    if quote == '"':
        value = _ESCAPED.sub(lambda found: _MEANING.get(found[1], found[0]), value)
    return value, rest.end()


def _bad(text: str, at: int, reason: str) -> BadEnvFile:
    return BadEnvFile(f"line {text.count(chr(10), 0, at) + 1}: {reason}")
