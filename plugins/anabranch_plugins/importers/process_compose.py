"""process-compose.yaml: processes with dependencies, environments and restart policies."""

from __future__ import annotations

from typing import Any

from anabranch.extending import Imported, NotThisFormat
from anabranch_plugins.importers.names import stream_names
from anabranch_plugins.importers.yaml_text import as_table, read_mapping

_CONDITIONS = {
    "process_completed_successfully": "succeeded",
    "process_completed": "completed",
    "process_started": "started",
}
_TAKEN = frozenset(
    {"command", "depends_on", "environment", "working_dir", "availability", "is_tty", "disabled"}
    | {"description"}
)
_RETRIES_WITHOUT_LIMIT = 3


class ProcessCompose:
    """Each process becomes a stream."""

    name = "process-compose"
    file_names = ("process-compose*.yaml", "process-compose*.yml")

    def convert(self, text: str) -> Imported:
        """Return the plan that the processes stand for."""
        document = read_mapping(text)
        if "processes" not in document:
            raise NotThisFormat("it has no `processes`")
        processes = as_table(document["processes"], "`processes`")
        left = [f"{key}: plans have nothing like it" for key in document if key not in _AT_TOP]
        shared = _environment(document.get("environment"), "environment")
        names = stream_names(processes)
        streams: dict[str, Any] = {}
        for name, value in processes.items():
            entry = as_table(value, f"`{name}`")
            if entry.get("disabled") is True:
                left.append(f"{name}: it is disabled")
                continue
            streams[names[name]] = _stream(name, entry, names, shared, left)
        known = set(streams)
        for stream in streams.values():
            needs = {n: c for n, c in stream.get("depends_on", {}).items() if n in known}
            stream.pop("depends_on", None)
            if needs:
                stream["depends_on"] = needs
        return Imported({"streams": streams}, tuple(left))


_AT_TOP = frozenset({"processes", "environment", "version"})


def _stream(
    name: str,
    entry: dict[str, Any],
    names: dict[str, str],
    shared: dict[str, str],
    left: list[str],
) -> dict[str, Any]:
    command = entry.get("command")
    if not isinstance(command, str) or not command.strip():
        raise NotThisFormat(f"`{name}` has no command")
    stream: dict[str, Any] = {"command": command}
    needs: dict[str, Any] = {}
    for other, value in as_table(entry.get("depends_on"), f"`{name}.depends_on`").items():
        condition = as_table(value, f"`{name}.depends_on.{other}`").get("condition", "")
        if other not in names:
            left.append(f"{name}.depends_on.{other}: there is no such process")
            continue
        if condition not in _CONDITIONS:
            left.append(f"{name}.depends_on.{other}: {condition or 'no condition'}; taken: started")
        needs[names[other]] = {"condition": _CONDITIONS.get(condition, "started")}
    if needs:
        stream["depends_on"] = needs
    env = {**shared, **_environment(entry.get("environment"), f"{name}.environment")}
    if env:
        stream["env"] = env
    if isinstance(entry.get("working_dir"), str):
        stream["working_dir"] = entry["working_dir"]
    if entry.get("is_tty") is True:
        stream["tty"] = True
    stream |= _retries(name, as_table(entry.get("availability"), f"`{name}.availability`"), left)
    left += [f"{name}.{key}: plans have nothing like it" for key in entry if key not in _TAKEN]
    return stream


def _retries(name: str, availability: dict[str, Any], left: list[str]) -> dict[str, Any]:
    restart = availability.get("restart", "no")
    if restart in ("on_failure", "always", "unless_stopped"):
        most = availability.get("max_restarts") or 0
        if restart != "on_failure":
            left.append(f"{name}.availability.restart = {restart}: taken as on_failure")
        return {"retries": most if isinstance(most, int) and most > 0 else _RETRIES_WITHOUT_LIMIT}
    return {"retries": 0}


def _environment(value: object, what: str) -> dict[str, str]:
    """Return variables, whether they are written as a list or as a mapping."""
    if isinstance(value, list):
        pairs = (str(item).partition("=") for item in value)
        return {key: text for key, _, text in pairs if key}
    return {key: str(text) for key, text in as_table(value, f"`{what}`").items()}
