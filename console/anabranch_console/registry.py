"""The verbs there are, by name and by who brings them, and the language of the command bar.

What is in it: :mod:`.built_in_verbs`, and what the panes of plugins bring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from anabranch_console.verbs import Verb, VerbOwner


@dataclass(frozen=True, slots=True)
class Known:
    """A verb, and who brings it: by name, where its keys work, and of which pane that is."""

    verb: Verb[Any]
    owner: str
    where: str
    pane: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a line in the command bar means: a verb with its argument, or why it means nothing."""

    verb: Verb[Any] | None
    argument: str = ""
    problem: str = ""


class Registry:
    """The verbs, by their ids and in the order of help."""

    def __init__(self, known: Iterable[Known]) -> None:
        self.known = {one.verb.id: one for one in known}
        self._by_word = {
            word: one.verb
            for one in self.known.values()
            for word in (one.verb.id, *one.verb.aliases)
        }

    def __getitem__(self, verb: str) -> Known:
        return self.known[verb]

    def __iter__(self) -> Iterator[Verb[Any]]:
        return (one.verb for one in self.known.values())

    def of_owner(self, owner: str) -> list[Verb[Any]]:
        """Return what one owner brings."""
        return [one.verb for one in self.known.values() if one.owner == owner]

    def places(self) -> dict[str, str]:
        """Return where keys work, by the owner of the verbs."""
        return {one.owner: one.where for one in self.known.values()}

    def in_footer(
        self,
        owners: Sequence[str],
        taken: Sequence[str] = (),
        why_not: Callable[[str], str | None] = lambda verb: None,
    ) -> list[Verb[Any]]:
        """Return what the footer names while these owners' keys work, in their order.

        Keys that are ``taken`` mean something else where the focus is. What cannot be used now, as
        ``why_not`` says, is left out: the menu and the palette tell the reason.
        """
        found = [verb for owner in owners for verb in self.of_owner(owner)]
        named = (v for v in found if v.footer and v.keys and v.keys[0] not in taken)
        return [verb for verb in named if why_not(verb.id) is None]

    # --- the language of the command bar ---------------------------------------------------------

    def parse(self, line: str) -> Spoken:
        """Return what ``:line`` asks for. A beginning that fits one verb only is enough."""
        word, _, argument = line.strip().lstrip(":").strip().partition(" ")
        if not word:
            return Spoken(None)
        meant = [self._by_word[word]] if word in self._by_word else self._beginning_with(word)
        if len(meant) > 1:
            names = ", ".join(f":{verb.id}" for verb in meant)
            return Spoken(None, problem=f":{word} may be {names}")
        verb = meant[0] if meant else None
        if verb is not None and argument.strip() and not verb.args:
            return Spoken(None, problem=f":{verb.id} takes nothing after it")
        if verb is not None:
            return Spoken(verb, argument.strip())
        near = get_close_matches(word, self._by_word, n=1)
        hint = f"; did you mean :{near[0]}?" if near else "; :help lists the commands"
        return Spoken(None, problem=f"there is no command {word!r}{hint}")

    def _beginning_with(self, word: str) -> list[Verb[Any]]:
        found = {verb.id: verb for name, verb in self._by_word.items() if name.startswith(word)}
        return list(found.values())

    def completions(self, line: str, names: Mapping[str, Iterable[str]]) -> list[str]:
        """Return the command lines that ``line`` may become.

        ``names`` maps what a verb completes (``streams``) to the names there are.
        """
        word, space, argument = line.partition(" ")
        if not space:
            return [name for name in sorted(self._by_word) if name.startswith(word)]
        verb = self._by_word.get(word)
        if verb is None or not verb.completes:
            return []
        known = names.get(verb.completes, ())
        return [f"{word} {name}" for name in known if name.startswith(argument)]


def known_of(owner: type[VerbOwner] | VerbOwner) -> list[Known]:
    """Return what an owner brings."""
    name, where, pane = owner.name_of, owner.where, owner.of_pane
    return [Known(verb, name, where, pane) for verb in owner.verbs]
