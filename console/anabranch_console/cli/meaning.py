"""Which command was meant by a word that is not one: by its meaning first, then by its spelling.

What ends, takes or deletes something is never offered for a word that merely looks like it; only
for a word of the same meaning, or for itself with one slip of the fingers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import click

DANGEROUS = frozenset({"stop", "gc", "drill", "recover", "approve", "allow", "resolve", "remove"})

_MEANT: dict[str, str] = {
    "stop": "abort cancel down end exit halt interrupt kill quit shutdown terminate",
    "run": "exec execute go launch start up",
    "resume": "continue fg restart retry unpause",
    "console": "attach dashboard dash monitor open top tui ui view watch",
    "runs": "history list ls",
    "status": "info inspect show stat state-of",
    "streams": "jobs processes ps stream tasks workers",
    "logs": "cat log output stdout tail",
    "events": "audit event feed journal timeline",
    "report": "metrics results stats summary time timing",
    "messages": "inbox mail message",
    "conflicts": "conflict diff",
    "locks": "leases lock",
    "convergence": "converge merges points sync",
    "attention": "blocked needs notify waiting who",
    "answer": "reply respond",
    "send": "input type write",
    "approve": "accept apply land merge promote take",
    "resolve": "choose decide settle",
    "recover": "heal nudge repair revive",
    "check": "dry-run graph lint plan test validate verify",
    "init": "create new scaffold setup",
    "import": "convert load migrate",
    "doctor": "diagnose health selfcheck",
    "gc": "clean cleanup clear delete purge prune rm tidy",
    "schema": "config jsonschema",
    "plugins": "extensions install plugin uninstall",
    "drill": "chaos rehearse simulate",
    "breakers": "breaker circuit",
    "demo": "example tour try tutorial",
    "env": "environment environ",
}
_MEANT_IN: dict[str, dict[str, str]] = {
    "plugins": {
        "install": "add get update upgrade",
        "remove": "delete erase purge rm uninstall",
        "list": "ls show-all",
        "info": "describe show",
        "enable": "activate on",
        "disable": "deactivate off",
        "rollback": "back revert undo",
        "new": "create init scaffold",
        "check": "lint test validate verify",
    },
    "runs": {"rm": "clean clear del delete gc prune purge remove"},
    "state": {"log": "changes history ls list", "get": "cat print read show"},
}
SHORTEST_WITH_SLIPS = 3


class KnownCommands(click.Group):
    """A group that names the command which an unknown word probably means."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-"):
            return super().resolve_command(ctx, args)
        table = _MEANT if ctx.parent is None else _MEANT_IN.get(str(ctx.info_name), {})
        near = meant(name, known, table)
        hint = f"did you mean {near!r}?" if near else f"{ctx.command_path} --help lists them"
        raise click.UsageError(f"there is no command {name!r}; {hint}")


def meant(word: str, commands: Iterable[str], table: Mapping[str, str] = _MEANT) -> str | None:
    """Return the command that a word probably means; None if that is anybody's guess.

    Args:
        word: what was typed.
        commands: those that there are.
        table: the words of the same meaning, by command.
    """
    known = set(commands)
    of_word = {w: c for c, words in table.items() for w in words.split() if c in known}
    of_word |= {command: command for command in known}
    folded = word.casefold().strip("-_")
    if folded in of_word:
        return of_word[folded]
    slips = [name for name in of_word if _is_slip(folded, name)]
    if slips:
        return of_word[min(slips, key=lambda name: (name not in known, name))]
    from difflib import get_close_matches  # here, because most words are known

    harmless = [name for name, command in of_word.items() if command not in DANGEROUS]
    near = get_close_matches(folded, sorted(harmless), n=1, cutoff=0.75)
    return of_word[near[0]] if near else None


def _is_slip(word: str, name: str) -> bool:
    """Return whether a word is a name with one letter too many or too few, or with two swapped."""
    if word[:1] != name[:1] or word == name or len(name) < SHORTEST_WITH_SLIPS:
        return False
    longer, shorter = sorted((word, name), key=len, reverse=True)
    if len(longer) == len(shorter) + 1:
        return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))
    swapped = (word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1))
    return name in swapped
