"""Checks the names in a plan against each other: streams, dependencies, convergence points.

These checks read the document as it was parsed and skip whatever has the wrong type, so that a
mistake in one key does not hide the mistakes in another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from anabranch.config.parts import parts_of_projects
from anabranch.config.problems import KeyPath, Problem, printable, suggest
from anabranch.core.deciding.points.reducing import REDUCERS
from anabranch.core.globs import PatternRefused, normalised
from anabranch.core.ids import FINAL_POINT, StreamId, id_fault, stream_fault
from anabranch.core.plans.cycles import find_cycles

_BUILT_IN_TYPES = ("barrier", "progressive", "checkpoint", "race")


def reference_problems(document: dict[str, Any]) -> list[Problem]:
    """Return everything that is wrong with the names in ``document``."""
    streams = _table(document.get("streams"))
    points = _table(document.get("convergence"))
    return [
        *_bad_names("streams", streams, "stream"),
        *_bad_names("convergence", points, "convergence point"),
        *_bad_dependencies(streams),
        *_cycles(streams),
        *_bad_points(streams, points),
        *_checks_of_nothing(document, streams, points),
        *_handlers_without_workspaces(document, streams),
        *parts_of_projects(streams),
        *_impossible_amounts(document, streams),
        *_limits_below_resources(streams),
        *_impossible_writes(streams),
        *_bad_reducers(document, points),
    ]


def _bad_names(table: str, names: dict[str, object], kind: str) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in names:
        if reason := (stream_fault if table == "streams" else id_fault)(name):
            yield Problem((table, name), f"bad name for a {kind}: `{printable(name)}`", reason)
        twin = first.setdefault(name.casefold(), name)
        if twin != name:
            yield Problem(
                (table, name),
                f"`{printable(name)}` and `{printable(twin)}` differ only in case",
                "some file systems take them for one name; rename one of them",
            )


def _bad_dependencies(streams: dict[str, object]) -> Iterator[Problem]:
    for stream in streams:
        seen: set[str] = set()
        for path, name in _dependencies(streams, stream):
            if name not in streams:
                yield _unknown_stream(path, name, streams)
            elif name in seen:
                yield Problem(path, f"`{printable(name)}` is named twice")
            seen.add(name)


def _cycles(streams: dict[str, object]) -> Iterator[Problem]:
    edges = {
        StreamId(stream): [
            StreamId(name) for _, name in _dependencies(streams, stream) if name in streams
        ]
        for stream in streams
    }
    for cycle in find_cycles(edges):
        waits_for = cycle[1 % len(cycle)]
        path = next(path for path, name in _dependencies(streams, cycle[0]) if name == waits_for)
        names = [printable(name) for name in [*cycle, cycle[0]]]
        shown = names if len(names) <= 20 else [*names[:10], "…", *names[-9:]]
        yield Problem(
            path,
            f"the streams wait for each other: {' -> '.join(shown)}",
            "remove one of these dependencies",
        )


def _bad_points(streams: dict[str, object], points: dict[str, object]) -> Iterator[Problem]:
    for stream, entry in streams.items():
        point = _table(entry).get("converge")
        if not isinstance(point, str):
            continue
        if point != FINAL_POINT and point not in points:
            yield Problem(
                ("streams", stream, "converge"),
                f"there is no convergence point `{printable(point)}`",
                suggest(point, points, "points")
                if points
                else f"add `[convergence.{printable(point)}]`",
            )
    for point, entry in points.items():
        if point == FINAL_POINT and "streams" in _table(entry):
            yield Problem(
                ("convergence", point, "streams"),
                "the run's last convergence point merges every stream",
                "leave `streams` out here",
            )
            continue
        if point != FINAL_POINT and point.casefold() == FINAL_POINT:
            yield Problem(
                ("convergence", point),
                f"`{printable(point)}` looks like `final`, the run's last convergence point",
                "choose another name",
            )
        yield from _bad_members(point, _table(entry).get("streams"), streams)


def works_in(document: dict[str, Any], entry: object) -> object:
    """Return what kind of workspace a stream of a document has, as it is written."""
    isolation = _table(_table(document.get("coordination")).get("isolation"))
    return _table(entry).get("workspace") or isolation.get("workspace")


def _checks_of_nothing(
    document: dict[str, Any], streams: dict[str, object], points: dict[str, object]
) -> Iterator[Problem]:
    """Yield checks of streams in the user's own folder: they bring no result to look at."""
    if not streams or any(works_in(document, entry) != "shared" for entry in streams.values()):
        return
    for point, entry in points.items():
        if _table(entry).get("verify"):
            yield Problem(
                ("convergence", point, "verify"),
                'there is no merged result to check: with `workspace = "shared"` every stream '
                "works in your own folder",
                "let a stream that depends on the others run the check, or isolate the streams",
            )


