"""What of the quick reference's template goes into a plan.

Its words are the plan's own, so the plan's model says what is carried: a key that it has goes over
as it stands, any other is named as left out.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, get_args

from pydantic import BaseModel

from anabranch.config.model import (
    Coordination,
    CoordinationHeartbeat,
    Isolation,
    Recovery,
    StateManagement,
)
from anabranch.config.stream_tables import StreamTable
from anabranch.config.values import Condition, Protocol
from anabranch.extending import Imported, NotThisFormat
from anabranch_plugins.importers.names import stream_names
from anabranch_plugins.importers.yaml_text import as_table, read_mapping

_TABLES: dict[str, type[BaseModel]] = {
    "isolation": Isolation,
    "state_management": StateManagement,
    "recovery": Recovery,
    "heartbeat": CoordinationHeartbeat,
}
_PROTOCOLS = get_args(Protocol)
_CONDITIONS = get_args(Condition)
_AT_TOP = ("coordination", "streams", "name", "version", "convergence")
_NAMING = ("id", "name")
_EXAMPLE = "echo replace me"

Entry = dict[str, Any]


def plan_of(text: str) -> Imported:
    """Return the plan that a quick reference stands for. Raises NotThisFormat."""
    document = read_mapping(text)
    if "coordination" not in document:
        raise NotThisFormat("it has no `coordination`")
    left: list[str] = []
    plan: Entry = {
        "coordination": _coordination(as_table(document["coordination"], "`coordination`"), left),
        "streams": _streams(document.get("streams"), left),
    }
    if document.get("convergence"):
        plan["convergence"] = as_table(document["convergence"], "`convergence`")
    if document.get("name") is not None:
        plan["name"] = str(document["name"])
    left += [f"{key}: plans have nothing like it" for key in document if key not in _AT_TOP]
    return Imported(plan, tuple(left))


def _coordination(table: Entry, left: list[str]) -> Entry:
    made: Entry = {}
    for key, value in _known(table, Coordination.model_fields, "coordination", left).items():
        if key == "protocols":
            made[key] = _protocols(value, left)
        elif key in _TABLES:
            place = f"coordination.{key}"
            inner = as_table(value, f"`{place}`")
            made[key] = _known(inner, _TABLES[key].model_fields, place, left)
        elif value is not None:
            made[key] = value
    return made


def _known(table: Entry, fields: Collection[str], place: str, left: list[str]) -> Entry:
    """Return what a plan has a key for; the rest is named as left out."""
    left += [f"{place}.{key}: plans have nothing like it" for key in table if key not in fields]
    return {key: value for key, value in table.items() if key in fields and value is not None}


def _protocols(value: object, left: list[str]) -> list[str]:
    named = [str(item) for item in value] if isinstance(value, list) else []
    if value is not None and not isinstance(value, list):
        left.append("coordination.protocols: it is not a list")
    left += [
        f"coordination.protocols: {name}: it is always on, or unknown"
        for name in named
        if name not in _PROTOCOLS
    ]
    return [name for name in named if name in _PROTOCOLS]


def _streams(value: object, left: list[str]) -> Entry:
    """Return the streams, written as a mapping or as a list of entries with an id or a name."""
    entries: dict[str, Entry] = {}
    if isinstance(value, list):
        for number, item in enumerate(value, start=1):
            entry = as_table(item, f"`streams` {number}") if isinstance(item, dict) else {}
            name = str(entry.get("id") or entry.get("name") or item)
            if name in entries:
                raise NotThisFormat(f"`streams` {number}: {name} is there twice")
            entries[name] = entry
    else:
        for name, entry in as_table(value, "`streams`").items():
            is_command = isinstance(entry, str | list)
            entries[name] = {"command": entry} if is_command else as_table(entry, f"`{name}`")
    if not entries:
        left.append("streams: it names none; one is written as an example")
        return {"example": _EXAMPLE}
    names = stream_names(entries)
    return {names[name]: _stream(name, entry, names, left) for name, entry in entries.items()}


def _stream(name: str, entry: Entry, names: dict[str, str], left: list[str]) -> Entry:
    place = f"streams.{name}"
    given = {key: value for key, value in entry.items() if key not in _NAMING}
    stream = _known(given, StreamTable.model_fields, place, left)
    if not stream.get("command"):
        left.append(f"{place}: it has no command; one is written as an example")
        stream["command"] = _EXAMPLE
    needs: Entry = {}
    for key in ("depends_on", "dependencies"):
        needs |= _needs(f"{place}.{key}", stream.pop(key, None), names, left)
    if needs:
        stream["depends_on"] = needs if any(needs.values()) else list(needs)
    return stream


def _needs(place: str, value: object, names: dict[str, str], left: list[str]) -> Entry:
    """Return what a stream depends on, each with the table that says how; one name is a list."""
    if isinstance(value, str | list):
        items = [value] if isinstance(value, str) else value
        left += [
            f"{place}: {item} is not a name" for item in items if isinstance(item, dict | list)
        ]
        value = {item: None for item in items if not isinstance(item, dict | list)}
    table = as_table(value, f"`{place}`")
    found: Entry = {}
    for other, how in table.items():
        if other not in names:
            left.append(f"{place}: there is no stream {other}")
            continue
        inner = as_table(how, f"`{place}.{other}`")
        found[names[other]] = {}
        if inner.get("condition") in _CONDITIONS:
            found[names[other]] = {"condition": inner["condition"]}
        left += [
            f"{place}.{other}.{key}: {entry}; plans have nothing like it"
            for key, entry in inner.items()
            if key != "condition" or entry not in _CONDITIONS
        ]
    return found
