"""Task graphs, and how each contestant is told of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SLOTS = 2


@dataclass(frozen=True)
class Task:
    """One task: a command, the tasks it comes after, and its processor seconds."""

    id: str
    argv: tuple[str, ...]
    after: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Graph:
    """Tasks, each after those it depends on."""

    name: str
    tasks: tuple[Task, ...]

    @property
    def work_seconds(self) -> float:
        return sum(task.seconds for task in self.tasks)


def flat(count: int, argv: tuple[str, ...]) -> Graph:
    """Return tasks that know nothing of each other."""
    return Graph(f"flat-{count}", tuple(Task(f"t{n}", argv) for n in range(count)))


def chain(count: int, argv: tuple[str, ...]) -> Graph:
    """Return tasks of which each waits for the one before."""
    tasks = (Task(f"t{n}", argv, (f"t{n - 1}",) if n else ()) for n in range(count))
    return Graph(f"chain-{count}", tuple(tasks))


def layered(layers: int, width: int, argv: tuple[str, ...]) -> Graph:
    """Return layers of tasks; each task waits for three of the layer before."""
    chosen = random.Random(20)
    tasks: list[Task] = []
    for layer in range(layers):
        before = [f"t{(layer - 1) * width + n}" for n in range(width)] if layer else []
        for n in range(width):
            after = tuple(chosen.sample(before, 3)) if before else ()
            tasks.append(Task(f"t{layer * width + n}", argv, after))
    return Graph(f"layered-{layers}x{width}", tuple(tasks))


def diamond(width: int, argv: tuple[str, ...]) -> Graph:
    """Return one task, many that wait for it, and one that waits for them."""
    middle = tuple(Task(f"t{n}", argv, ("first",)) for n in range(width))
    last = Task("last", argv, tuple(task.id for task in middle))
    return Graph(f"diamond-{width}", (Task("first", argv), *middle, last))


def short_tasks(count: int, mean_seconds: float, spin: str) -> Graph:
    """Return tasks that burn processor time, none longer than twice the mean."""
    chosen = random.Random(24)
    drawn = [chosen.random() for _ in range(count)]
    scale = mean_seconds * count / sum(drawn)
    times = (round(one * scale, 5) for one in drawn)
    tasks = (Task(f"t{n}", (spin, str(s)), (), s) for n, s in enumerate(times))
    return Graph(f"short-{count}", tuple(tasks))


def read_workload(path: Path, spin: str) -> Graph:
    """Return the task graph of a file: ``{"name", "tasks": [{"id", "cmd", "after", "seconds"}]}``.

    The command ``spin S`` becomes the program ``spin``.
    """
    content = json.loads(path.read_text("utf-8"))
    tasks = []
    for task in content["tasks"]:
        argv = tuple(spin if word == "spin" else word for word in task["cmd"])
        seconds = float(task.get("seconds", 0.0))
        tasks.append(Task(task["id"], argv, tuple(task["after"]), seconds))
    return Graph(content["name"], tuple(tasks))


def as_plan(graph: Graph, workspace: str) -> str:
    """Return a graph as a plan file of ours."""
    lines = [
        "version = 1",
        f'name = "{graph.name}"',
        "[coordination]",
        f"max_parallel = {SLOTS}",
        "[coordination.isolation]",
        f'workspace = "{workspace}"',
    ]
    for task in graph.tasks:
        lines += [f"[streams.{task.id}]", f"command = {json.dumps(task.argv)}"]
        if task.after:
            lines.append(f"depends_on = {json.dumps(task.after)}")
    return "\n".join(lines) + "\n"


def as_makefile(graph: Graph) -> str:
    """Return a graph as a Makefile."""
    names = " ".join(task.id for task in graph.tasks)
    lines = ["MAKEFLAGS += --no-builtin-rules", f".PHONY: all {names}", f"all: {names}"]
    for task in graph.tasks:
        lines += [f"{task.id}: {' '.join(task.after)}", f"\t@{' '.join(task.argv)}"]
    return "\n".join(lines) + "\n"


def as_ninja(graph: Graph) -> str:
    """Return a graph as a Ninja file."""
    lines = ["rule run", "  command = $argv"]
    for task in graph.tasks:
        lines += [f"build {task.id}: run {' '.join(task.after)}", f"  argv = {' '.join(task.argv)}"]
    return "\n".join(lines) + "\n"


def as_list(graph: Graph) -> str:
    """Return a graph as the bare spawner reads it."""
    return json.dumps([[task.id, task.argv, task.after] for task in graph.tasks])


def as_tasks(graph: Graph, *, as_texts: bool = False) -> str:
    """Return a graph as our handlers read it, its commands as vectors or as texts for a shell."""
    tasks = [
        {
            "id": task.id,
            "command": " ".join(task.argv) if as_texts else task.argv,
            "after": task.after,
            "seconds": task.seconds,
        }
        for task in graph.tasks
    ]
    return json.dumps({"tasks": tasks})


def as_lines(graph: Graph) -> str:
    """Return a graph as ``runner.c`` reads it."""
    numbers = {task.id: number for number, task in enumerate(graph.tasks)}
    lines = []
    for task in graph.tasks:
        after = ",".join(str(numbers[name]) for name in task.after)
        lines.append("\t".join((str(task.seconds), after, *task.argv)) + "\n")
    return "".join(lines)


FORMS: dict[str, Callable[[Graph], str]] = {
    "Makefile": as_makefile,
    "build.ninja": as_ninja,
    "graph.json": as_list,
}
