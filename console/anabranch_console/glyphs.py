"""The signs of the console, in three sets: Unicode, ASCII for terminals that know no better, and
Nerd Font for those who have one (it cannot be found out, so it has to be asked for).

A sign never stands alone: wherever one is shown its word and its colour are shown too.
"""

from __future__ import annotations

import locale
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

_ASCII_FOR = str.maketrans(
    {"…": "~", "·": "-", "—": "-", "→": ">", "←": "<", "↔": "=", "│": "|", "≈": "~"}
)


class Glyphs(msgspec.Struct, frozen=True):
    """One set of signs, each exactly one cell wide; ``branch`` and its like are two.

    ``spark`` goes from nothing to full; ``gantt`` is what a stream did in a cell of time,
    ``critical`` marks what is on the critical path.
    """

    is_ascii: bool
    product: str
    cursor: str
    mark: str
    needs: str
    unseen: str
    bar_on: str
    bar_off: str
    ascending: str
    descending: str
    separator: str
    rule: str
    edge: str
    past: str
    held: str
    spark: str
    branch: str
    last_branch: str
    trunk: str
    critical: str
    states: Mapping[str, str] = {}
    levels: Mapping[str, str] = {}
    gantt: Mapping[str, str] = {}

    def state(self, name: str) -> str:
        """Return the sign of a state of a stream, a point or a run."""
        return self.states.get(name, "?")

    def level(self, name: str) -> str:
        """Return the sign of an event's level."""
        return self.levels.get(name, " ")

    def presentable(self, text: str) -> str:
        """Return ``text`` as this set can show it: all of it, or its ASCII rendering."""
        if not self.is_ascii or text.isascii():
            return text
        return text.translate(_ASCII_FOR).encode("ascii", "replace").decode("ascii")


UNICODE = Glyphs(
    is_ascii=False,
    product="◆",
    cursor="▸",
    mark="▪",
    needs="!",
    unseen="•",
    bar_on="▰",
    bar_off="▱",
    ascending="▴",
    descending="▾",
    separator="·",
    rule="─",
    edge="▌",
    past="◷",
    held="■",
    spark=" ▁▂▃▄▅▆▇█",
    branch="├─",
    last_branch="└─",
    trunk="│ ",
    critical="◆",
    states={
        "waiting": "○",
        "queued": "◌",
        "starting": "◔",
        "setting_up": "◒",
        "running": "●",
        "ready": "◉",
        "unhealthy": "◎",
        "stalled": "◐",
        "recovering": "↻",
        "succeeded": "✓",
        "failed": "✗",
        "skipped": "⊘",
        "quarantined": "≠",
        "stopped": "■",
        "stopping": "◐",
        "interrupted": "‖",
        "needs_operator": "▲",
        "converged": "✓",
    },
    levels={"info": "·", "good": "✓", "warning": "▲", "error": "✗"},
    gantt={
        "ran": "█",
        "again": "▓",
        "wait": "░",
        "work": "▪",
        "merge": "◆",
        "planned": "┄",
        "now": "┊",
    },
)

ASCII = Glyphs(
    is_ascii=True,
    product="*",
    cursor=">",
    mark="+",
    needs="!",
    unseen=".",
    bar_on="#",
    bar_off="-",
    ascending="^",
    descending="v",
    separator="-",
    rule="-",
    edge="|",
    past="@",
    held="#",
    spark=" .:-=+*#@",
    branch="|-",
    last_branch="`-",
    trunk="| ",
    critical="*",
    states={
        "waiting": "W",
        "queued": "Q",
        "starting": "S",
        "setting_up": "U",
        "running": "R",
        "ready": "Y",
        "unhealthy": "H",
        "stalled": "Z",
        "recovering": "V",
        "succeeded": "D",
        "failed": "F",
        "skipped": "-",
        "quarantined": "X",
        "stopped": "T",
        "stopping": "Z",
        "interrupted": "P",
        "needs_operator": "B",
        "converged": "D",
    },
    levels={"info": "-", "good": "+", "warning": "!", "error": "E"},
    gantt={
        "ran": "#",
        "again": "%",
        "wait": ":",
        "work": "-",
        "merge": "+",
        "planned": ".",
        "now": "|",
    },
)


NERD = replace(
    UNICODE,
    product="\uf126",
    mark="\uf02e",
    past="\uf1da",
    held="\uf023",
    states={
        "waiting": "\uf10c",
        "queued": "\uf017",
        "starting": "\uf110",
        "setting_up": "\uf0ad",
        "running": "\uf04b",
        "ready": "\uf058",
        "unhealthy": "\uf21e",
        "stalled": "\uf253",
        "recovering": "\uf021",
        "succeeded": "\uf00c",
        "failed": "\uf00d",
        "skipped": "\uf051",
        "quarantined": "\uf05e",
        "stopped": "\uf04d",
        "stopping": "\uf253",
        "interrupted": "\uf04c",
        "needs_operator": "\uf071",
        "converged": "\uf00c",
    },
    levels={"info": "·", "good": "\uf00c", "warning": "\uf071", "error": "\uf00d"},
)

COLOURS = {
    "succeeded": "green",
    "converged": "green",
    "running": "cyan",
    "ready": "cyan",
    "starting": "cyan",
    "setting_up": "cyan",
    "failed": "red",
    "needs_operator": "yellow",
    "quarantined": "yellow",
    "recovering": "yellow",
    "stalled": "yellow",
    "unhealthy": "yellow",
    "interrupted": "yellow",
    "stopped": "yellow",
}
"""The colours of states where no theme says them: in lines on a terminal."""

SETS = {"unicode": UNICODE, "ascii": ASCII, "nerd": NERD}


def choose_glyphs(environ: Mapping[str, str], encoding: str | None = None) -> Glyphs:
    """Return the set to use: what ``ANABRANCH_GLYPHS`` says, else what the locale can show.

    ``encoding`` is the terminal's character encoding; by default that of the locale.
    """
    wanted = environ.get("ANABRANCH_GLYPHS", "").lower()
    if wanted in SETS:
        return SETS[wanted]
    name = encoding or locale.getpreferredencoding(False)
    return UNICODE if name.lower().replace("-", "") in ("utf8", "utf16", "utf32") else ASCII
