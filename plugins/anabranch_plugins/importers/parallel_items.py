"""What GNU parallel takes its arguments from: lists, files, what is piped into it.

Lists are known here, with their columns and what they are crossed or linked with. A file and a
pipe are known when the stream runs, so there can be only one, and it is taken line by line.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from anabranch_plugins.importers.parallel_options import Options, Unfit
from anabranch_plugins.importers.shell_words import BRACE, GLOB, Stage, Word, expanded_braces

MOST_ROWS = 20_000
_SEPARATORS = (":::", ":::+", "::::", "::::+")
_KEY = re.compile(r"[A-Za-z_]\w*")
_EXTENSION = re.compile(r"\.[^/.]*$")

Row = tuple[str, ...]


class Source(NamedTuple):
    """Where arguments come from: words, or one file; linked with the source before it or not."""

    words: tuple[Word, ...]
    is_file: bool = False
    is_linked: bool = False


class Items(NamedTuple):
    """What a command is run for: lines that come when it runs, or groups of rows to be crossed."""

    stream: dict[str, Any] | None
    groups: tuple[tuple[Row, ...], ...] = ()
    names: tuple[str, ...] = ("1",)

    @property
    def rows(self) -> list[Row]:
        """All that the groups make when they are crossed. Raises Unfit if they are too many."""
        count = math.prod(map(len, self.groups))
        if count > MOST_ROWS:
            raise Unfit(f"{count} combinations, and a plan is to hold {MOST_ROWS} at most")
        return [tuple(itertools.chain(*rows)) for rows in itertools.product(*self.groups)]


def split_sources(words: Sequence[Word]) -> tuple[tuple[Word, ...], list[Source]]:
    """Return the words of the command, and the sources behind them."""
    marks = [at for at, word in enumerate(words) if word.written in _SEPARATORS]
    sources: list[Source] = []
    for at, end in itertools.pairwise([*marks, len(words)]):
        sign, found = words[at].text, tuple(words[at + 1 : end])
        is_linked = sign.endswith("+")
        if "::::" in sign:
            sources += [Source((word,), True, is_linked) for word in found]
        else:
            sources.append(Source(found, False, is_linked))
    return tuple(words[: marks[0]] if marks else words), sources


def items_of_line(options: Options, sources: Sequence[Source], stage: Stage) -> Items:
    """Return the items of a command line. Raises Unfit."""
    sources = [Source((word,), True) for word in options.files] + list(sources)
    sources = sources or [Source((Word("-", "-"),), True)]
    streams = [found for s in sources if (found := _stream(options, s, stage)) is not None]
    if streams:
        if len(sources) > 1:
            raise Unfit("what is known only when it runs is crossed with something else")
        for name in ("colsep", "header"):
            if options.has(name):
                raise Unfit(f"--{name} of what is known only when it runs")
        if (options.most() or 1) > 1:
            raise Unfit("several lines for one command, and they are known only when it runs")
        return Items(streams[0])
    return _known(options, sources)


def _stream(options: Options, source: Source, stage: Stage) -> dict[str, Any] | None:
    """Return what yields a source's items when the stream runs, None if they are written here."""
    if source.is_file:
        (word,) = source.words
        lines = _on_stdin(stage) if word.text == "-" else f"cat {word.written}"
        if options.has("null"):
            options.left_out.append("--null: an item with an end of line in it becomes several")
            lines += " | tr '\\0' '\\n'"
        return {"lines_of": lines}
    if all(word.expands <= {BRACE} for word in source.words):
        return None
    (first, *others) = source.words
    is_inside = not first.text.startswith(("/", "..")) and "**" not in first.text
    if first.expands == {GLOB} and first.text == first.written and not others and is_inside:
        return {"glob": first.text}
    written = [w for word in source.words for w in _without_braces(word, word.written)]
    return {"lines_of": f"printf '%s\\n' {' '.join(written)}"}


def _on_stdin(stage: Stage) -> str:
    for redirection in stage.redirections:
        if redirection.sign in ("<", "0<"):
            return f"cat {redirection.word.written}"
        if redirection.sign == "<(":
            raise Unfit("<(…): what a command prints; put it into a pipe in front of parallel")
        if redirection.sign.startswith("<"):
            raise Unfit(f"{redirection.sign}: items that are written in the script; name a file")
    if stage.piped_in:
        return stage.piped_in
    raise Unfit(
        "its items come on stdin, which a plan does not have: "
        "… | anabranch run --each - -- 'COMMAND {item}'"
    )


def _without_braces(word: Word, text: str) -> list[str]:
    return expanded_braces(text) if BRACE in word.expands else [text]


def _known(options: Options, sources: Sequence[Source]) -> Items:
    columns = [[v for w in s.words for v in _without_braces(w, w.text)] for s in sources]
    names = [str(number) for number in range(1, len(columns) + 1)]
    if options.has("header"):
        names = [column[0] if column else "" for column in columns]
        columns = [column[1:] for column in columns]
        if not all(map(_KEY.fullmatch, names)) or len({*names}) < len(names):
            raise Unfit("--header: the first values are not names")
    if not all(columns):
        raise Unfit("it has no items")
    groups = _linked(options, sources, columns)
    return _in_columns(options, groups) or Items(None, groups, tuple(names))


def _linked(
    options: Options, sources: Sequence[Source], columns: list[list[str]]
) -> tuple[tuple[Row, ...], ...]:
    if options.has("link"):
        longest = max(map(len, columns))
        wrapped = [list(itertools.islice(itertools.cycle(c), longest)) for c in columns]
        return (tuple(zip(*wrapped, strict=True)),)
    groups: list[list[list[str]]] = []
    for source, column in zip(sources, columns, strict=True):
        if source.is_linked and groups:
            groups[-1].append(column)
        else:
            groups.append([column])
    return tuple(tuple(zip(*group, strict=False)) for group in groups)  # the shortest says


def _in_columns(options: Options, groups: tuple[tuple[Row, ...], ...]) -> Items | None:
    """Return items with several columns of one list: by what separates them, or so many each."""
    separator, most = options.colsep(), options.most() or 1
    if separator is None and most == 1:
        return None
    if len(groups) > 1 or len(groups[0][0]) > 1 or (separator is not None and most > 1):
        raise Unfit("columns of more than one list")
    values = [row[0] for row in groups[0]]
    if separator is not None:
        rows = [tuple(separator.split(value)) for value in values]
    else:
        rows = [tuple(values[at : at + most]) for at in range(0, len(values), most)]
    width = max(map(len, rows))
    if any(len(row) < width for row in rows):
        raise Unfit("not every command would get as many arguments as the others")
    return Items(None, (tuple(rows),), tuple(str(number) for number in range(1, width + 1)))


def shaped(value: str, form: str) -> str:
    """Return a value as one of parallel's forms of it: ``.``, ``/``, ``//``, ``/.``."""
    if form == "//":
        return os.path.dirname(value.rstrip("/")) or ("/" if value.startswith("/") else ".")
    if form.startswith("/"):
        value = value.rpartition("/")[2]
    return _EXTENSION.sub("", value) if form.endswith(".") else value
