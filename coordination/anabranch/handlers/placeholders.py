"""Placeholders in a handler's command, and how an item takes their place.

``{item}``, ``{item.key}``, ``{index}``, ``{name}``, ``{stem}`` and ``{dir}``; ``{{`` is a brace,
and so is one that is not closed behind a word, as in ``{ print; }`` or ``{"key": 1}``. The commands
of templates have others, by names of their own: :func:`blanks_in` finds those. In
an argument vector a value is taken whole. In a command for the shell it is quoted for the place it
stands in: the shell sees one word, or a part of one, and never a sign of its own.

Where that cannot be promised (backticks, here-documents, comments) the command is refused.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Value = Any
"""What stands in an item: a text, a number, a truth, or a table of them."""

ItemValue = Value
Command = str | Sequence[str]
"""As it is written: for the shell, or an argument vector."""

_BRACED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]*)\}")
_INDEX = "{index}"
_as_json = json.JSONEncoder(ensure_ascii=False).encode
"""Always a number, and so safe wherever it stands."""
_ALMOST = re.compile(r"\{item[.\[:|?!][^{}]*\}?")
"""What was meant for a placeholder, and is none: ``{item[0]}``, ``{item.two words}``."""
_KNOWN = "{item}, {item.key}, {index}, {name}, {stem}, {dir}"
OF_A_PATH = ("name", "stem", "dir")
"""Placeholders for a part of an item that is a path."""
_PLAIN, _SINGLE, _DOUBLE, _INNER, _ARITHMETIC = "plain", "single", "double", "$(", "$(("
_HERE = "<<"
_BRACKETED = (_INNER, _ARITHMETIC)
_IN_DOUBLE_QUOTES = re.compile(r'([$`"\\])')


_PLAIN_WORDS = re.compile(r"[\w%+,./:@ -]*", re.ASCII)
"""Signs that a shell reads as parts of words, wherever they stand."""
_OF_THE_SHELL = frozenset(
    re.findall(
        r"\S+",
        """. : alias bg break builtin case cd chdir command continue declare do done echo elif else
        esac eval exec exit export false fc fg fi for function getopts hash history if in jobs kill
        let local printf pwd read readonly return select set shift source test then time times trap
        true type typeset ulimit umask unalias unset until wait while""",
    )
)
"""What a shell does by itself, or reads as a word of its language."""


class BadCommand(ValueError):
    """A command with a placeholder that cannot be filled; says where, and what would do."""

    def __init__(self, message: str, at: int, hint: str = "") -> None:
        super().__init__(message)
        self.at, self.hint = at, hint


class Part(NamedTuple):
    """A piece of a command: text as it is, or the value of a placeholder in quotes of some kind."""

    text: str
    field: str = ""
    quotes: str = ""


class Template(NamedTuple):
    """A command with its placeholders found: words of a vector, or one text for the shell."""

    words: tuple[tuple[Part, ...], ...]
    is_shell: bool

    @property
    def fields(self) -> set[str]:
        """The placeholders in it."""
        return {part.field for word in self.words for part in word if part.field}

    def argv(self, value: ItemValue, index: int) -> list[str]:
        """Return the argument vector for an item. Raises BadCommand if it lacks a key."""
        words = self.filled(lambda field: _value_of(field, value, index))
        return ["/bin/sh", "-c", *words] if self.is_shell else words

    def filled(
        self, value_of: Callable[[str], str], as_text: Callable[[str], str] = str
    ) -> list[str]:
        """Return the words with a value in each place, quoted for where it stands.

        ``as_text`` makes what is wanted of the text between them.
        """
        return [
            "".join(_filled(part, value_of) if part.field else as_text(part.text) for part in word)
            for word in self.words
        ]


def parse(command: Command) -> Template:
    """Find the placeholders of a command.

    Raises:
        BadCommand: one is unknown, or stands where a value cannot be quoted.
    """
    if isinstance(command, str):
        parts = _joined(_shell_parts(command))
        return parse(command.split()) if is_plain(command) else Template((parts,), is_shell=True)
    return Template(tuple(_joined(_parts(word)) for word in command), is_shell=False)


def blanks_in(command: Command) -> Template:
    """Find the placeholders of a template's command: any name is one.

    Raises:
        BadCommand: one stands where a value cannot be quoted.
    """
    if isinstance(command, str):
        return Template((_joined(_shell_parts(command, _is_blank)),), is_shell=True)
    return Template(tuple(_joined(_parts(word, _is_blank)) for word in command), is_shell=False)


def is_plain(command: str) -> bool:
    """Return whether a command is one program with plain words, and needs no shell to be run.

    The shell would read them just so. That is an exec less for each handler, as ``make`` does it.
    """
    program = command.partition(" ")[0]
    is_a_program = bool(program) and "{" not in program and program not in _OF_THE_SHELL
    return is_a_program and _PLAIN_WORDS.fullmatch(_BRACED.sub("", command)) is not None


def text_of(value: Value) -> str:
    """Return a value as a command sees it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else _as_json(value)


