"""What the lines of a log say of how bad it is, by the common forms in which programs say so.

A level is recognised, never known: nobody declares how a program writes its log. What is recognised
is a line that says its level as loggers, compilers and test runners do (``ERROR``, ``[error]``,
``level=error``, ``"level":"error"``, ``E/tag:``, ``x.c:3:5: error:``), within its first
:data:`LOOKED_AT` characters, and what goes on below such a line. A traceback is an error, whatever
stands before it: a crash is never hidden behind the line that came before.
"""

from __future__ import annotations

import re
from enum import IntEnum

LOOKED_AT = 240
"""So many characters of a line are looked at."""

LOOKED_AT_NAMED = 2000
"""So many of JSON and of ``key=value``, where the level may stand last."""


class Level(IntEnum):
    """How bad something is; a greater one is worse."""

    DEBUG = 1
    INFO = 2
    WARNING = 3
    ERROR = 4

    @property
    def word(self) -> str:
        """Its name, as people write it."""
        return self.name.lower()


LEVELS: dict[str, Level] = {level.word: level for level in Level}
"""All levels, by their names."""

_WORDS: dict[str, Level] = {
    **dict.fromkeys(("trace", "trc", "debug", "dbg", "verbose", "fine", "v", "d"), Level.DEBUG),
    **dict.fromkeys(("info", "inf", "information", "notice", "i"), Level.INFO),
    **dict.fromkeys(("warn", "wrn", "warning", "w"), Level.WARNING),
    **dict.fromkeys(("error", "err", "err!", "e", "fatal", "f", "ftl", "severe"), Level.ERROR),
    **dict.fromkeys(("critical", "crit", "panic", "emerg", "emergency", "alert"), Level.ERROR),
    **dict.fromkeys(("10", "20"), Level.DEBUG),
    "30": Level.INFO,
    "40": Level.WARNING,
    **dict.fromkeys(("50", "60"), Level.ERROR),
}
"""Words, letters, and the numbers that loggers of JSON use for them."""

_WORD = (
    "trace|debug|verbose|info|notice|warning|warn|error|err|fatal|critical|crit|panic|severe|emerg"
    "|alert"
)
_NAMED = re.compile(
    r"""(?:"(?:level|levelname|lvl|severity|log_?level|log\.level)"\s*:\s*"?"""
    r"""|\b(?:level|lvl|severity|log_?level)=["']?)([a-z]+|\d\d)\b""",
    re.IGNORECASE,
)
_NAMED_HINTS = ("level", "lvl", "severity", "LEVEL", "Level", "SEVERITY")
_AT_BEGINNING = re.compile(
    r"(?P<letter>[VDIWEF])/[\w.$-]+ *(?:\( *\d+\))?:"
    r"|(?P<dated>[IWEF])\d{4} \d\d:\d\d:\d\d"
    r"|\d\d-\d\d \d\d:\d\d:\d\d\.\d+ +\d+ +\d+ (?P<threaded>[VDIWEF]) "
    r"|npm (?P<npm>ERR!|error|warn|WARN)\b"
    r"| +\d+:\d+ +(?P<listed>error|warning) "
    r"|(?P<worst>E {3,}\S|FAILED(?: |$)|make(?:\[\d+\])?: \*\*\*|panic: |fatal: "
    r"|thread '[^']*' panicked at|Exception in thread |Segmentation fault"
    r"|(?:\w+\.)*\w*(?:Error|Exception)(?::|$))"
)
_ANYWHERE = re.compile(
    rf"[\[<(](?:[\w.-]+:)?(?P<marked>(?i:{_WORD}))[\])>:]"
    rf"|(?<![\w/=.-])(?P<capitals>{_WORD.upper()})(?![\w/=.-])"
    rf"|(?:^|[\s:])(?P<colon>(?i:error|warning|info|debug|fatal))"
    rf"(?:\[[\w-]+\]| ?[A-Z]{{1,6}}\d+)?:(?:\s|$)"
)
_HINTS = _WORD.split("|")
_TRACEBACK = "Traceback (most recent call last)"
_GOES_ON = re.compile(
    r"\s|$|Caused by:|During handling of |The above exception was |\d+ +\||[)}\]]+[;,]?$"
    r"|\.\.\. \d+ (?:more|common)|goroutine \d+ \["
)


def level_of(line: str) -> Level | None:
    """Return the level that a line itself says, None if none is recognised."""
    if any(hint in line for hint in _NAMED_HINTS):
        named = _NAMED.search(line, 0, LOOKED_AT_NAMED)
        level = _WORDS.get(named[1].lower()) if named else None
        if level is not None:
            return level
    looked_at = line[:LOOKED_AT]
    said = _AT_BEGINNING.match(looked_at)
    if said is None:
        lowered = looked_at.lower()  # most lines have none of the words: that is told sooner
        said = _ANYWHERE.search(looked_at) if any(h in lowered for h in _HINTS) else None
    if said is None:
        return None
    kind = said.lastgroup or ""
    return Level.ERROR if kind == "worst" else _WORDS[said[kind].lower()]


def goes_on(line: str) -> bool:
    """Return whether a line looks like more of what stands above it."""
    return _GOES_ON.match(line) is not None


class Levels:
    """The levels of the lines of one log, one after another: what goes on keeps its head's."""

    def __init__(self) -> None:
        self._head: Level | None = None
        self._is_in_traceback = False

    def take(self, line: str) -> Level | None:
        """Return the level of the next line; None if none is recognised."""
        self._head, self._is_in_traceback = self._after(line)
        return self._head

    def of_next(self, line: str) -> Level | None:
        """Return what level a line would have that may still grow."""
        return self._after(line)[0]

    def _after(self, line: str) -> tuple[Level | None, bool]:
        if line.startswith(_TRACEBACK):
            return Level.ERROR, True
        is_more = goes_on(line)
        if self._is_in_traceback:
            return Level.ERROR, is_more  # the first that is not more says what was raised
        own = level_of(line)
        return (self._head if own is None and is_more else own), False


def passes(level: Level | None, least: Level | None) -> bool:
    """Return whether a line is shown by a filter for what is at least so bad, None for all.

    A line without a recognised level counts as information: so most programs write.
    """
    return least is None or (Level.INFO if level is None else level) >= least
