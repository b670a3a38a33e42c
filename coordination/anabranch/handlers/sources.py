"""Where items come from: a list, files, the lines of a command or of stdin, a matrix, or a graph.

All but a graph are read as they are needed: a source of a million items fills no memory, and its
first handler starts when the first item is there.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import translate
from typing import Any, NamedTuple, TypeAlias

from .kept_items import LONGEST_LINE_BYTES, EndedEarly, kept_items
from .placeholders import ItemValue

LETS_WAIT = frozenset({"lines_of", "kept"})
"""Sources whose next item may take its time."""


class BadSource(Exception):
    """Items that cannot be had; says why."""


class NotYet(Exception):
    """There is no item now; one may come."""


class Task(NamedTuple):
    """A task of a graph: what it is called, what it runs, what goes before, how long it takes.

    The seconds of one that ``is_guessed`` stand in no file.
    """

    id: str
    command: str | list[str]
    after: tuple[str, ...] = ()
    seconds: float = 1.0
    is_guessed: bool = False


def items_of(source: Mapping[str, Any], folder: str) -> Iterator[ItemValue]:
    """Yield the items of a source; relative paths begin at ``folder``.

    Raises:
        BadSource: they cannot be had, perhaps after some of them.
    """
    ((kind, value),) = ((k, v) for k, v in source.items() if k != "exclude")
    if kind == "items":
        yield from value
    elif kind == "glob":
        yield from files_matching(value, folder)
    elif kind == "lines_of":
        yield from lines_of(value, folder)
    elif kind == "kept":
        yield from _kept(value)
    elif kind == "matrix":
        yield from combinations(value, source.get("exclude", ()))
    else:
        raise BadSource(f"unknown source {kind!r}")


_Found: TypeAlias = "Iterator[str | _Found]"


# --- files ---------------------------------------------------------------------------------------


def files_matching(pattern: str, folder: str) -> Iterator[str]:
    """Yield the files that match, each folder in the order of names; ``**`` is any depth.

    Names with a dot in front are left out unless the pattern has the dot, and so is ``.git``;
    folders behind links are not entered.
    """
    segments = [segment for segment in pattern.split("/") if segment not in ("", ".")]
    if pattern.startswith("/") or ".." in segments:
        raise BadSource(f"{pattern!r} leads out of the workspace")
    seen: set[str] = set()
    for path in _flattened(_matching(segments, folder, "")):
        if path not in seen:
            seen.add(path)
            yield path


def _flattened(found: _Found) -> Iterator[str]:
    """Yield the paths among what was found, however deep the folders are."""
    open_ones = [found]
    while open_ones:
        one = next(open_ones[-1], None)
        if one is None:
            open_ones.pop()
        elif isinstance(one, str):
            yield one
        else:
            open_ones.append(one)


def _matching(segments: Sequence[str], folder: str, below: str) -> _Found:
    """Yield what matches in a folder: paths, and what is to be gone through in their place."""
    first, rest = segments[0], segments[1:]
    if first == "**" and not rest:
        rest = ["*"]
    fits = re.compile(translate(first))
    for entry in _entries(folder, below):
        path = f"{below}{entry.name}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if first == "**":
            if not entry.name.startswith("."):
                yield _matching_below(segments, rest, folder, path, is_folder, entry.name)
        elif fits.match(entry.name) and (first[0] == "." or entry.name[0] != "."):
            if not rest and not is_folder:
                yield path
            elif rest and is_folder:
                yield _matching(rest, folder, f"{path}/")


def _matching_below(
    segments: Sequence[str],
    rest: Sequence[str],
    folder: str,
    path: str,
    is_folder: bool,
    name: str,
) -> _Found:
    """Yield what matches at an entry behind ``**``: here, or any deeper."""
    fits = re.compile(translate(rest[0])).match(name) is not None
    if not is_folder:
        if fits and len(rest) == 1:
            yield path
        return
    if fits and len(rest) > 1:
        yield _matching(rest[1:], folder, f"{path}/")
    yield _matching(segments, folder, f"{path}/")


def _entries(folder: str, below: str) -> list[os.DirEntry[str]]:
    path = os.path.join(folder, below)
    try:
        with os.scandir(path) as found:
            return sorted((e for e in found if e.name != ".git"), key=lambda entry: entry.name)
    except OSError as error:
        if below and isinstance(error, FileNotFoundError | NotADirectoryError):
            return []  # handlers that run by now may take folders away
        raise BadSource(f"{path} cannot be read: {error.strerror}") from None


# --- lines, matrices -----------------------------------------------------------------------------


def lines_of(command: str, folder: str) -> Iterator[str]:
    """Yield the lines that a command prints, as it prints them; taken slowly, it waits."""
    import subprocess  # only such a source starts a program

    with subprocess.Popen(
        ["/bin/sh", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        while line := running.stdout.readline(LONGEST_LINE_BYTES + 1):
            if len(line) > LONGEST_LINE_BYTES:
                running.kill()
                raise BadSource(f"a line of more than {LONGEST_LINE_BYTES} bytes")
            if text := line.rstrip(b"\n").decode("utf-8", "surrogateescape"):
                yield text
    if running.returncode != 0:
        raise BadSource(f"the command of lines_of ended with {running.returncode}")


def _kept(path: str) -> Iterator[str]:
    try:
        yield from kept_items(path)
    except EndedEarly as error:
        raise BadSource(str(error)) from None


def combinations(
    axes: Mapping[str, Sequence[Any]], exclude: Iterable[Mapping[str, Any]] = ()
) -> Iterator[dict[str, Any]]:
    """Yield every combination of values, but none that has all the values of one in ``exclude``."""
    left_out = [dict(one) for one in exclude]
    for values in itertools.product(*axes.values()):
        found = dict(zip(axes, values, strict=True))
        if not any(one.items() <= found.items() for one in left_out):
            yield found


# --- graphs --------------------------------------------------------------------------------------


def read_tasks(path: str) -> list[Task]:
    """Return the tasks of a file. Raises BadSource."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise BadSource(f"{os.path.basename(path)} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadSource(f"{os.path.basename(path)} is not text: {error}") from None
    return tasks_of(text)


