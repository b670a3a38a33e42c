"""A subset of compose files: services with a command of their own.

What a container is made of (images, volumes, networks, ports) has no place in a plan: a stream is a
command on this machine. It is named as left out, never guessed.
"""

from __future__ import annotations

from typing import Any

from anabranch.extending import Imported, NotThisFormat
from anabranch_plugins.importers.names import stream_names
from anabranch_plugins.importers.yaml_text import as_table, read_mapping

_CONDITIONS = {
    "service_started": "started",
    "service_healthy": "started",
    "service_completed_successfully": "succeeded",
}
_TAKEN = frozenset({"command", "depends_on", "environment", "working_dir", "restart", "tty"})
_RETRIES = 3


class Compose:
    """Each service with a command becomes a stream."""

    name = "compose"
    file_names = ("compose*.yaml", "compose*.yml", "docker-compose*.yaml", "docker-compose*.yml")

    def convert(self, text: str) -> Imported:
        """Return the plan that the services stand for."""
        document = read_mapping(text)
        if "services" not in document:
            raise NotThisFormat("it has no `services`")
        services = as_table(document["services"], "`services`")
        left = [
            f"{key}: plans have nothing like it"
            for key in document
            if key not in ("services", "version", "name")
        ]
        entries = {name: as_table(value, f"`{name}`") for name, value in services.items()}
        runnable = [name for name, entry in entries.items() if entry.get("command")]
        left += [
            f"{name}: it has no command of its own; what its image runs is not known"
            for name in entries
            if name not in runnable
        ]
        if not runnable:
            raise NotThisFormat("no service has a command of its own")
        names = stream_names(runnable)
        streams = {names[name]: _stream(name, entries[name], names, left) for name in runnable}
        return Imported({"streams": streams}, tuple(left))


def _stream(
    name: str, entry: dict[str, Any], names: dict[str, str], left: list[str]
) -> dict[str, Any]:
    command = entry["command"]
    words = [str(word) for word in command] if isinstance(command, list) else None
    stream: dict[str, Any] = {"command": words or str(command)}
    needs: dict[str, Any] = {}
    for other, condition in _dependencies(name, entry.get("depends_on")):
        if other not in names:
            left.append(f"{name}.depends_on.{other}: it is not among the streams")
            continue
        if condition == "service_healthy":
            left.append(f"{name}.depends_on.{other}: healthy is taken as started")
        needs[names[other]] = {"condition": _CONDITIONS.get(condition, "started")}
    if needs:
        stream["depends_on"] = needs
    env = _environment(name, entry.get("environment"))
    if env:
        stream["env"] = env
    if isinstance(entry.get("working_dir"), str):
        left.append(f"{name}.working_dir: a folder of the container ({entry['working_dir']})")
    if entry.get("tty") is True:
        stream["tty"] = True
    restart = str(entry.get("restart", "no"))
    stream["retries"] = _RETRIES if restart.startswith(("on-failure", "always", "unless")) else 0
    left += [f"{name}.{key}: plans have nothing like it" for key in entry if key not in _TAKEN]
    return stream


def _dependencies(name: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, list):
        return [(str(other), "service_started") for other in value]
    table = as_table(value, f"`{name}.depends_on`")
    return [
        (other, str(as_table(entry, f"`{name}.depends_on.{other}`").get("condition", "")))
        for other, entry in table.items()
    ]


def _environment(name: str, value: object) -> dict[str, str]:
    if isinstance(value, list):
        pairs = (str(item).partition("=") for item in value)
        return {key: text for key, equals, text in pairs if equals}
    table = as_table(value, f"`{name}.environment`")
    return {key: str(text) for key, text in table.items() if text is not None}
