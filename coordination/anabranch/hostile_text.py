"""Text from streams, made safe to show.

Whatever a stream prints, names a file or reports as its status may carry terminal commands: move
the cursor, set the title, write the clipboard, reverse the reading direction, hide letters. Text
that leaves this module holds printable characters only, so that showing it can do nothing but
show it. Colour and cursor sequences are taken out, as they mean nothing outside their terminal;
every other unprintable character is replaced by a visible escape such as ``\\x07`` or ``\\u202e``.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

import msgspec

TAB_CELLS = 8

_SEQUENCES = r"""
      (?:\x1b\[|\x9b) [0-?]* [ -/]* [@-~]?                           # CSI: colour, cursor, modes
    | (?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]) [^\x07\x1b\x9c]* (?:\x07|\x1b\\|\x9c)?  # OSC, DCS, APC
    | \x1b [ -/]+ [0-~]                                              # character sets
    | \x1b [0-~]                                                     # two-character commands
"""

# Printable by the letter of Unicode, yet invisible: joiners, fillers and variation selectors that
# hide data or make two names look alike. The two selectors emoji need (FE0E, FE0F) stay.
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u3164\uffa0"
) | {chr(code) for code in (*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0))}

_NAMED_ESCAPES = {"\n": "\\n", "\r": "\\r"}


def utf8_text(text: str) -> str:
    """Return ``text`` with bytes that are not UTF-8, as paths may have, written as ``\\xe9``.

    A journal, a message and a terminal take no other; two paths rarely become one by it.
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def escape_for_terminal(text: str) -> str:
    """Return ``text`` as one line of printable characters; printable text comes back unchanged.

    Tabs become spaces up to the next multiple of eight, other blank characters one space.
    """
    if text.isprintable() and (text.isascii() or _INVISIBLE.isdisjoint(text)):
        return text
    plain = _sequences().sub("", text).expandtabs(TAB_CELLS)
    return "".join(char if _is_visible(char) else _visible_form(char) for char in plain)


def shortened(text: str, characters: int) -> str:
    """Return ``text`` cut to at most so many characters, ending in ``…`` if cut."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def json_text(value: Any, *, indent: int = 0, is_ascii: bool = False) -> str:
    """Return ``value`` as JSON that can do no harm to a terminal it is shown on.

    What is not printable is escaped as JSON escapes it, so that a reader of JSON gets the same
    text back; bytes of paths that are not UTF-8 are written as in :func:`utf8_text`.

    Args:
        value: what :mod:`msgspec` can encode.
        indent: spaces a level; 0 for one line.
        is_ascii: escape everything that is not ASCII.
    """
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        encoded = msgspec.json.encode(_utf8_parts(msgspec.to_builtins(value)))
    if indent:
        encoded = msgspec.json.format(encoded, indent=indent)
    text = encoded.decode()
    if text.isascii() and "\x7f" not in text:
        return text
    return _BEYOND_ASCII.sub(lambda found: _in_json(found[0], is_ascii), text)


_BEYOND_ASCII = re.compile("[^\x00-\x7e]")  # said the other way round, it compiles slowly


def _in_json(char: str, is_ascii: bool) -> str:
    if not is_ascii and _is_visible(char):
        return char
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _utf8_parts(value: Any) -> Any:
    match value:
        case str():
            return utf8_text(value)
        case dict():
            return {_utf8_parts(k): _utf8_parts(v) for k, v in value.items()}
        case list() | tuple():
            return [_utf8_parts(part) for part in value]
    return value


@cache
def _sequences() -> re.Pattern[str]:
    return re.compile(_SEQUENCES, re.VERBOSE)


def _is_visible(char: str) -> bool:
    return char.isprintable() and (char.isascii() or char not in _INVISIBLE)


def _visible_form(char: str) -> str:
    if char in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[char]
    if unicodedata.category(char) == "Zs":
        return " "
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a path that is not UTF-8
        code -= 0xDC00
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