def tasks_of(text: str) -> list[Task]:
    """Return the tasks of a graph file, checked: ids once, known ones after, no circle.

    ``cmd`` stands for ``command`` too, as recorded workflows have it.

    Raises:
        BadSource: it is not a graph of tasks; says what was expected where.
    """
    try:
        found = json.loads(text)
        entries = found["tasks"] if isinstance(found, dict) else None
    except (ValueError, KeyError, RecursionError) as error:
        raise BadSource(f"this is not a graph of tasks: {error}") from None
    if not isinstance(entries, list):
        raise BadSource('a graph is {"tasks": [{"id": …, "command": …, "after": […]}]}')
    tasks = [_task(entry, number) for number, entry in enumerate(entries)]
    _check_graph(tasks)
    return tasks


def _task(entry: Any, number: int) -> Task:
    where = f"task {number}"
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        raise BadSource(f"{where} has no id that is a text")
    where = f"task {entry['id']!r}"
    command = entry.get("command", entry.get("cmd"))
    is_vector = isinstance(command, list) and all(isinstance(word, str) for word in command)
    if not (command and (isinstance(command, str) or is_vector)):
        raise BadSource(f"{where}: its command is neither a text nor a list of texts")
    after, seconds = entry.get("after", []), entry.get("seconds", 1.0)
    if not isinstance(after, list) or not all(isinstance(name, str) for name in after):
        raise BadSource(f"{where}: after is not a list of ids")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e12:
        raise BadSource(f"{where}: seconds is not a length of time")
    is_guessed = "seconds" not in entry
    return Task(entry["id"], command, tuple(dict.fromkeys(after)), float(seconds), is_guessed)


def _check_graph(tasks: Sequence[Task]) -> None:
    known: set[str] = set()
    for task in tasks:
        if task.id in known:
            raise BadSource(f"there are two tasks {task.id!r}")
        known.add(task.id)
    for task in tasks:
        for name in task.after:
            if name not in known:
                raise BadSource(f"task {task.id!r} comes after {name!r}, which is not there")
    rest_seconds(tasks)


def rest_seconds(tasks: Sequence[Task]) -> dict[str, float]:
    """Return for each task the longest way from its start to the end of the graph, in seconds.

    Raises:
        BadSource: the tasks wait for each other in a circle.
    """
    followers: dict[str, list[str]] = {task.id: [] for task in tasks}
    open_followers = dict.fromkeys(followers, 0)
    by_id = {task.id: task for task in tasks}
    for task in tasks:
        for name in task.after:
            followers[name].append(task.id)
            open_followers[name] += 1
    left: dict[str, float] = {}
    ready = [name for name, number in open_followers.items() if number == 0]
    while ready:
        name = ready.pop()
        rest = max((left[later] for later in followers[name]), default=0.0)
        left[name] = rest + by_id[name].seconds
        for before in by_id[name].after:
            open_followers[before] -= 1
            if open_followers[before] == 0:
                ready.append(before)
    if len(left) < len(tasks):
        circle = sorted(set(by_id) - set(left))[:5]
        raise BadSource(f"tasks wait for each other in a circle, among them {', '.join(circle)}")
    return left
