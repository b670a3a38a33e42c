"""Text from streams, made safe to show.

Whatever a stream prints, names a file or reports as its status may carry terminal commands: move
the cursor, set the title, write the clipboard, reverse the reading direction, hide letters. Text
that leaves this module holds printable characters only, so that showing it can do nothing but
show it. Colour and cursor sequences are taken out, as they mean nothing outside their terminal;
every other unprintable character is replaced by a visible escape such as ``\\x07`` or ``\\u202e``.
Where the colours had stood in a line is known to :mod:`anabranch.engine.log_colours`.
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
# hide data or make two names look alike.
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u3164\uffa0"
) | {chr(code) for code in (*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0))}

# Terminals disagree on how wide a sign is with one of these: the selectors of emoji (FE0E, FE0F)
# and the tones of skin. A picture that is painted by another ruler than the terminal's falls
# apart, so the sign is shown without.
_DISPUTED = frozenset("\ufe0e\ufe0f") | {chr(code) for code in range(0x1F3FB, 0x1F400)}
_NOT_SHOWN = _INVISIBLE | _DISPUTED

_NAMED_ESCAPES = {"\n": "\\n", "\r": "\\r"}


def utf8_text(text: str) -> str:
    """Return ``text`` with bytes that are not UTF-8, as paths may have, written as ``\\xe9``.

    A journal, a message and a terminal take no other; two paths rarely become one by it.
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def escape_for_terminal(text: str) -> str:
    """Return ``text`` as one line of printable characters; printable text comes back unchanged.

    That is but for what makes signs as wide as no two terminals agree on, which is left out. Tabs
    become spaces up to the next multiple of eight, other blank characters one space.
    """
    if _is_shown_as_it_is(text):
        return text
    return _all_visible(sequences().sub(lambda found: left_of(found[0]), text))


def escape_whole(text: str) -> str:
    """Return ``text`` as one line of printable characters in which sequences can be seen, too.

    For what somebody is to judge before it is run: nothing is taken out of it.
    """
    return text if _is_shown_as_it_is(text) else _all_visible(text)


def left_of(sequence: str) -> str:
    """Return what a sequence leaves of itself in a text: a space where it moves to the right.

    Programs that draw put their words apart by that.
    """
    return " " if _to_the_right().match(sequence) else ""


@cache
def _to_the_right() -> re.Pattern[str]:
    return re.compile(r"(?:\x1b\[|\x9b)(?:[0-9]*C|0*(?:[2-9]|[1-9][0-9]+)G)\Z")


def visible_lengths(plain: str) -> list[int] | None:
    """Return how long each beginning of a text without sequences is once it is safe to show.

    The list has an entry more than the text has characters; None says that nothing changes.
    """
    if _is_shown_as_it_is(plain):
        return None
    lengths, column, length = [0], 0, 0
    for char in plain:
        if char == "\t":
            width = TAB_CELLS - column % TAB_CELLS
            length, column = length + width, column + width
        else:
            length += len(_shown(char))
            column = 0 if char in "\n\r" else column + 1
        lengths.append(length)
    return lengths


def _all_visible(plain: str) -> str:
    wide = plain.expandtabs(TAB_CELLS)
    return "".join(map(_shown, wide))


def _is_shown_as_it_is(text: str) -> bool:
    return text.isprintable() and (text.isascii() or _NOT_SHOWN.isdisjoint(text))


def _shown(char: str) -> str:
    if char in _DISPUTED:
        return ""
    return char if _is_visible(char) else _visible_form(char)


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
def sequences() -> re.Pattern[str]:
    """Return the pattern of the sequences that a terminal obeys."""
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
