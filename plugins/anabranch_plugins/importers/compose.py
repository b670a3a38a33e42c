"""A subset of compose files: services with a command of their own.

What a container is made of (images, volumes, networks, ports) has no place in a plan: a stream is a
command on this machine. Each key of the file is carried, or named as left out; nothing is guessed.
"""

from __future__ import annotations

from typing import Any

from anabranch.extending import Imported, NotThisFormat
from anabranch_plugins.importers.daemons import (
    MOST_RESTARTS,
    ready_of_container,
    services_among,
    whole,
)
from anabranch_plugins.importers.interpolating import Text, command_of
from anabranch_plugins.importers.names import stream_names
from anabranch_plugins.importers.yaml_text import as_table, is_true, read_mapping

_CONDITIONS = {
    "service_started": "started",
    "service_healthy": "started",
    "service_completed_successfully": "succeeded",
}
_COMPLETED = "service_completed_successfully"
_TAKEN = frozenset(
    {"command", "entrypoint", "depends_on", "environment", "env_file", "working_dir", "restart"}
    | {"tty", "image", "build", "profiles", "extends", "healthcheck"}
)
_AT_TOP = frozenset({"services", "version", "name"})
_RETRIES = 3

Entry = dict[str, Any]


def plan_of(text: str) -> Imported:
    """Return the plan that the services stand for."""
    document = read_mapping(text, as_text=True)
    if "services" not in document:
        raise NotThisFormat("it has no `services`")
    services = as_table(document["services"], "`services`")
    left = [
        f"{key}: plans have nothing like it"
        for key in document
        if key not in _AT_TOP and not key.startswith("x-")
    ]
    entries = {name: as_table(value, f"`{name}`") for name, value in services.items()}
    unfit = {name: why for name, entry in entries.items() if (why := _why_unfit(entry))}
    left += [f"{name}: {why}" for name, why in unfit.items()]
    runnable = [name for name in entries if name not in unfit]
    if not runnable:
        raise NotThisFormat("no service has a command of its own; " + "; ".join(left))
    names = stream_names(runnable)
    daemons = _daemons({name: entries[name] for name in runnable}, left)
    streams = {names[name]: _stream(name, entries[name], names, daemons, left) for name in runnable}
    plan: dict[str, Any] = {"streams": streams}
    if document.get("name"):
        plan["name"] = str(document["name"])
    return Imported(plan, tuple(left))


def _daemons(entries: Entry, left: list[str]) -> dict[str, Entry]:
    """Return those that are not expected to end, each with when it is ready."""
    needs = {name: _needed(name, entry) for name, entry in entries.items()}
    ends = {
        other: name
        for name, needed in needs.items()
        for other, given in needed.items()
        if as_table(given, f"`{name}.depends_on.{other}`").get("condition") == _COMPLETED
    }
    ready = {n: ready_of_container(n, e.get("healthcheck"), left) for n, e in entries.items()}
    probes = {name: found for name, found in ready.items() if found}
    return {name: probes[name] for name in services_among(entries, probes, needs, ends, left)}


def _why_unfit(entry: Entry) -> str:
    """Return why a service is not a command for this machine; empty if it may be one."""
    if entry.get("extends"):
        return "it extends another service; write out what it has from there"
    if entry.get("profiles"):
        return f"it is started for its profiles only ({', '.join(map(str, entry['profiles']))})"
    words = _words(entry.get("entrypoint")) + _words(entry.get("command"))
    if not words:
        return "it has no command of its own; what its image runs is not known"
    if not entry.get("entrypoint") and words[0].startswith("-"):
        return f"its command ({words[0]} …) is options for the program of its image"
    return ""


def _words(value: object) -> list[str]:
    """Return the words of a command, roughly: enough to know the first, if there are any."""
    if isinstance(value, list):
        return [str(word) for word in value]
    return str(value).split() if value else []


def _stream(
    name: str, entry: Entry, names: dict[str, str], daemons: dict[str, Entry], left: list[str]
) -> Entry:
    stream: Entry = {"command": _command(name, entry, left)}
    if name in daemons:
        stream |= {"kind": "service", "ready": daemons[name]}
    if needs := _needs(name, entry, names, daemons, left):
        stream["depends_on"] = needs
    if env := _environment(name, entry.get("environment"), left):
        stream["env"] = env
    if files := _env_files(name, entry.get("env_file"), left):
        stream["env_file"] = files
        left.append(f"{name}.env_file: what `$NAME` in it stands for; here values are as written")
    if entry.get("working_dir"):
        left.append(f"{name}.working_dir: a folder of the container ({entry['working_dir']})")
    if is_true(entry.get("tty")):
        stream["tty"] = True
    if name in daemons:
        stream |= _restart(name, entry.get("restart"), left)
    else:
        stream["retries"] = _retries(name, entry.get("restart"), left)
    for key in ("image", "build"):
        if entry.get(key):
            what = entry[key] if isinstance(entry[key], str) else "an image"
            left.append(f"{name}.{key}: {what}; what the command needs must be on this machine")
    left += [
        f"{name}.{key}: plans have nothing like it"
        for key in entry
        if key not in _TAKEN and not key.startswith("x-")
    ]
    return stream


