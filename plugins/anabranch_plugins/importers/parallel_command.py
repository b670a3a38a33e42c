"""The command of GNU parallel with its signs (``{}``, ``{.}``, ``{2/}``) as a handler's command."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from anabranch.handlers.placeholders import BadCommand, Template, parse
from anabranch_plugins.importers.parallel_items import Items, shaped
from anabranch_plugins.importers.parallel_options import Options, Unfit
from anabranch_plugins.importers.process_compose import OF_BASH
from anabranch_plugins.importers.shell_words import BRACE, VALUE, Word

_SIGN = r"\{(?P<which>-?\d+|[A-Za-z_]\w*)?(?P<form>/\.|//|/|\.)?\}|(?P<special>\{[#%]\}|\{=)"
_MORE_SIGNS = re.compile(r"\{(?:-?\d+)?(?:\.\.\.?|/\.\.\.?|\+[/.]*|##|0#|[#%^,]+\S*)\}")
_OWN = {"": "item", "/": "name", "//": "dir", "/.": "stem"}
_FORMS = {".": "bare", "/": "name", "//": "dir", "/.": "stem"}
_NUMBER = "$((ANABRANCH_INDEX + 1))"


class Part(NamedTuple):
    """Text of a command, or a sign: the column it stands for (None: all), in which form."""

    text: str
    column: int | None = None
    form: str = ""
    is_sign: bool = False


class Filled(NamedTuple):
    """A handler's command and its items, in the plan's words."""

    command: str | list[str]
    each: Any
    left_out: tuple[str, ...]


def handlers_command(options: Options, words: Sequence[Word], items: Items) -> Filled:
    """Return the command and items of the handlers that a command line stands for. Raises Unfit."""
    left = list(_unlike(options, words))
    if not words:
        if len(items.names) > 1:
            raise Unfit("commands that are put together of several arguments")
        shell = [[Part(word)] for word in ("sh", "-c")]
        return _filled([*shell, [Part("{}", None, "", True)]], items, left, is_shell=False)
    is_shell = not options.has("quote")
    texts = [" ".join(word.text for word in words)] if is_shell else [word.text for word in words]
    parts = [_parts(text, options, items, is_shell) for text in texts]
    has_sign = any(part.is_sign or _NUMBER in part.text for word in parts for part in word)
    if not has_sign and options.most() != 0:
        sign = Part("{}", None, "", True)
        parts = [[*parts[0], Part(" "), sign]] if is_shell else [*parts, [sign]]
    if (
        not is_shell
        and len(items.names) > 1
        and any(p.is_sign and p.column is None for w in parts for p in w)
    ):
        raise Unfit("`{}` for several arguments with --quote; write {1} {2}")
    return _filled(parts, items, left, is_shell=is_shell)


def _unlike(options: Options, words: Sequence[Word]) -> list[str]:
    notes = [
        f"`{word.written}`: it is expanded where a handler runs, not before"
        for word in words
        if VALUE in word.expands
    ]
    if not options.has("quote") and (found := OF_BASH.search(" ".join(w.text for w in words))):
        notes.append(f"`{found[0]}` is for bash, and a plan's commands go to sh")
    for word in words:
        if BRACE in word.expands:
            raise Unfit(f"`{word.written}` in the command, which bash expands")
        if options.has("plus") and (found := _MORE_SIGNS.search(word.text)):
            raise Unfit(f"`{found[0]}` has nothing like it")
        if "PARALLEL_" in word.text:
            notes.append("a variable of parallel's own: $ANABRANCH_INDEX counts from 0")
    return notes


# --- finding the signs ---------------------------------------------------------------------------


def _parts(text: str, options: Options, items: Items, is_shell: bool) -> list[Part]:
    sign = options.said["sign"].text if options.has("sign") else ""
    pattern = re.compile(f"(?P<own>{re.escape(sign)})|{_SIGN}" if sign else _SIGN)
    found: list[Part] = []
    at = 0
    for match in pattern.finditer(text):
        part = _part(match, items, text[: match.start()], sign, is_shell)
        if part is not None:
            found += [Part(text[at : match.start()]), part]
            at = match.end()
    return [part for part in (*found, Part(text[at:])) if part.text]


def _part(
    match: re.Match[str], items: Items, before: str, sign: str, is_shell: bool
) -> Part | None:
    """Return what a sign stands for, None if it is text after all."""
    if sign and match["own"]:
        return Part(match[0], None, "", True)
    if match["special"]:
        return Part(_special(match[0], before, is_shell))
    which, form = match["which"], match["form"] or ""
    if which is None:
        return None if sign and not form else Part(match[0], None, form, True)
    if which in items.names:
        return Part(match[0], items.names.index(which), form, True)
    if not which.lstrip("-").isdecimal():
        return None
    place = int(which) - 1 if int(which) > 0 else len(items.names) + int(which)
    if not 0 <= place < len(items.names) or which == "0":
        raise Unfit(f"`{match[0]}`: there are only {len(items.names)} arguments")
    return Part(match[0], place, form, True)


def _special(sign: str, before: str, is_shell: bool) -> str:
    if sign != "{#}" or not is_shell:
        hint = "; $ANABRANCH_INDEX counts from 0" if sign == "{#}" else ""
        raise Unfit(f"`{sign}{' … =}' if sign == '{=' else ''}` has nothing like it{hint}")
    return f"'\"{_NUMBER}\"'" if _is_in_single_quotes(before) else _NUMBER


def _is_in_single_quotes(text: str) -> bool:
    quote = ""
    signs = iter(text)
    for sign in signs:
        if sign == "\\" and quote != "'":
            next(signs, "")
        elif sign in "'\"" and quote in ("", sign):
            quote = "" if quote else sign
    return quote == "'"


# --- in the plan's words -------------------------------------------------------------------------


def _filled(words: list[list[Part]], items: Items, left: list[str], *, is_shell: bool) -> Filled:
    forms = {part.form for word in words for part in word if part.is_sign}
    if items.stream is not None:
        if "." in forms:
            left.append("`{.}` is {dir}/{stem} here: of a.txt it is ./a")
        return Filled(_written(words, _of_a_text, is_shell), items.stream, tuple(left))
    if len(items.names) == 1 and all(_fits(items, form) for form in forms):
        values = [row[0] for row in items.groups[0]]
        return Filled(_written(words, _of_a_text, is_shell), values, tuple(left))
    is_matrix = forms <= {""} and all(len(group[0]) == 1 for group in items.groups)
    each = {"matrix": _matrix(items)} if is_matrix else _tables(words, items)
    return Filled(
        _written(words, lambda part: _of_a_table(part, items), is_shell), each, tuple(left)
    )


def _of_a_text(part: Part) -> str:
    return "{dir}/{stem}" if part.form == "." else f"{{{_OWN[part.form]}}}"


def _fits(items: Items, form: str) -> bool:
    """Return whether the plan's own placeholder says of every value what parallel's form does."""
    for (value,) in items.groups[0]:
        name = os.path.basename(value.rstrip("/"))
        stem, folder = os.path.splitext(name)[0], os.path.dirname(value) or "."
        own = {"": value, "/": name, "//": folder, "/.": stem, ".": f"{folder}/{stem}"}
        if own[form] != shaped(value, form):
            return False
    return True


def _matrix(items: Items) -> dict[str, list[str]]:
    columns = [[row[0] for row in group] for group in items.groups]
    return dict(zip(items.names, columns, strict=True))


def _of_a_table(part: Part, items: Items) -> str:
    names = items.names if part.column is None else [items.names[part.column]]
    return " ".join(f"{{item.{_key(name, part.form)}}}" for name in names)


def _key(name: str, form: str) -> str:
    return f"{name}_{_FORMS[form]}" if form else name


def _tables(words: list[list[Part]], items: Items) -> list[dict[str, str]]:
    """Return a table for each row, with the forms of its values that the command asks for."""
    signs = [part for word in words for part in word if part.is_sign and part.form]
    wanted = {
        (column, part.form)
        for part in signs
        for column in (range(len(items.names)) if part.column is None else [part.column])
    }
    return [
        dict(zip(items.names, row, strict=True))
        | {_key(items.names[c], form): shaped(row[c], form) for c, form in sorted(wanted)}
        for row in items.rows
    ]


def _written(words: list[list[Part]], said: Any, is_shell: bool) -> str | list[str]:
    """Return a command with placeholders, other braces kept. Raises Unfit."""
    texts = [_kept(word, said, is_shell) for word in words]
    try:
        parse(texts[0] if is_shell else texts)
    except BadCommand as error:
        raise Unfit(f"{error}{f': {error.hint}' if error.hint else ''}") from None
    return texts[0] if is_shell else texts


def _kept(parts: list[Part], said: Any, is_shell: bool) -> str:
    wanted = [said(part) if part.is_sign else part.text for part in parts]
    plain = "".join(wanted)
    doubled = "".join(
        text if part.is_sign else text.replace("{", "{{").replace("}", "}}")
        for part, text in zip(parts, wanted, strict=True)
    )
    try:
        same = _meaning(parse(plain if is_shell else [plain])) == _meaning(
            parse(doubled if is_shell else [doubled])
        )
    except BadCommand:
        return doubled
    return plain if same else doubled


def _meaning(template: Template) -> list[tuple[str, str]]:
    """Return the text and the placeholders of a command, the text between two of them joined."""
    joined: list[tuple[str, str]] = []
    for part in template.words[0]:
        if not part.field and joined and not joined[-1][1]:
            joined[-1] = (joined[-1][0] + part.text, "")
        else:
            joined.append((part.text, part.field))
    return joined
