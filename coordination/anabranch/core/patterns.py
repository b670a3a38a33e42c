"""Regular expressions that people write, matched against text that streams write.

Python's own engine tries every way in which a pattern may fit: ``(a+)+$`` takes for ever on thirty
characters, and nothing can end it. RE2 looks at each character once, so what a pattern costs grows
with the text alone; it has no look-around and no back-references, which cannot be had for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

LONGEST_PATTERN = 1_000
LONGEST_TEXT = 20_000
"""How much of a text is looked at, in characters."""

_MEMORY_BYTES = 1 << 20
_HINT = "look-around and back-references are not to be had: they can take for ever"


class PatternRefused(ValueError):
    """A pattern that is not a regular expression of this kind; the message says why."""


class Pattern:
    """A compiled pattern."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def is_in(self, text: str) -> bool:
        """Return whether the pattern is found in a text."""
        return self._compiled.search(_lookable(text)) is not None

    def places_in(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where in a text the pattern is found: from and to."""
        return (found.span() for found in self._compiled.finditer(_lookable(text)))


@lru_cache(maxsize=512)
def compiled(pattern: str, *, ignores_case: bool = False) -> Pattern:
    """Return a pattern ready to be looked for. Raises PatternRefused."""
    import re2  # here, because commands that look for nothing start faster without

    if len(pattern) > LONGEST_PATTERN:
        raise PatternRefused(f"it is longer than {LONGEST_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY_BYTES
    options.case_sensitive = not ignores_case
    try:
        return Pattern(re2.compile(pattern, options))
    except (re2.error, UnicodeEncodeError) as error:
        message = error.args[0] if isinstance(error, re2.error) else "it is not Unicode text"
        why = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
        needs_more = "perl operator" in why or "escape sequence" in why
        raise PatternRefused(f"{why}; {_HINT}" if needs_more else why) from None


def literal(text: str, *, ignores_case: bool = False) -> Pattern:
    """Return the pattern that is found where just this text is. Raises PatternRefused."""
    import re2

    return compiled(re2.escape(text), ignores_case=ignores_case)


def _lookable(text: str) -> str:
    """Return as much of a text as is looked at; what is not Unicode is replaced, one for one."""
    cut = text[:LONGEST_TEXT]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode()