def _command(name: str, entry: Entry, left: list[str]) -> str | list[str]:
    given = [entry[key] for key in ("entrypoint", "command") if entry.get(key)]
    for part in given:
        if not isinstance(part, str | list) or (
            isinstance(part, list) and not all(isinstance(word, str) for word in part)
        ):
            raise NotThisFormat(f"the command of `{name}` is neither text nor a list of words")
    command, wanted = command_of(given)
    left += [
        f"{name}.command: {variable} is taken from the environment when the stream runs, "
        "not from where the file is read"
        for variable in dict.fromkeys(wanted)
    ]
    return command


def _needed(name: str, entry: Entry) -> Entry:
    """Return whom a service waits for, with what is said of it."""
    value = entry.get("depends_on")
    if isinstance(value, list):
        value = {str(other): {"condition": "service_started"} for other in value}
    return as_table(value, f"`{name}.depends_on`")


def _needs(
    name: str, entry: Entry, names: dict[str, str], daemons: dict[str, Entry], left: list[str]
) -> Entry:
    needs: Entry = {}
    for other, given in _needed(name, entry).items():
        place = f"{name}.depends_on.{other}"
        table = as_table(given, f"`{place}`")
        condition = str(table.get("condition", "service_started"))
        left += [f"{place}.{key}: not in a plan" for key in table if key != "condition"]
        if other not in names:
            left.append(f"{place}: it is not among the streams")
            continue
        found = _CONDITIONS.get(condition, "started")
        if condition == "service_healthy" and other in daemons:
            found = "ready"
        elif condition == "service_healthy":
            left.append(f"{place}: healthy is taken as started")
        elif condition not in _CONDITIONS:
            left.append(f"{place}: {condition} is not known; taken as started")
        needs[names[other]] = {"condition": found}
    return needs


def _environment(name: str, value: object, left: list[str]) -> dict[str, str]:
    """Return the variables; one without a value is passed on, as every stream gets it anyway."""
    if isinstance(value, list):
        pairs = [str(item).partition("=") for item in value]
        given: Entry = {key: text for key, equals, text in pairs if equals}
    else:
        given = as_table(value, f"`{name}.environment`")
    env: dict[str, str] = {}
    for key, written in given.items():
        if written is None:
            continue
        text = Text(str(written))
        if not text.names:
            env[key] = text.literal
        elif not (text.is_one_name and text.names == [f"${{{key}}}"]):
            left.append(
                f"{name}.environment.{key}: {written}; nothing expands {', '.join(text.names)} in a"
                " plan's `env`, set it where the run is started or in an `env_file`"
            )
    return env


def _env_files(name: str, value: object, left: list[str]) -> list[str]:
    files: list[str] = []
    for item in value if isinstance(value, list) else [value] if value else []:
        table = item if isinstance(item, dict) else {"path": item}
        path = str(table.get("path") or "")
        place = f"{name}.env_file.{path}"
        left += [f"{place}: {key} is not in a plan" for key in table if key != "path"]
        if table.get("required") is not None and not is_true(table["required"]):
            left.append(f"{place}: it may be missing there, and must not be here; left out")
        elif not path or path.startswith("/") or ".." in path.split("/") or "$" in path:
            left.append(f"{place}: only a file of the project can be named")
        else:
            files.append(path.removeprefix("./"))
    return files


def _restart(name: str, value: object, left: list[str]) -> Entry:
    """Return when a daemon is started again, and how often at most."""
    kind, _, most = str(value or "no").partition(":")
    if kind in ("always", "unless-stopped"):
        return {"restart": "always", "retries": MOST_RESTARTS}
    if kind == "on-failure":
        return {"retries": whole(most, MOST_RESTARTS)}
    if kind != "no":
        left.append(f"{name}.restart: {kind} is not known")
    return {"restart": "never"}


def _retries(name: str, value: object, left: list[str]) -> int:
    kind, _, most = str(value or "no").partition(":")
    if kind == "on-failure":
        return int(most) if most.isdecimal() and len(most) < 4 else _RETRIES
    if kind in ("always", "unless-stopped"):
        left.append(f"{name}.restart: {kind} is taken as on-failure, {_RETRIES} times")
        return _RETRIES
    if kind != "no":
        left.append(f"{name}.restart: {kind} is not known")
    return 0
