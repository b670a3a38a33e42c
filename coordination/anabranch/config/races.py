"""Races: a stream with ``race = N`` is N streams, and a point at which one of them is adopted.

The attempts are called ``NAME.1`` to ``NAME.N``; the point has the race's own name, and
``[convergence.NAME]`` says what else it does. Others depend on the race by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from anabranch.config.problems import KeyPath, PlanWarning, Problem, printable
from anabranch.config.references import works_in
from anabranch.config.strategy_names import StrategyNames
from anabranch.core.ids import FINAL_POINT, PointId, StreamId, id_fault
from anabranch.core.plans.plan import Dependency, Plan, PointPlan, StreamPlan

if TYPE_CHECKING:
    from anabranch.config.model import PlanFile

RACE = "race"
"""The convergence type of a race's point when nobody names another."""

_MAY_WAIT_FOR = ("succeeded", "converged", "started")


def racers(name: str, count: int) -> tuple[StreamId, ...]:
    """Return the names of the attempts of a race."""
    return tuple(StreamId(f"{name}.{number}") for number in range(1, count + 1))


def races_of(file: PlanFile) -> dict[str, tuple[StreamId, ...]]:
    """Return the races of a plan: their names, with those of their attempts."""
    tables = ((name, entry) for name, entry in file.streams.items() if not isinstance(entry, str))
    return {name: racers(name, table.race) for name, table in tables if table.race}


def on_a_race(dependency: Dependency, races: Mapping[str, tuple[StreamId, ...]]) -> Dependency:
    """Return a dependency on a race as one on whoever is adopted there; any other as it is."""
    found = races.get(dependency.stream)
    if found is None:
        return dependency
    is_start = dependency.condition == "started"
    condition = dependency.condition if is_start else "converged"
    return Dependency(condition=condition, providers=found, point=PointId(dependency.stream))


def with_adoption(
    streams: Sequence[StreamPlan], points: Sequence[PointPlan], known: StrategyNames
) -> tuple[tuple[StreamPlan, ...], tuple[PointPlan, ...]]:
    """Return a plan's parts with what adoption means for them.

    The failure of one of several does not fail the run; that nobody is adopted does, unless all of
    them are optional.
    """
    adopting = {p.id for p in points if known.able(p.type).adopts_one}
    if not adopting:
        return tuple(streams), tuple(points)
    optional = {s.id for s in streams if s.optional}
    of_adoption = {s for p in points if p.id in adopting for s in p.streams}
    return (
        tuple(replace(s, optional=True) if s.id in of_adoption else s for s in streams),
        tuple(
            replace(p, adopts_one=True, is_optional=optional.issuperset(p.streams))
            if p.id in adopting
            else p
            for p in points
        ),
    )


# --- what is wrong with them ----------------------------------------------------------------------


