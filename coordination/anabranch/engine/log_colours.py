"""The colours that a stream gave its output, as far as they can do no harm.

Of all that a terminal obeys, only foreground colour, bold and underline are kept (a subset of SGR),
and of the colours only which of eight hues it is: whoever shows them has eight colours that can be
read on its own ground. Everything else, backgrounds and invisible text too, is left out. Each line
begins plain: what a line leaves switched on ends with it.
"""

from __future__ import annotations

import colorsys
import re
from typing import NamedTuple

from anabranch.hostile_text import left_of, sequences, visible_lengths

HUES = ("grey", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
"""The colours as terminals number them: 30 to 37, and 90 to 97 for the bright ones."""

MOST_RUNS = 500
"""How many changes of colour are followed in one line; the rest of it stays as it is then."""

_SGR = re.compile(r"(?:\x1b\[|\x9b)([0-9;:]*)m\Z")
_CUBE = (0, 95, 135, 175, 215, 255)
_GREY_BELOW = 0.2
_RING = ("red", "yellow", "green", "cyan", "blue", "magenta")


class Look(NamedTuple):
    """How text looks; ``hue`` is one of :data:`HUES`, "" for the usual."""

    hue: str = ""
    is_bold: bool = False
    is_underlined: bool = False


class Run(NamedTuple):
    """From which character of a line on it looks how, until the next run."""

    start: int
    look: Look


Runs = tuple[Run, ...]
_PLAIN = Look()


def runs_of(raw: str) -> Runs:
    """Return how a line as it was written looks, by the characters that are shown of it.

    Args:
        raw: the line with its sequences, as :func:`~anabranch.hostile_text.escape_for_terminal`
            takes it.
    """
    if "\x1b[" not in raw and "\x9b" not in raw:
        return ()
    pieces: list[str] = []
    found: list[tuple[int, Look]] = []
    at, length, look = 0, 0, _PLAIN
    for sequence in sequences().finditer(raw):
        piece = raw[at : sequence.start()]
        length += len(piece)
        at = sequence.end()
        said = _SGR.match(sequence[0])
        after = _after(look, said[1]) if said and len(found) < MOST_RUNS else look
        if after != look:
            look = after
            found.append((length, look))
        pieces.append(piece + left_of(sequence[0]))
        length += len(pieces[-1]) - len(piece)
    if not found:
        return ()
    lengths = visible_lengths("".join((*pieces, raw[at:])))
    placed = {(lengths[start] if lengths else start): look for start, look in found}
    return tuple(Run(start, look) for start, look in placed.items())


def _after(look: Look, parameters: str) -> Look:
    """Return how text looks after a sequence."""
    numbers = [int(part) if part else 0 for part in re.split("[;:]", parameters[:64])]
    while numbers:
        number = numbers.pop(0)
        if number == 0:
            look = _PLAIN
        elif number == 1:
            look = look._replace(is_bold=True)
        elif number in (4, 21):
            look = look._replace(is_underlined=True)
        elif number == 22:
            look = look._replace(is_bold=False)
        elif number == 24:
            look = look._replace(is_underlined=False)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            look = look._replace(hue=HUES[number % 10])
        elif number == 39:
            look = look._replace(hue="")
        elif number in (38, 48, 58):
            hue = _extended(numbers)
            look = look._replace(hue=hue) if number == 38 and hue else look
    return look


def _extended(numbers: list[int]) -> str:
    """Take the numbers of a colour of 256, or of red, green and blue; return its hue."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 5 and numbers:
        return _of_256(numbers.pop(0))
    if kind == 2 and len(numbers) >= 3:
        red, green, blue = (min(numbers.pop(0), 255) for _ in range(3))
        return _hue(red, green, blue)
    numbers.clear()  # it means nothing, and so does what follows
    return ""


def _of_256(number: int) -> str:
    if number < 16:
        return HUES[number % 8]
    if number >= 232:
        return "grey" if number < 244 else "white"
    red, rest = divmod(number - 16, 36)
    return _hue(_CUBE[red % 6], _CUBE[rest // 6], _CUBE[rest % 6])


def _hue(red: int, green: int, blue: int) -> str:
    """Return which of the hues a colour is nearest to."""
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    if saturation < _GREY_BELOW:
        return "white" if value > 0.5 else "grey"
    return _RING[round(hue * 6) % 6]
