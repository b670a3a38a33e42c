"""Checks of services: what cannot go with a stream that is not expected to end.

Like those of references these read the document as it was parsed, so that each mistake is told at
its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anabranch.config.problems import KeyPath, Problem, printable

_NOT_WITH_SERVICES = {
    "each": "handlers come to an end, and a service does not",
    "race": "nothing that a service brings is merged, so none is adopted",
    "review": "nothing that a service brings is merged, so there is nothing to look at",
    "converge": "nothing that a service brings is merged, so it meets nobody",
    "sync": "a service is not brought others' work while it runs",
    "repeatable": "there is one of a service; a second copy would never be done",
    "capabilities": "whoever needs a service names it",
}
_OF_SERVICES = ("ready", "restart")
_CONDITIONS = ("ready", "started")


def service_problems(document: dict[str, Any]) -> list[Problem]:
    """Return everything that is wrong with the services in ``document``."""
    streams = _table(document.get("streams"))
    services = {name for name, entry in streams.items() if _table(entry).get("kind") == "service"}
    return [
        *_without_jobs(streams, services),
        *_misplaced_keys(streams, services),
        *_unknown_ports(streams, services),
        *_waits(streams, services),
        *_at_points(_table(document.get("convergence")), services),
    ]


def _without_jobs(streams: dict[str, object], services: set[str]) -> Iterator[Problem]:
    if services and len(services) == len(streams):
        yield Problem(
            ("streams", next(iter(streams)), "kind"),
            "every stream is a service: the run would be over at once",
            "a run ends with its jobs; add one, or `anabranch run -- COMMAND` for a single command",
        )


def _misplaced_keys(streams: dict[str, object], services: set[str]) -> Iterator[Problem]:
    for name, entry in streams.items():
        table = _table(entry)
        if name in services:
            for key, why in _NOT_WITH_SERVICES.items():
                if key in table and table[key] not in (False, []):
                    yield Problem(("streams", name, key), why, f"take `{key}` away, or `kind`")
        else:
            for key in _OF_SERVICES:
                if key in table:
                    yield Problem(
                        ("streams", name, key),
                        f"`{key}` is of services, and this is a job",
                        'add `kind = "service"`, or take it away',
                    )


def _unknown_ports(streams: dict[str, object], services: set[str]) -> Iterator[Problem]:
    for name in streams:
        table = _table(streams[name])
        port, ports = _table(table.get("ready")).get("port"), table.get("ports", [])
        is_known = not isinstance(port, str) or not isinstance(ports, list) or port in ports
        if name in services and not is_known:
            shown = printable(str(port))
            yield Problem(
                ("streams", name, "ready", "port"),
                f"it has no port `{shown}`",
                f'add `ports = ["{shown}"]`',
            )


def _waits(streams: dict[str, object], services: set[str]) -> Iterator[Problem]:
    """Yield whoever waits for the end of a service, or for a job to be ready."""
    for name, entry in streams.items():
        for path, other, condition in _needs(name, _table(entry)):
            if other in services and condition not in _CONDITIONS:
                shown = printable(other)
                yield Problem(
                    path,
                    f"`{shown}` is a service, and is not expected to end",
                    f'wait for it: `depends_on = {{ {shown} = {{ condition = "ready" }} }}`',
                )
            elif condition == "ready" and other not in services and (other in streams or not other):
                yield Problem(
                    path,
                    "only services are ready; a job has `started`, or `succeeded`",
                    'choose another condition, or make the other stream `kind = "service"`',
                )


def _needs(name: str, table: dict[str, object]) -> Iterator[tuple[KeyPath, str, object]]:
    for key in ("depends_on", "dependencies"):
        path: KeyPath = ("streams", name, key)
        needs = table.get(key)
        if isinstance(needs, dict):
            for other, entry in needs.items():
                condition = _table(entry).get("condition", "succeeded")
                is_named = "capability" not in _table(entry)
                yield (*path, other), other if is_named else "", condition
        elif isinstance(needs, list):
            for place, item in enumerate(needs):
                if isinstance(item, str):
                    yield (*path, place), item, "succeeded"
                else:
                    yield (*path, place), "", _table(item).get("condition", "succeeded")


def _at_points(points: dict[str, object], services: set[str]) -> Iterator[Problem]:
    for point, entry in points.items():
        members = _table(entry).get("streams")
        for place, name in enumerate(members if isinstance(members, list) else []):
            if name in services:
                yield Problem(
                    ("convergence", point, "streams", place),
                    f"`{printable(str(name))}` is a service: nothing that it brings is merged",
                    "leave it out",
                )


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
