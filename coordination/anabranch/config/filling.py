"""Fills templates into the streams of a plan that name one, before anything else is checked.

What comes out is the document as its author could have written it without templates, so that every
check and the plan itself are made of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from anabranch.config.problems import KeyPath, Problem, printable, suggest
from anabranch.config.templates import PROMPT, BadValues, Template, outline_of, stream_table
from anabranch.handlers.placeholders import BadCommand, Command, blanks_in


class Filled(msgspec.Struct, frozen=True):
    """A document without blanks, what is wrong with how templates are used, and what came of them.

    ``inherited`` are the keys that a stream has of its template alone, ``outlines`` the commands in
    which the prompt is filled anew after a review.
    """

    document: dict[str, Any]
    problems: tuple[Problem, ...] = ()
    inherited: Mapping[str, frozenset[str]] = {}
    outlines: Mapping[str, Command] = {}

    def is_of_a_template(self, path: KeyPath) -> bool:
        """Return whether a key of a stream stands in its template, and not in the plan's stream."""
        if len(path) < 3 or path[0] != "streams":
            return False
        return path[2] in self.inherited.get(str(path[1]), ())


def templates_named(document: Mapping[str, Any]) -> frozenset[str]:
    """Return the templates that streams of a document name and that do not stand in it."""
    own = document.get("templates")
    tables = _tables(document.get("streams")).values()
    named = {table["template"] for table in tables if isinstance(table.get("template"), str)}
    return frozenset(named - (own.keys() if isinstance(own, dict) else set()))


def own_templates(document: Mapping[str, Any], file: str) -> dict[str, Template]:
    """Return the templates that stand in a document, as far as they are tables with a command."""
    return {
        name: Template(name, table, "plan", file)
        for name, table in _tables(document.get("templates")).items()
        if _is_sound(table)
    }


def filled(document: dict[str, Any], templates: Mapping[str, Template]) -> Filled:
    """Return a document with each template that a stream names filled in.

    Args:
        document: the plan as parsed; whatever has the wrong type is left as it is.
        templates: all that there are, by name.
    """
    problems: list[Problem] = []
    found_streams, inherited = dict[str, Any](), dict[str, frozenset[str]]()
    outlines: dict[str, Command] = {}
    broken = _tables(document.get("templates")).keys() - templates.keys()
    for name, table in _tables(document.get("streams")).items():
        wanted = table.get("template")
        if not isinstance(wanted, str):
            problems += _without_template(name, table)
        elif wanted in templates:
            found = _of_template(name, table, templates[wanted])
            if isinstance(found, Problem):
                problems.append(found)
            else:
                found_streams[name] = found
                inherited[name] = frozenset(found.keys() - table.keys())
                outlines |= _outline(name, table, templates[wanted])
        elif wanted not in broken:
            message = f"there is no template `{printable(wanted)}`"
            hint = suggest(wanted, templates, "templates")
            problems.append(Problem(("streams", name, "template"), message, hint))
    if not inherited:
        return Filled(document, tuple(problems))
    streams = {**document["streams"], **found_streams}
    return Filled({**document, "streams": streams}, tuple(problems), inherited, outlines)


def _outline(name: str, table: Mapping[str, Any], template: Template) -> dict[str, Command]:
    try:
        outline = outline_of(template, table.get("values", {}), table)
    except BadCommand:
        return {}  # said where the template stands
    return {name: outline} if outline else {}


def _of_template(
    stream: str, table: dict[str, Any], template: Template
) -> dict[str, Any] | Problem:
    """Return the table of a stream with its template filled in, or what stands against it."""
    path: KeyPath = ("streams", stream)
    values = table.get("values", {})
    if not isinstance(values, dict) or not isinstance(table.get(PROMPT, ""), str):
        return table  # the model says what is wrong
    if PROMPT in table and PROMPT in values:
        return Problem((*path, PROMPT), "`prompt` stands in `values` too", "write it once")
    given = {**values, **({PROMPT: table[PROMPT]} if PROMPT in table else {})}
    try:
        return stream_table(template, given, table)
    except BadValues as bad:
        at: KeyPath = ("template",)
        if bad.stranger:
            at = (PROMPT,) if bad.stranger in table else ("values", bad.stranger)
        return Problem((*path, *at), str(bad), bad.hint)
    except BadCommand:
        return table  # said where the template stands


def _without_template(stream: str, table: dict[str, Any]) -> list[Problem]:
    """Return an error for each value that there is no blank for."""
    if "template" in table:
        return []
    hint = 'add `template = "NAME"`; `anabranch templates` lists them'
    return [
        Problem(("streams", stream, key), f"`{key}` is for a template, and there is none", hint)
        for key in (PROMPT, "values")
        if key in table
    ]


def bad_command(path: KeyPath, table: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the placeholders of a template."""
    places = [((*path, "command"), table["command"])]
    places += [((*path, "env", name), [text]) for name, text in table.get("env", {}).items()]
    found = []
    for where, command in places:
        try:
            blanks_in(command)
        except BadCommand as error:
            found.append(Problem(where, f"{error}, at character {error.at + 1}", error.hint))
    return found


def _is_sound(table: Mapping[str, Any]) -> bool:
    """Return whether a template can be filled in; what it lacks the model says."""
    command, env, values = (table.get(key, {}) for key in ("command", "env", "values"))
    words = [command] if isinstance(command, str) else command
    return (
        isinstance(words, list)
        and bool(words)
        and all(isinstance(word, str) for word in words)
        and isinstance(env, dict)
        and all(isinstance(text, str) for text in env.values())
        and isinstance(values, dict)
    )


def _tables(value: object) -> dict[str, dict[str, Any]]:
    """Return those of the named things that are tables."""
    found = value.items() if isinstance(value, dict) else ()
    return {name: table for name, table in found if isinstance(table, dict)}
