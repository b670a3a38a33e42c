"""process-compose.yaml: processes with dependencies, environments and restart policies.

The file's ``$NAME`` is expanded as it is read there, and ``$$`` is a dollar. A command goes through
a shell, here as there, and the shell expands it; nothing expands anything else in a plan.
"""

from __future__ import annotations

import re
from typing import Any

from anabranch.extending import Imported, NotThisFormat
from anabranch_plugins.importers.daemons import (
    MOST_RESTARTS,
    ready_of_process,
    services_among,
    whole,
)
from anabranch_plugins.importers.interpolating import Text, command_of
from anabranch_plugins.importers.names import stream_names
from anabranch_plugins.importers.yaml_text import as_table, is_true, read_mapping

_CONDITIONS = {
    "process_completed_successfully": "succeeded",
    "process_completed": "completed",
    "process_started": "started",
}
_ENDS = ("process_completed_successfully", "process_completed")
_OF_DAEMONS = ("process_healthy", "process_log_ready")
_TAKEN = frozenset(
    {"command", "depends_on", "environment", "working_dir", "availability", "is_tty", "disabled"}
    | {"description", "entrypoint", "readiness_probe", "liveness_probe", "ready_log_line"}
)
_AT_TOP = frozenset({"processes", "environment", "version", "name"})
_RETRIES_WITHOUT_LIMIT = 3
OF_BASH = re.compile(r"\[\[|<\(|<<<|&>|\bsource\b|\bpipefail\b|\$'|=\(|\{\d+\.\.|\bdeclare\b|\$\{!")

Entry = dict[str, Any]


def plan_of(text: str) -> Imported:
    """Return the plan that the processes stand for."""
    document = read_mapping(text, as_text=True)
    if "processes" not in document:
        raise NotThisFormat("it has no `processes`")
    entries = {
        name: as_table(value, f"`{name}`")
        for name, value in as_table(document["processes"], "`processes`").items()
    }
    left = [f"{key}: plans have nothing like it" for key in document if key not in _AT_TOP]
    unfit = {name: why for name, entry in entries.items() if (why := _why_unfit(name, entry))}
    left += [f"{name}: {why}" for name, why in unfit.items()]
    runnable = [name for name in entries if name not in unfit]
    if not runnable:
        raise NotThisFormat("it has no process that could be a stream; " + "; ".join(left))
    shared = _environment("environment", document.get("environment"), left)
    names = stream_names(runnable)
    daemons = _daemons({name: entries[name] for name in runnable}, left)
    streams = {
        names[name]: _stream(name, entries[name], names, shared, daemons, left) for name in runnable
    }
    plan: Entry = {"streams": streams}
    if document.get("name"):
        plan["name"] = str(document["name"])
    return Imported(plan, tuple(left))


def _daemons(entries: dict[str, Entry], left: list[str]) -> dict[str, Entry]:
    """Return the processes that are services, each with when it is ready."""
    needs = {
        name: as_table(entry.get("depends_on"), f"`{name}.depends_on`")
        for name, entry in entries.items()
    }
    ends = {
        other: name
        for name, needed in needs.items()
        for other, value in needed.items()
        if as_table(value, f"`{name}.depends_on.{other}`").get("condition") in _ENDS
    }
    ready = {name: ready_of_process(name, entry, left) for name, entry in entries.items()}
    probes = {name: found for name, found in ready.items() if found}
    return {name: probes[name] for name in services_among(entries, probes, needs, ends, left)}


def _why_unfit(name: str, entry: Entry) -> str:
    """Return why a process is left out; empty if it is not."""
    if is_true(entry.get("disabled")):
        return "it is disabled"
    command = entry.get("command") or ""
    if not isinstance(command, str):
        raise NotThisFormat(f"the command of `{name}` is not text")
    words = _entry_point(name, entry)
    if not command.strip() and not words:
        return "it has no command"
    if any("{{" in text for text in (command, *words)):
        return "its command is a template ({{…}}); write out what it stands for"
    return ""


def _entry_point(name: str, entry: Entry) -> list[str]:
    """Return the words that are run as they are where there is no command."""
    words = entry.get("entrypoint") or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise NotThisFormat(f"the entrypoint of `{name}` is not a list of words")
    return words


def _command(name: str, entry: Entry, left: list[str]) -> str | list[str]:
    """Return the command; an entry point counts only where there is none, there as here."""
    if str(entry.get("command") or "").strip():
        command = str(entry["command"]).replace("$$", "$")
        if found := OF_BASH.search(command):
            left.append(f"{name}.command: `{found[0]}` is for bash, and a plan's commands go to sh")
        return command
    run, wanted = command_of([_entry_point(name, entry)])
    left += [
        f"{name}.entrypoint: {variable} is taken from the environment when the stream runs, "
        "not from where the file is read"
        for variable in dict.fromkeys(wanted)
    ]
    return run


