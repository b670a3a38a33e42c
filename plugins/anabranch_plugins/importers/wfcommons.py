"""Recorded workflows in the format of WfCommons (WfFormat): a graph of tasks with their seconds.

The tasks become a graph file beside the plan. From version 1.4 on what a task is stands apart from
how it went; earlier versions have both in one place, and tasks name each other, where later ones
have ids. What was measured and what machines there were has no place in a plan.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from anabranch.extending import Imported, NotThisFormat
from anabranch.handlers.sources import BadSource, tasks_of
from anabranch.undecodable import UNDECODABLE
from anabranch_plugins.importers.names import stream_names

GRAPH_FILE = "tasks.json"

_TAKEN = frozenset(
    {"id", "name", "parents", "children", "command", "runtimeInSeconds", "runtime", "type"}
)
_OF_FILES = frozenset({"files", "inputFiles", "outputFiles"})
_PLAIN = re.compile(r"[\w@%+=:,./-]+")
_OF_THE_SHELL = frozenset({"|", "||", "&&", ";", "&", "<", ">", ">>", "2>", "2>>", "2>&1", "&>"})
_LONGEST_SECONDS = 1e11
_IN_WORDS = {
    "no command": "they have no command; `sleep` for their seconds stands for it",
    "script": "their command is a script; it is run by sh, whatever shell it was made for",
    "shell": "their command has signs of the shell, and is run by sh",
    "spaces": "an argument with spaces in it is taken as one",
    "files": "files that they read and write; whoever runs the plan has to bring them",
}

Entry = dict[str, Any]


def plan_of(text: str) -> Imported:
    """Return the plan and the graph that a workflow stands for."""
    document = _document(text)
    workflow = _table(document.get("workflow"), "`workflow`")
    recorded = _Recorded(document, workflow)
    tasks = [recorded.task(entry) for entry in recorded.entries]
    graph = _graph_text(tasks)
    try:
        tasks_of(graph)
    except BadSource as error:
        raise NotThisFormat(str(error)) from None
    given = str(document.get("name") or "workflow").removesuffix(".json")
    stream = {"each": {"graph": GRAPH_FILE}, "retries": 0}
    (name,) = stream_names([given]).values()
    plan: Entry = {"name": given, "streams": {name: stream}}
    return Imported(plan, tuple(recorded.left_out()), {GRAPH_FILE: graph})


class _Recorded:
    """The tasks of a workflow as they were recorded, and what of them stays behind."""

    def __init__(self, document: Entry, workflow: Entry) -> None:
        is_split = "specification" in workflow
        found = _table(workflow.get("specification"), "`workflow.specification`")
        place = "workflow.specification" if is_split else "workflow"
        source = found if is_split else workflow
        key = "tasks" if "tasks" in source else "jobs"
        self.entries = _tables(source.get(key), f"{place}.{key}")
        self._ids = [_id(entry, f"{place}.{key}[{n}]") for n, entry in enumerate(self.entries)]
        if not self.entries:
            raise NotThisFormat("the workflow has no tasks")
        self._names = Counter(str(entry.get("name")) for entry in self.entries)
        self._by_name = {
            str(entry.get("name")): name
            for entry, name in zip(self.entries, self._ids, strict=True)
        }
        self._known = set(self._ids)
        execution = _table(workflow.get("execution"), "`workflow.execution`") if is_split else {}
        self._runs = {
            _id(run, f"workflow.execution.tasks[{n}]"): run
            for n, run in enumerate(_tables(execution.get("tasks", []), "workflow.execution.tasks"))
        }
        self._after: dict[str, list[str]] = {name: [] for name in self._ids}
        for entry, name in zip(self.entries, self._ids, strict=True):
            self._after[name] += self._named(entry, "parents", name)
            for child in self._named(entry, "children", name):
                if child in self._known:
                    self._after[child].append(name)
                else:
                    raise NotThisFormat(f"task {name!r}: its child {child!r} is not there")
        system = document.get("runtimeSystem") or document.get("wms")
        self._is_makeflow = isinstance(system, dict) and system.get("name") == "Makeflow"
        self._machines = execution.get("machines") or workflow.get("machines")
        self._notes: Counter[str] = Counter()
        self._measured: Counter[str] = Counter()
        self._strays = [name for name in self._runs if name not in self._known]

    def _named(self, entry: Entry, key: str, name: str) -> list[str]:
        """Return the ids of the tasks that a task names, by their ids or by their names."""
        others = entry.get(key) or []
        if not isinstance(others, list) or not all(isinstance(other, str) for other in others):
            raise NotThisFormat(f"task {name!r}: its {key} are not a list of ids")
        return [self._resolved(other, key, name) for other in others]

    def _resolved(self, other: str, key: str, name: str) -> str:
        if other in self._known or other not in self._by_name:
            return other
        if self._names[other] > 1:
            raise NotThisFormat(f"task {name!r}: {other!r} among its {key} is a name of several")
        return self._by_name[other]

    def task(self, entry: Entry) -> Entry:
        """Return a task of the graph file."""
        name = str(entry.get("id") or entry.get("name"))
        run = {**entry, **self._runs.get(name, {})}
        seconds = self._seconds(run, name)
        self._measured.update(key for key in run if key not in _TAKEN | _OF_FILES)
        self._notes.update(["files"] if any(run.get(key) for key in _OF_FILES) else [])
        task: Entry = {"id": name, "command": self._command(run, name, seconds)}
        if after := list(dict.fromkeys(self._after[name])):
            task["after"] = after
        if seconds is not None:
            task["seconds"] = seconds
        return task

    def _seconds(self, run: Entry, name: str) -> float | None:
        seconds = run.get("runtimeInSeconds", run.get("runtime"))
        if seconds is None:
            return None
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not 0 <= seconds < _LONGEST_SECONDS:
            raise NotThisFormat(f"task {name!r}: its runtime is not a number of seconds")
        return float(seconds)

    def _command(self, run: Entry, name: str, seconds: float | None) -> str | list[str]:
        given = run.get("command")
        command = given if isinstance(given, dict) else {"program": given}
        program, words = command.get("program") or "", command.get("arguments") or []
        if not isinstance(program, str) or not _are_texts(words):
            raise NotThisFormat(
                f"task {name!r}: its command is not a `program` with a list of `arguments`"
            )
        if not program and not words:
            self._notes["no command"] += 1
            return ["sleep", f"{seconds or 0.0:g}"]
        if not words and not _PLAIN.fullmatch(program):
            self._notes["script"] += 1
            return program
        whole = words if self._is_makeflow and words else [*([program] if program else []), *words]
        is_text = self._is_makeflow and not all(map(_PLAIN.fullmatch, whole))
        if is_text or _OF_THE_SHELL & set(whole):
            self._notes["shell"] += 1
            return " ".join(whole)
        if any(" " in word for word in whole):
            self._notes["spaces"] += 1
        return whole

    def left_out(self) -> Iterator[str]:
        """Yield what no plan can say, each with how many tasks have it."""
        for key, number in self._notes.items():
            yield f"{number} of {len(self.entries)} tasks: {_IN_WORDS[key]}"
        if self._measured:
            keys = ", ".join(f"{key} ({number})" for key, number in self._measured.items())
            yield f"what was measured or asked for, which handlers have nothing like: {keys}"
        for name in self._strays[:3]:
            yield f"workflow.execution.tasks: {name} is not among the tasks of the specification"
        if len(self._strays) > 3:
            yield f"workflow.execution.tasks: {len(self._strays) - 3} more that are not among them"
        if self._machines:
            yield "machines: handlers run on this one, as many at a time as it has processors"


def _document(text: str) -> Entry:
    try:
        found = msgspec.json.decode(text)
    except RecursionError:
        raise NotThisFormat("it is nested too deeply") from None
    except UNDECODABLE as error:
        raise NotThisFormat(f"this is not JSON: {error}") from None
    if not isinstance(found, dict) or "workflow" not in found:
        raise NotThisFormat("it has no `workflow`")
    return found


def _table(value: object, what: str) -> Entry:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotThisFormat(f"{what} is not a table")
    return value


def _tables(value: object, place: str) -> list[Entry]:
    if not isinstance(value, list):
        raise NotThisFormat(f"`{place}` is not a list of tasks")
    for number, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise NotThisFormat(f"`{place}[{number}]` is not a table")
    return value


def _id(entry: Entry, place: str) -> str:
    name = entry.get("id") or entry.get("name")
    if not isinstance(name, str):
        raise NotThisFormat(f"`{place}` has no id that is a text")
    return name


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _graph_text(tasks: list[Entry]) -> str:
    """Return a graph file, a line for each task."""
    lines = ",\n".join(msgspec.json.encode(task).decode() for task in tasks)
    return f'{{"tasks": [\n{lines}\n]}}\n'
