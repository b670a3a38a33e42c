"""Daemons of other tools' files as services of a plan: who is one, and when it is ready.

Whoever the file has a probe for is a service, unless somebody waits for its end. Nothing else of a
file says which of its processes are not expected to end.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from typing import Any

from anabranch_plugins.importers.interpolating import Text, command_of
from anabranch_plugins.importers.yaml_text import as_table, is_true

HERE = frozenset({"", "127.0.0.1", "localhost", "0.0.0.0", "::1", "[::1]"})
"""What other tools call this machine, the only one that is asked whether a service is ready."""

USUAL_TIMING = {"timeout": 30.0, "interval": 10.0, "failures": 3}
MOST_RESTARTS = 1000
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)")

Entry = dict[str, Any]


def services_among(
    names: Collection[str],
    probes: Mapping[str, Entry],
    waits: Mapping[str, Collection[str]],
    ends: Mapping[str, str],
    left: list[str],
) -> set[str]:
    """Return who is a service.

    Args:
        names: all that become streams.
        probes: when those are ready that have a probe.
        waits: for whom each of them waits.
        ends: for whose end somebody waits, and who.
        left: takes in words what is not carried.
    """
    left += [
        f"{name}: its probe; {ends[name]} waits for its end, so it is a job"
        for name in probes
        if name in ends
    ]
    services = set(probes) - set(ends)
    if services and services == set(names):
        needed = {other for needs in waits.values() for other in needs}
        left += [
            f"{name}: its probe; it stays a job, as a plan needs one, and runs until it is stopped"
            for name in sorted(services - needed)
        ]
        services &= needed
    return services


def timing(start: float, interval: float, failures: int) -> Entry:
    """Return how long it may take until it is ready, and how it is watched, where it says more."""
    found = {"timeout": start + interval * failures, "interval": interval, "failures": failures}
    return {key: value for key, value in found.items() if value != USUAL_TIMING[key]}


def seconds(text: object, usual: float) -> float:
    """Return a length as compose writes it (``1m30s``), or a number of seconds."""
    written = str(text if text is not None else "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", written):
        return float(written)
    parts = _LENGTH.findall(written)
    if not parts or "".join(number + unit for number, unit in parts) != written:
        return usual
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def whole(text: object, usual: int) -> int:
    """Return a number of the file, or the usual one."""
    written = str(text if text is not None else "")
    return int(written) if written.isdecimal() and 0 < len(written) < 4 and int(written) else usual


# --- process-compose -----------------------------------------------------------------------------


def ready_of_process(name: str, entry: Entry, left: list[str]) -> Entry:
    """Return when a process is ready, as a plan says it; empty if the file does not say."""
    line = str(entry.get("ready_log_line") or "")
    kinds: list[str] = [kind for kind in ("readiness_probe", "liveness_probe") if kind in entry]
    probes = {kind: as_table(entry[kind], f"`{name}.{kind}`") for kind in kinds}
    if is_true(entry.get("is_daemon")):
        left += [f"{name}.{kind}: a service stays in the foreground" for kind in kinds]
        return {}
    if line:
        left += [f"{name}.{kind}: it is ready by its log, which is not watched" for kind in kinds]
        return {"log": re.escape(line)}
    first, *others = kinds or ("",)
    if not first:
        return {}
    if others and probes[first] != probes[others[0]]:
        left.append(f"{name}.{others[0]}: it is watched by what its {first} asks")
    return _probe(f"{name}.{first}", probes[first], left)


def _probe(place: str, probe: Entry, left: list[str]) -> Entry:
    start = seconds(probe.get("initial_delay_seconds"), 0.0)
    interval = seconds(probe.get("period_seconds"), 10.0)
    when = timing(start, interval, whole(probe.get("failure_threshold"), 3))
    taken = {"initial_delay_seconds", "period_seconds", "failure_threshold", "exec", "http_get"}
    left += [
        f"{place}.{key}: {value}; plans have nothing like it"
        for key, value in probe.items()
        if key not in taken and (key, str(value)) != ("success_threshold", "1")
    ]
    way: Entry = {}
    if probe.get("exec"):
        run = as_table(probe["exec"], f"`{place}.exec`")
        left += [f"{place}.exec.{key}: {run[key]}" for key in run if key != "command"]
        command = str(run.get("command") or "").replace("$$", "$")
        way = {"command": command} if command.strip() and "{{" not in command else {}
    elif probe.get("http_get"):
        way = _http(f"{place}.http_get", as_table(probe["http_get"], f"`{place}.http_get`"), left)
    if not way:
        left.append(f"{place}: it says nothing that can be asked here")
    return {**way, **when} if way else {}


def _http(place: str, asked: Entry, left: list[str]) -> Entry:
    port, host = str(asked.get("port") or "80"), str(asked.get("host") or "")
    scheme, path = str(asked.get("scheme") or "http").lower(), str(asked.get("path") or "/")
    left += [
        f"{place}.{key}: {value}; plans have nothing like it"
        for key, value in asked.items()
        if key not in ("host", "scheme", "path", "port")
        and (key, str(value)) != ("status_code", "200")
    ]
    if host not in HERE:
        left.append(f"{place}.host: {host}; only this machine is asked")
        return {}
    if not port.isdecimal() or not 0 < int(port) < 65536:
        left.append(f"{place}.port: {port}; write the number out")
        return {}
    if scheme != "http":
        left.append(f"{place}.scheme: {scheme}; taken: ready as soon as it listens")
        return {"port": int(port)}
    return {"http": path if path.startswith("/") else f"/{path}", "port": int(port)}


# --- compose -------------------------------------------------------------------------------------


def ready_of_container(name: str, check: object, left: list[str]) -> Entry:
    """Return when a service of compose is healthy, as a plan says it; empty if it has no check."""
    if check is not None and not isinstance(check, dict):
        left.append(f"{name}.healthcheck: it is not a mapping")
        return {}
    table, place = as_table(check, f"`{name}.healthcheck`"), f"{name}.healthcheck"
    command = "" if is_true(table.get("disable")) else _test(place, table.get("test"), left)
    if not command:
        return {}
    left += [
        f"{place}.{key}: {value}; plans have nothing like it"
        for key, value in table.items()
        if key not in ("test", "interval", "retries", "start_period")
    ]
    start, interval = seconds(table.get("start_period"), 0.0), seconds(table.get("interval"), 30.0)
    left.append(f"{place}.test: it is run on this machine, not in a container")
    return {"command": command, **timing(start, interval, whole(table.get("retries"), 3))}


def _test(place: str, test: object, left: list[str]) -> str:
    """Return a check as a command for the shell; empty if it is none."""
    kind, *words = test if isinstance(test, list) else ["CMD-SHELL", test]
    if kind == "CMD" and words:
        command, names = command_of([[str(word) for word in words]])
    elif kind == "CMD-SHELL" and words and words[0]:
        text = Text(str(words[0]))
        command, names = str(words[0]).replace("$$", "$"), text.names
    else:
        return ""
    left += [
        f"{place}.test: {variable} is taken from the environment when the stream runs, "
        "not from where the file is read"
        for variable in dict.fromkeys(names)
    ]
    return command if isinstance(command, str) else shlex.join(command)
