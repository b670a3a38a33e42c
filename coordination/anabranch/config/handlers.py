"""Checks a stream's items against the commands that are made of them.

These checks read the document as it was parsed and skip whatever has the wrong type, as those of
names do. What only a folder can tell (files, graphs) is looked at elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from anabranch.config.problems import KeyPath, Problem, printable, suggest
from anabranch.handlers.placeholders import OF_A_PATH, BadCommand, Template, parse

_OF_A_TASK = ("id", "command", "seconds")
_MOST_PROBLEMS = 20


class _Items(NamedTuple):
    """What is known of a stream's items before it runs: each kind of them, and where it stands."""

    kinds: tuple[tuple[KeyPath, tuple[str, ...] | None], ...]
    """The keys of a table, None for a text or a number."""

    @property
    def keys(self) -> list[str]:
        """Every key that any of them has."""
        return list(dict.fromkeys(key for _, keys in self.kinds for key in keys or ()))


def handler_problems(document: dict[str, Any]) -> list[Problem]:
    """Return everything that is wrong with items and the placeholders that stand for them."""
    streams = document.get("streams")
    found: list[Problem] = []
    for name, table in streams.items() if isinstance(streams, dict) else ():
        if isinstance(table, dict) and "each" in table:
            found += _of_source(("streams", name, "each"), table["each"])
            found += _of_commands(("streams", name), table)
            found += _of_setup(("streams", name), table, document)
    return found


def _of_setup(path: KeyPath, table: dict[str, Any], document: dict[str, Any]) -> Iterator[Problem]:
    """Refuse to set up a workspace of which each handler has one of its own, that is not."""
    if table.get("handler_workspace") != "each" or table.get("setup") is False:
        return
    general = document
    for key in ("coordination", "isolation"):
        found = general.get(key)
        general = found if isinstance(found, dict) else {}
    if table.get("setup") or general.get("setup"):
        text = "a setup is run once a stream, and here each handler has a workspace of its own"
        hint = 'set up in the command, or write `setup = false` or `handler_workspace = "stream"`'
        yield Problem((*path, "handler_workspace"), text, hint)


def _of_source(path: KeyPath, each: object) -> Iterator[Problem]:
    if not isinstance(each, dict):
        return
    glob, matrix, exclude = (each.get(key) for key in ("glob", "matrix", "exclude"))
    if isinstance(glob, str) and (glob.startswith("/") or ".." in glob.split("/")):
        hint = "write it from the folder that the command runs in, without `..`"
        yield Problem((*path, "glob"), "leads out of the workspace", hint)
    if not isinstance(matrix, dict) or not isinstance(exclude, list):
        return
    for at, one in enumerate(exclude):
        for axis, value in one.items() if isinstance(one, dict) else ():
            values = matrix.get(axis)
            where = (*path, "exclude", at, axis)
            if axis not in matrix:
                hint = suggest(axis, matrix, "keys of the matrix")
                yield Problem(where, f"the matrix has no `{printable(axis)}`", hint)
            elif isinstance(values, list) and value not in values:
                shown = ", ".join(printable(repr(one)) for one in values[:12])
                text = f"leaves nothing out: `{axis}` is never {printable(repr(value))}"
                yield Problem(where, text, f"there are {shown}")


def _of_commands(path: KeyPath, table: dict[str, Any]) -> Iterator[Problem]:
    items = _items(path, table["each"])
    for where, command in _commands(path, table):
        try:
            template = parse(command)
        except BadCommand as error:
            yield Problem(where, f"{error}, at character {error.at + 1}", error.hint)
        else:
            yield from _of_template(where, template, items)


def _commands(path: KeyPath, table: dict[str, Any]) -> Iterator[tuple[KeyPath, str | list[str]]]:
    """Yield what has placeholders: the command, and each file that is declared as an input."""
    command, inputs = table.get("command"), table.get("inputs")
    if isinstance(command, str):
        yield (*path, "command"), command
    elif words := _texts(command):
        yield (*path, "command"), words
    yield from (((*path, "inputs", at), [text]) for at, text in enumerate(_texts(inputs)))


def _texts(value: object) -> list[str]:
    """Return a list of texts; nothing if it is something else."""
    is_texts = isinstance(value, list) and all(isinstance(word, str) for word in value)
    return list(value) if isinstance(value, list) and is_texts else []


def _items(path: KeyPath, each: object) -> _Items:
    where = (*path, "each")
    if isinstance(each, list):
        kinds = (
            ((*where, at), tuple(item) if isinstance(item, dict) else None)
            for at, item in enumerate(each)
        )
        return _Items(tuple(kinds))
    if not isinstance(each, dict):
        return _Items(())
    if isinstance(axes := each.get("matrix"), dict):
        return _Items((((*where, "matrix"), tuple(axes)),))
    if "graph" in each:
        return _Items((((*where, "graph"), _OF_A_TASK),))
    return _Items(((where, None),))


def _of_template(where: KeyPath, template: Template, items: _Items) -> Iterator[Problem]:
    for field in sorted(template.fields):
        key = field.split(".")[1] if field.startswith("item.") else ""
        if key:
            yield from _without_key(where, field, key, items)
        elif field in OF_A_PATH and any(keys is not None for _, keys in items.kinds):
            mine = field in items.keys
            hint = f"did you mean {{item.{field}}}?" if mine else _of_keys(items.keys)
            yield Problem(where, f"{{{field}}} is of a path, and an item here is a table", hint)


def _without_key(where: KeyPath, field: str, key: str, items: _Items) -> Iterator[Problem]:
    lacking = [(path, keys) for path, keys in items.kinds if key not in (keys or ())]
    if not lacking:
        return
    if len(lacking) < len(items.kinds):
        for path, keys in lacking[:_MOST_PROBLEMS]:
            hint = suggest(key, keys, "its keys") if keys else "write it as a table"
            yield Problem(path, f"has no `{printable(key)}`, and a command has {{{field}}}", hint)
    elif not items.keys:
        hint = "they are texts or numbers: write {item}"
        yield Problem(where, f"items have no keys, and so there is no {{{field}}}", hint)
    else:
        hint = suggest(key, items.keys, "their keys")
        yield Problem(where, f"no item has `{printable(key)}`, as {{{field}}} wants", hint)


def _of_keys(keys: Iterable[str]) -> str:
    return "there are " + ", ".join(f"{{item.{printable(key)}}}" for key in keys)