def with_race_points(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document in which the point of each race stands, whether it was written or not."""
    names = [name for name, _ in _races(document) if name != FINAL_POINT]
    points = document.get("convergence", {})
    if not names or not isinstance(points, dict):
        return document
    own = {name: points.get(name, {}) for name in names}
    typed = {
        name: {"type": RACE, **table} for name, table in own.items() if isinstance(table, dict)
    }
    return {**document, "convergence": {**points, **typed}}


def race_problems(document: dict[str, Any], known: StrategyNames) -> list[Problem]:
    """Return what is wrong with the races of a document, their names and who depends on them.

    The points of the races stand in it already.
    """
    races = dict(_races(document))
    points = _tables(document.get("convergence"))
    adopting = _adopting(document, points, known)
    return [
        *(problem for name, count in races.items() for problem in _of_names(document, name, count)),
        *(p for name in races if name in points for p in _of_point(points[name], name, known)),
        *_shared(document, races),
        *_joiners(document, races),
        *_dependencies_on(document, races, adopting),
    ]


def _races(document: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, table in _tables(document.get("streams")).items():
        count = table.get("race")
        if isinstance(count, int) and not isinstance(count, bool) and 2 <= count <= 100:
            yield name, count


def _of_names(document: dict[str, Any], name: str, count: int) -> Iterator[Problem]:
    path: KeyPath = ("streams", name)
    if name.casefold() == FINAL_POINT:
        hint = "a race has a convergence point of its own name; choose another one"
        yield Problem(path, f"`{printable(name)}` is the run's last convergence point", hint)
    last = racers(name, count)[-1]
    if not id_fault(name) and (reason := id_fault(last)):
        yield Problem(path, f"its attempts would have bad names, as `{printable(last)}`", reason)
    others = {other.casefold() for other in document["streams"] if other != name}
    for attempt in racers(name, count):
        if attempt.casefold() in others:
            text = f"`{attempt}` is an attempt of the race `{printable(name)}`"
            yield Problem(("streams", attempt), text, "call this stream, or the race, otherwise")


def _of_point(table: Mapping[str, Any], name: str, known: StrategyNames) -> Iterator[Problem]:
    path: KeyPath = ("convergence", name)
    if "streams" in table:
        hint = "leave `streams` out here; whoever needs the result depends on the race"
        yield Problem((*path, "streams"), "only the attempts of a race meet at its point", hint)
    kind = table.get("type")
    if not isinstance(kind, str) or kind == RACE or kind not in known.names["convergence"]:
        return
    if not known.able(kind).adopts_one:
        text = f"`{printable(kind)}` merges all that meet, and a race adopts one"
        yield Problem((*path, "type"), text, 'leave it out, or write `type = "race"`')


def _shared(document: dict[str, Any], races: Iterable[str]) -> Iterator[Problem]:
    for name in races:
        if works_in(document, document["streams"][name]) == "shared":
            text = 'with `workspace = "shared"` its attempts would write over each other'
            hint = "isolate the streams, or take `race` away"
            yield Problem(("streams", name, "race"), text, hint)


def _joiners(document: dict[str, Any], races: Mapping[str, int]) -> Iterator[Problem]:
    for name, table in _tables(document["streams"]).items() if races else ():
        point = table.get("converge")
        if isinstance(point, str) and point in races:
            text = "only the attempts of a race meet at its point"
            hint = f'write `depends_on = ["{printable(point)}"]` to go on with what is adopted'
            yield Problem(("streams", name, "converge"), text, hint)


def _adopting(
    document: dict[str, Any], points: Mapping[str, Mapping[str, Any]], known: StrategyNames
) -> dict[str, str]:
    """Return for each stream that may be left out because another is adopted, where that is."""
    default = _tables(document).get("coordination", {}).get("convergence_type", "barrier")
    found: dict[str, str] = {}
    for name, table in points.items():
        kind = table.get("type", default)
        if isinstance(kind, str) and (kind == RACE or known.able(kind).adopts_one):
            members = table.get("streams", [])
            found |= {s: name for s in members if isinstance(s, str)} if members else {}
            found |= {
                stream: name
                for stream, one in _tables(document.get("streams")).items()
                if one.get("converge") == name
            }
    return found


def _dependencies_on(
    document: dict[str, Any], races: Mapping[str, int], adopting: Mapping[str, str]
) -> Iterator[Problem]:
    for name, table in _tables(document.get("streams")).items():
        for path, other, condition in _conditions(name, table):
            if other in races and condition not in _MAY_WAIT_FOR:
                text = f"`{printable(other)}` is a race: it is over when one is adopted"
                yield Problem(path, text, f"use {', '.join(_MAY_WAIT_FOR)}")
            elif other in adopting and adopting.get(name) == adopting[other]:
                text = f"of `{printable(name)}` and `{printable(other)}` only one is adopted"
                yield Problem(path, text, "let neither depend on the other")
            elif other in adopting and condition not in ("converged", "started"):
                text = f"another than `{printable(other)}` may be adopted at `{adopting[other]}`"
                yield Problem(path, text, 'wait for that: { condition = "converged" }')


def _conditions(name: str, table: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str, str]]:
    for key in ("depends_on", "dependencies"):
        needs = table.get(key)
        path: KeyPath = ("streams", name, key)
        if isinstance(needs, dict):
            for other, entry in _tables(needs).items():
                if "capability" not in entry:
                    yield (*path, other), other, str(entry.get("condition", "succeeded"))
        elif isinstance(needs, list):
            names = ((at, other) for at, other in enumerate(needs) if isinstance(other, str))
            yield from (((*path, at), other, "succeeded") for at, other in names)


def at_the_race(warnings: Iterable[PlanWarning], plan: Plan) -> list[PlanWarning]:
    """Return warnings of a plan with those of a race's attempts where the race stands, once."""
    races = {
        stream: str(point.id)
        for point in plan.points
        if point.adopts_one
        for stream in point.streams
        if stream.rpartition(".")[0] == point.id
    }
    found: dict[object, PlanWarning] = {}
    for warning in warnings:
        path = warning.path
        race = races.get(StreamId(warning.stream or ""))
        if race is None or path[:1] != ("streams",):
            found[warning] = warning
            continue
        at = ("streams", race, *path[2:])
        found.setdefault((warning.code, at), replace(warning, path=at))
    return list(found.values())


def _tables(value: object) -> dict[str, dict[str, Any]]:
    found = value.items() if isinstance(value, dict) else ()
    return {name: table for name, table in found if isinstance(table, dict)}
