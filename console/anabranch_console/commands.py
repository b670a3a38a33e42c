"""The command bar's language: a line is a verb and its argument, or a beginning of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from anabranch_console.verbs import VERBS, Verb

_MOST_DIGITS = 11
_BY_WORD = {word: verb for verb in VERBS for word in (verb.id, *verb.aliases)}


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a line in the command bar means: a verb with its argument, or why it means nothing."""

    verb: Verb | None
    argument: str = ""
    problem: str = ""


def parse_command(line: str) -> Spoken:
    """Return what ``:line`` asks for. A beginning that fits one verb only is enough."""
    word, _, argument = line.strip().lstrip(":").strip().partition(" ")
    if not word:
        return Spoken(None)
    meant = [_BY_WORD[word]] if word in _BY_WORD else _all_beginning_with(word)
    if len(meant) > 1:
        names = ", ".join(f":{verb.id}" for verb in meant)
        return Spoken(None, problem=f":{word} may be {names}")
    verb = meant[0] if meant else None
    if verb is not None and argument.strip() and not verb.args:
        return Spoken(None, problem=f":{verb.id} takes nothing after it")
    if verb is not None:
        return Spoken(verb, argument.strip())
    near = get_close_matches(word, _BY_WORD, n=1)
    hint = f"; did you mean :{near[0]}?" if near else "; :help lists the commands"
    return Spoken(None, problem=f"there is no command {word!r}{hint}")


def whole_number(text: str) -> int | None:
    """Return the number that a person has typed; None for what is none, or beyond all there are."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None


def _all_beginning_with(word: str) -> list[Verb]:
    return list(
        {verb.id: verb for name, verb in _BY_WORD.items() if name.startswith(word)}.values()
    )


def completions(line: str, names: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the command lines that ``line`` may become; ``names`` has what arguments complete to.

    ``names`` maps what a verb completes (``streams``) to the names there are.
    """
    word, space, argument = line.partition(" ")
    if not space:
        return [name for name in sorted(_BY_WORD) if name.startswith(word)]
    verb = _BY_WORD.get(word)
    if verb is None or not verb.completes:
        return []
    known: Iterable[str] = names.get(verb.completes, ())
    return [f"{word} {name}" for name in known if name.startswith(argument)]
