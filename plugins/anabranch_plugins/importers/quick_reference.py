"""The quick reference's YAML template: how streams are coordinated, and which streams there are."""

from __future__ import annotations

from typing import Any

from anabranch.extending import Imported, NotThisFormat
from anabranch_plugins.importers.names import stream_names
from anabranch_plugins.importers.yaml_text import as_table, read_mapping

_KEYS = {
    "convergence_type": None,
    "checkpoint_interval": None,
    "max_parallel": None,
    "balancer": None,
    "protocols": None,
    "isolation": ("workspace", "file_access", "confinement", "include_uncommitted"),
    "state_management": ("type", "sync_interval"),
    "recovery": ("max_retries", "timeout", "fallback", "soft_grace"),
    "heartbeat": ("interval", "timeout"),
}
_PROTOCOLS = ("registration", "heartbeat", "negotiation")
_EXAMPLE = "echo replace me"


class QuickReference:
    """``coordination:`` as it is, and ``streams:`` if there are any."""

    name = "quick-reference"
    file_names = ("*.yaml", "*.yml")

    def convert(self, text: str) -> Imported:
        """Return the plan that the template stands for."""
        document = read_mapping(text)
        if "coordination" not in document:
            raise NotThisFormat("it has no `coordination`")
        left: list[str] = []
        plan: dict[str, Any] = {
            "coordination": _coordination(
                as_table(document["coordination"], "`coordination`"), left
            ),
            "streams": _streams(document.get("streams"), left),
        }
        if isinstance(document.get("name"), str):
            plan["name"] = document["name"]
        known = ("coordination", "streams", "name", "version")
        left += [f"{key}: plans have nothing like it" for key in document if key not in known]
        return Imported(plan, tuple(left))


def _coordination(table: dict[str, Any], left: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _KEYS:
            left.append(f"coordination.{key}: plans have nothing like it")
            continue
        inner = _KEYS[key]
        if inner is None:
            made[key] = _protocols(value, left) if key == "protocols" else value
            continue
        entries = as_table(value, f"`coordination.{key}`")
        made[key] = {name: entry for name, entry in entries.items() if name in inner}
        left += [
            f"coordination.{key}.{name}: plans have nothing like it"
            for name in entries
            if name not in inner
        ]
    return made


def _protocols(value: object, left: list[str]) -> list[str]:
    named = [str(item) for item in value] if isinstance(value, list) else []
    left += [
        f"coordination.protocols: {name}: it is always on, or unknown"
        for name in named
        if name not in _PROTOCOLS
    ]
    return [name for name in named if name in _PROTOCOLS]


def _streams(value: object, left: list[str]) -> dict[str, Any]:
    """Return the streams, written as a mapping or as a list of entries with an id or a name."""
    if isinstance(value, list):
        entries = {}
        for number, item in enumerate(value, start=1):
            entry = as_table(item, f"`streams` {number}") if isinstance(item, dict) else {}
            entries[str(entry.get("id") or entry.get("name") or item)] = entry
    else:
        entries = {
            name: {"command": entry} if isinstance(entry, str) else as_table(entry, f"`{name}`")
            for name, entry in as_table(value, "`streams`").items()
        }
    if not entries:
        left.append("streams: it names none; one is written as an example")
        return {"example": _EXAMPLE}
    names = stream_names(entries)
    return {names[name]: _stream(name, entry, names, left) for name, entry in entries.items()}


def _stream(
    name: str, entry: dict[str, Any], names: dict[str, str], left: list[str]
) -> dict[str, Any]:
    command = entry.get("command")
    if not command:
        left.append(f"streams.{name}: it has no command; one is written as an example")
    stream: dict[str, Any] = {"command": command or _EXAMPLE}
    needs = entry.get("depends_on") or entry.get("dependencies") or []
    wanted = [str(other) for other in needs] if isinstance(needs, list | dict) else [str(needs)]
    found = [names[other] for other in wanted if other in names]
    left += [f"streams.{name}.depends_on: there is no stream {o}" for o in wanted if o not in names]
    if found:
        stream["depends_on"] = found
    capabilities = entry.get("capabilities")
    if isinstance(capabilities, list):
        stream["capabilities"] = [str(item) for item in capabilities]
    taken = ("id", "name", "command", "depends_on", "dependencies", "capabilities")
    left += [
        f"streams.{name}.{key}: plans have nothing like it" for key in entry if key not in taken
    ]
    return stream