def _stream(
    name: str,
    entry: Entry,
    names: dict[str, str],
    shared: dict[str, str],
    daemons: dict[str, Entry],
    left: list[str],
) -> Entry:
    stream: Entry = {"command": _command(name, entry, left)}
    if name in daemons:
        stream |= {"kind": "service", "ready": daemons[name]}
    if needs := _needs(name, entry, names, daemons, left):
        stream["depends_on"] = needs
    env = {**shared, **_environment(f"{name}.environment", entry.get("environment"), left)}
    if env:
        stream["env"] = env
    if folder := _folder(name, entry.get("working_dir"), left):
        stream["working_dir"] = folder
    if is_true(entry.get("is_tty")):
        stream["tty"] = True
    availability = as_table(entry.get("availability"), f"`{name}.availability`")
    stream |= (_restart if name in daemons else _retries)(name, availability, left)
    left += [f"{name}.{key}: plans have nothing like it" for key in entry if key not in _TAKEN]
    return stream


def _needs(
    name: str, entry: Entry, names: dict[str, str], daemons: dict[str, Entry], left: list[str]
) -> Entry:
    needs: Entry = {}
    for other, value in as_table(entry.get("depends_on"), f"`{name}.depends_on`").items():
        place = f"{name}.depends_on.{other}"
        table = as_table(value, f"`{place}`")
        condition = table.get("condition", "")
        left += [f"{place}.{key}: not in a plan" for key in table if key != "condition"]
        if other not in names:
            left.append(f"{place}: it is not among the streams")
            continue
        found = _CONDITIONS.get(condition, "started")
        if other in daemons and condition in _OF_DAEMONS:
            found = "ready"
        elif condition not in _CONDITIONS:
            left.append(f"{place}: {condition or 'no condition'}; taken: started")
        needs[names[other]] = {"condition": found}
    return needs


def _folder(name: str, value: object, left: list[str]) -> str:
    """Return a folder of the project; any other one is left out."""
    if value in (None, "", "."):
        return ""
    text = Text(str(value))
    folder = text.literal.removeprefix("./")
    if text.names or folder.startswith(("/", "~")) or ".." in folder.split("/"):
        left.append(f"{name}.working_dir: {value}; a stream works in a folder of the project")
        return ""
    return folder


def _retries(name: str, availability: Entry, left: list[str]) -> Entry:
    left += [
        f"{name}.availability.{key}: plans have nothing like it"
        for key in availability
        if key not in ("restart", "max_restarts")
    ]
    restart = availability.get("restart") or "no"
    if restart in ("on_failure", "always", "unless_stopped"):
        most = str(availability.get("max_restarts") or "0")
        if restart != "on_failure":
            left.append(f"{name}.availability.restart = {restart}: taken as on_failure")
        number = int(most) if most.isdecimal() and len(most) < 4 else 0
        return {"retries": number or _RETRIES_WITHOUT_LIMIT}
    if restart not in ("no", "exit_on_failure"):
        left.append(f"{name}.availability.restart = {restart}: not known")
    return {"retries": 0}


def _restart(name: str, availability: Entry, left: list[str]) -> Entry:
    """Return when a service is started again, and how often at most."""
    restart = str(availability.get("restart") or "no")
    left += [
        f"{name}.availability.{key}: plans have nothing like it"
        for key in availability
        if key not in ("restart", "max_restarts")
    ]
    if restart in ("no", "exit_on_failure"):
        return {"restart": "never"}
    if restart not in ("on_failure", "always", "unless_stopped"):
        left.append(f"{name}.availability.restart = {restart}: not known")
        return {"restart": "never"}
    found = {"retries": whole(availability.get("max_restarts"), MOST_RESTARTS)}
    return found if restart == "on_failure" else {"restart": "always", **found}


def _environment(what: str, value: object, left: list[str]) -> dict[str, str]:
    """Return variables, whether they are written as a list or as a mapping."""
    if isinstance(value, list):
        pairs = [str(item).partition("=") for item in value]
        given: Entry = {key: text for key, equals, text in pairs if key and equals}
    else:
        given = as_table(value, f"`{what}`")
    env: dict[str, str] = {}
    for key, written in given.items():
        text = Text("" if written is None else str(written))
        if text.names:
            left.append(
                f"{what}.{key}: {written}; nothing expands {', '.join(text.names)} in a plan's"
                " `env`, set it where the run is started or in an `env_file`"
            )
        else:
            env[key] = text.literal
    return env