# --- finding them --------------------------------------------------------------------------------


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return parts with the texts that stand side by side made one."""
    found: list[Part] = []
    for part in parts:
        if found and not part.field and not found[-1].field:
            found[-1] = Part(found[-1].text + part.text)
        else:
            found.append(part)
    return tuple(found)


def is_of_an_item(name: str) -> bool:
    """Return whether a placeholder is one for an item of a stream with handlers."""
    return name in ("item", "index", *OF_A_PATH) or (
        name.startswith("item.") and all(name.split("."))
    )


def _is_blank(name: str) -> bool:
    return "." not in name or is_of_an_item(name)


def with_braces_kept(text: str) -> str:
    """Return a text that stands for itself where placeholders are looked for."""
    return text.replace("{", "{{").replace("}", "}}")


Known = Callable[[str], bool]
"""Says whether a name in braces is a placeholder."""


def _parts(word: str, is_known: Known = is_of_an_item) -> list[Part]:
    """Split a word at its placeholders."""
    found: list[Part] = []
    at = 0
    while at < len(word):
        part, at = _next(word, at, is_known)
        found.append(part)
    return found


def _next(text: str, at: int, is_known: Known) -> tuple[Part, int]:
    """Return the part that begins at a place, and where it ends; text comes sign by sign."""
    sign = text[at]
    if text.startswith("{{", at):
        return Part("{"), at + 2
    if text.startswith("}}", at):
        return Part("}"), at + 2
    if sign != "{":
        return Part(sign), at + 1
    found = _BRACED.match(text, at)
    names = _KNOWN if is_known is is_of_an_item else "names of letters, digits, _ and -"
    if found is None:
        almost = _ALMOST.match(text, at) if is_known is is_of_an_item else None
        if almost:
            raise _unknown(almost[0], at, f"there are {names}; {{{{ is a brace")
        return Part(sign), at + 1
    if not is_known(found[1]):
        hint = f"there are {names}; {{{{ is a brace"
        if text[at - 1 : at] == "$":
            hint = f"write ${{{found[0]}}} for a variable"
        raise _unknown(found[0], at, hint)
    return Part("", found[1]), found.end()


def _unknown(written: str, at: int, hint: str) -> BadCommand:
    return BadCommand(f"unknown placeholder {written}", at, hint)


def _shell_parts(command: str, is_known: Known = is_of_an_item) -> list[Part]:
    """Split a command for the shell, knowing in which quotes each placeholder stands."""
    found: list[Part] = []
    within = [_PLAIN]
    at = 0
    while at < len(command):
        start = at
        if command[at] == "\\" and within[-1] != _SINGLE and at + 1 < len(command):
            escaped, at = _next(command, at + 1, is_known)
            if escaped.field:
                raise BadCommand("a placeholder after a backslash", start, "take the \\ away")
            found += [Part("\\"), escaped]
            continue
        part, at = _next(command, at, is_known)
        if part.field:
            found.append(part._replace(quotes=_kind(within, command, start, is_known)))
        else:
            found.append(part)
            _follow(within, command, start)
    return found


def _kind(within: list[str], command: str, at: int, is_known: Known) -> str:
    if command[at - 1 : at] == "$" and within[-1] != _SINGLE:
        raise BadCommand("a placeholder after $", at, "write ${{NAME}} for a variable")
    if is_known is is_of_an_item and command.startswith(_INDEX, at):
        return within[-1]
    if _ARITHMETIC in within:
        raise BadCommand("a placeholder within $((…))", at, "put it into a variable before")
    if "`" in within:
        raise BadCommand("a placeholder within backticks", at, "write $(…) instead")
    if "#" in within:
        raise BadCommand("a placeholder in a comment", at, "it would have no effect")
    if _HERE in within:
        variable = "$ANABRANCH_ITEM" if is_known is is_of_an_item else "a variable of `env`"
        raise BadCommand("a placeholder after <<", at, f"use {variable} in a here-document")
    return within[-1]


def _follow(within: list[str], command: str, at: int) -> None:
    """Keep track of the quotes and substitutions that are open behind a sign."""
    sign, inmost = command[at], within[-1]
    if inmost == "#":
        if sign == "\n":
            within.pop()
    elif inmost == _SINGLE:
        if sign == "'":
            within.pop()
    elif sign == "`":
        _toggle(within, "`")
    elif sign == '"':
        _toggle(within, _DOUBLE)
    elif command.startswith("$((", at):
        within.append(_ARITHMETIC)
    elif command.startswith("$(", at):
        within.append(_INNER)
    elif sign == "(" and inmost in _BRACKETED and command[at - 1 : at] != "$":
        within.append(inmost)
    elif sign == ")" and inmost in _BRACKETED:
        within.pop()
    elif command.startswith("<<", at) and inmost != _DOUBLE:
        within.insert(0, _HERE)  # where such a document ends is not looked for: it stays open
    elif sign == "'" and inmost != _DOUBLE:
        within.append(_SINGLE)
    elif sign == "#" and inmost != _DOUBLE and (at == 0 or command[at - 1] in " \t\n;&|("):
        within.append("#")


def _toggle(within: list[str], kind: str) -> None:
    if within[-1] == kind:
        within.pop()
    else:
        within.append(kind)


# --- filling them --------------------------------------------------------------------------------


def _filled(part: Part, value_of: Callable[[str], str]) -> str:
    text = value_of(part.field)
    if part.quotes == _SINGLE:
        return text.replace("'", "'\\''")
    if part.quotes == _DOUBLE:
        return _IN_DOUBLE_QUOTES.sub(r"\\\1", text)
    return shlex.quote(text) if part.quotes else text


def _value_of(field: str, value: ItemValue, index: int) -> str:
    if field == "index":
        return str(index)
    if field.startswith("item."):
        return text_of(_under(value, field.split(".")[1:]))
    text = text_of(value)
    if field == "item":
        return text
    name = os.path.basename(text.rstrip("/"))
    if field == "name":
        return name
    return os.path.splitext(name)[0] if field == "stem" else os.path.dirname(text) or "."


def _under(value: Value, keys: Sequence[str]) -> Value:
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            has = ", ".join(value) if isinstance(value, Mapping) else "no keys"
            raise BadCommand(f"an item without {key!r}", 0, f"this one has {has}")
        value = value[key]
    return value
