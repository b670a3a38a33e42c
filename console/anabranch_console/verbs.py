"""What a verb is: one thing to do, the source of its keys, its command and its line in help.

Whoever brings verbs, a pane or a part of the screen, has them in a table: :attr:`VerbOwner.verbs`.
A verb whose keys are written with a space (``x s``) is reached through a menu: the first key opens
it, the second chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Owner = TypeVar("Owner")


@dataclass(frozen=True, slots=True)
class Verb(Generic[Owner]):
    """One thing to do.

    ``do`` is called with the owner and the argument, "" if there is none; ``refusal`` with the
    same, and says why the verb cannot be used now. ``args`` shows the argument in help
    (``[STREAM]``); ``completes`` names what it is completed from. ``footer`` is its short name in
    the footer, "" to leave it out. A verb that ``steers`` cannot be used while the past is shown.
    One that ``shows_its_pane`` brings the pane of its owner before it is done.
    """

    id: str
    title: str
    keys: tuple[str, ...]
    do: Callable[[Owner, str], None]
    refusal: Callable[[Owner, str], str | None] | None = None
    aliases: tuple[str, ...] = ()
    args: str = ""
    completes: str = ""
    footer: str = ""
    steers: bool = False
    shows_its_pane: bool = True

    @property
    def direct_keys(self) -> tuple[str, ...]:
        """The keys that do it at once, without a menu."""
        return tuple(key for key in self.keys if " " not in key)

    @property
    def name(self) -> str:
        """The title as a name, without the mark that promises a question."""
        return self.title.rstrip("…")

    @property
    def usage(self) -> str:
        """The command, as help and the palette write it."""
        return f":{self.id} {self.args}".rstrip()

    def why_not(self, owner: Owner, argument: str = "") -> str | None:
        """Return why it cannot be used now, None if it can."""
        return self.refusal(owner, argument) if self.refusal else None


class VerbOwner:
    """Whoever brings verbs.

    ``name_of`` is what it is known by, ``where`` says where the keys work, and ``of_pane`` names
    the pane that has to be shown for that, "" for any.
    """

    name_of: str
    where: str
    of_pane: str = ""
    verbs: Sequence[Verb[Any]] = ()

    def completions(self) -> Mapping[str, Iterable[str]]:
        """Return what arguments are completed from, by the name that a verb has for it."""
        return {}


MOVES = (
    ("down", "Down", ("down", "j")),
    ("up", "Up", ("up", "k")),
    ("page-down", "Page down", ("pagedown", "ctrl+f")),
    ("page-up", "Page up", ("pageup",)),
    ("first", "First line", ("home", "g")),
    ("last", "Last line; a log follows again", ("end", "G")),
)
"""The moves that every list knows: id, title, keys."""

_SHOWN_KEYS = {
    "question_mark": "?",
    "exclamation_mark": "!",
    "colon": ":",
    "slash": "/",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "escape": "esc",
    "f1": "F1",
    "left": "←",
    "right": "→",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
}


def shown_key(key: str) -> str:
    """Return a key as people know it: ``^p``, ``?``, ``x s``."""
    return _SHOWN_KEYS.get(key, key.replace("ctrl+", "^"))


def shown_keys(verb: Verb[Any]) -> str:
    """Return all keys of a verb, as shown in help."""
    return "  ".join(shown_key(key) for key in verb.keys)
