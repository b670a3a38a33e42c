"""The command bar's language: a line is a verb and its argument, or a beginning of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from anabranch_console.verbs import VERBS, Verb

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
    verb = _BY_WORD.get(word) or _only_one_beginning_with(word)
    if verb is not None and argument.strip() and not verb.args:
        return Spoken(None, problem=f":{verb.id} takes nothing after it")
    if verb is not None:
        return Spoken(verb, argument.strip())
    near = get_close_matches(word, _BY_WORD, n=1)
    hint = f"; did you mean :{near[0]}?" if near else "; :help lists the commands"
    return Spoken(None, problem=f"there is no command {word!r}{hint}")


def _only_one_beginning_with(word: str) -> Verb | None:
    found = {verb.id: verb for name, verb in _BY_WORD.items() if name.startswith(word)}
    return next(iter(found.values())) if len(found) == 1 else None


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