def _handlers_without_workspaces(
    document: dict[str, Any], streams: dict[str, object]
) -> Iterator[Problem]:
    """Yield handlers apart in the user's own folder: their work would be merged into it."""
    for name, entry in streams.items():
        is_shared = works_in(document, entry) == "shared"
        if is_shared and _table(entry).get("handler_workspace") == "each":
            yield Problem(
                ("streams", name, "handler_workspace"),
                'with `workspace = "shared"` the stream works in your own folder, and nothing is '
                "merged there",
                "isolate the streams, or let handlers work in that of their stream",
            )


def _bad_members(point: str, members: object, streams: dict[str, object]) -> Iterator[Problem]:
    seen: set[str] = set()
    for path, name in _strings(("convergence", point, "streams"), members):
        if name not in streams:
            yield _unknown_stream(path, name, streams)
        elif name in seen:
            yield Problem(path, f"`{printable(name)}` is named twice")
        seen.add(name)


def _impossible_amounts(document: dict[str, Any], streams: dict[str, object]) -> Iterator[Problem]:
    """Yield amounts larger than the plan itself says there is: such a stream can never start."""
    whole = _table(_table(document.get("coordination")).get("resources"))
    for stream, entry in streams.items():
        for name, amount in _table(_table(entry).get("resources")).items():
            most = whole.get(name)
            if name != "on_excess" and _is_more(amount, most):
                yield Problem(
                    ("streams", stream, "resources", name),
                    f"it can never start: it needs {amount} {printable(name)} of {most}",
                    "ask for less, or raise it in `[coordination.resources]`",
                )


def _limits_below_resources(streams: dict[str, object]) -> Iterator[Problem]:
    """Yield ceilings that a stream is above already with what it asks for."""
    for stream, entry in streams.items():
        asked = _table(_table(entry).get("resources"))
        for name, limit in _table(_table(entry).get("limits")).items():
            amount = asked.get(name)
            if _is_number(limit) and _is_number(amount) and limit < amount:
                yield Problem(
                    ("streams", stream, "limits", name),
                    f"`{name} = {limit:g}` is below what the stream asks for: {amount:g}",
                    "`limits` are ceilings: at least as much as `resources` says, or leave it out",
                )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _impossible_writes(streams: dict[str, object]) -> Iterator[Problem]:
    """Yield what lies outside of the project: no stream may ever write there."""
    for stream, entry in streams.items():
        patterns = _strings(("streams", stream, "writes"), _table(entry).get("writes"))
        for path, pattern in patterns:
            try:
                normalised(pattern)
            except PatternRefused as error:
                hint = "name files of the project, such as `src/**`"
                yield Problem(path, str(error), hint)


def _is_more(amount: object, most: object) -> bool:
    numbers = isinstance(amount, int | float) and isinstance(most, int | float)
    return numbers and amount > most  # type: ignore[operator]


def _bad_reducers(document: dict[str, Any], points: dict[str, object]) -> Iterator[Problem]:
    default = _table(document.get("coordination")).get("convergence_type", "barrier")
    for point, entry in points.items():
        reducer = _table(_table(entry).get("options")).get("reduce", "collect")
        is_built_in = _table(entry).get("type", default) in _BUILT_IN_TYPES
        if is_built_in and reducer not in REDUCERS:
            word = reducer if isinstance(reducer, str) else ""
            yield Problem(
                ("convergence", point, "options", "reduce"),
                f"`{printable(str(reducer))}` is not one of {', '.join(REDUCERS)}",
                suggest(word, REDUCERS, "use"),
            )


def _unknown_stream(path: KeyPath, name: str, streams: Iterable[str]) -> Problem:
    return Problem(
        path, f"there is no stream `{printable(name)}`", suggest(name, streams, "streams")
    )


def _dependencies(streams: dict[str, object], stream: str) -> Iterator[tuple[KeyPath, str]]:
    """Yield the names a stream depends on, each with its place in the file."""
    for key in ("depends_on", "dependencies"):
        path = ("streams", stream, key)
        needs = _table(streams[stream]).get(key)
        if isinstance(needs, dict):
            for name, entry in needs.items():
                if "capability" not in _table(entry):
                    yield (*path, name), name
        else:
            yield from _strings(path, needs)


def _strings(path: tuple[str, ...], value: object) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, list):
        for place, item in enumerate(value):
            if isinstance(item, str):
                yield (*path, place), item


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
