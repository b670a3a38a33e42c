"""What is to be done next: the items of a source in their order, or the tasks of a graph."""

from __future__ import annotations

import heapq
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from . import book
from .inputs import Inputs
from .job import Job
from .placeholders import Command, ItemValue, Template, is_plain, parse, text_of
from .sources import LETS_WAIT, BadSource, NotYet, Task, items_of, read_tasks, rest_seconds


class Work(NamedTuple):
    """One item to handle, and what is run for it."""

    place: int
    key: str
    value: ItemValue
    argv: list[str]
    title: str = ""

    @property
    def text(self) -> str:
        """What it is called: a task by its id, anything else by its item."""
        return self.title or text_of(self.value)


Skip = Callable[[Work], None]
"""Notes what is left out, as it is done."""


class Choice(Protocol):
    """Says which of the handlers are run."""

    def may_be_done(self, work: Work) -> bool:
        """Return whether it may be this one that is done, of several items that are the same."""
        ...

    def leaves(self, work: Work) -> bool:
        """Return whether what is not done is left as it is, and note that."""
        ...


class Known(Protocol):
    """Says how long items took before."""

    def of(self, text: str) -> float:
        """Return the seconds that an item is expected to take."""
        ...


class Queue:
    """The items one after the other, but those that are done already."""

    def __init__(
        self,
        source: Mapping[str, Any],
        command: Command | None,
        folder: str,
        done: Counter[str],
        skip: Skip,
        choice: Choice,
        wake: Callable[[], None],
        inputs: Inputs,
    ) -> None:
        assert command is not None, "only a graph has commands of its own"
        self._template, self._inputs = parse(command), inputs
        items = items_of(source, folder)
        if LETS_WAIT & source.keys():
            from .ahead import Ahead  # few sources do, and threads and queues take time to load

            items = Ahead(items, wake)
        self._items = items
        self._done, self._skip, self._choice = done, skip, choice
        self.total = _total(source)
        self.seen = 0
        self.skipped = 0
        self.problem = ""
        self._is_empty = False

    @property
    def may_have_more(self) -> bool:
        """Whether more may come though there is nothing now."""
        return not self._is_empty

    has_ready = False
    """Whether there is something to be done next: only taking it says."""

    def next(self) -> Work | None:
        """Return what is to be done next, None if there is nothing (now, or any more)."""
        while not self._is_empty:
            try:
                value = next(self._items)
            except NotYet:
                return None
            except StopIteration:
                self._is_empty = True
                return None
            except BadSource as error:
                self.problem, self._is_empty = str(error), True
                return None
            work = _with_inputs(_work(self._template, self.seen, value), self._inputs)
            self.seen += 1
            if not (self._done.get(work.key) and self._choice.may_be_done(work)):
                if self._choice.leaves(work):
                    continue
                return work
            self._done[work.key] -= 1  # others that are the same may not be done
            self.skipped += 1
            self._skip(work)
        return None

    def ended(self, work: Work, has_succeeded: bool) -> None:
        """Hear that something is done."""

    def reopened(self, work: Work) -> None:
        """Hear that something which had failed, or was left so, is tried again."""


class Graph:
    """Tasks that wait for each other; the one with the longest way to the end goes first."""

    def __init__(
        self,
        source: Mapping[str, Any],
        command: Command | None,
        folder: str,
        done: Counter[str],
        skip: Skip,
        choice: Choice,
        wake: Callable[[], None],
        inputs: Inputs,
        known: Known | None = None,
    ) -> None:
        tasks = read_tasks(os.path.join(folder, source["graph"]))
        left = rest_seconds([_with_known(task, known) for task in tasks])
        template = parse(command) if command is not None else None
        self.seen = self.total = len(tasks)
        self.skipped, self.problem = 0, ""
        self._done, self._skip, self._choice, self._inputs = done, skip, choice, inputs
        self._followers: dict[str, list[str]] = {task.id: [] for task in tasks}
        self._open = {task.id: len(task.after) for task in tasks}
        self._work: dict[str, Work] = {}
        self._order: dict[str, tuple[float, int, str]] = {}
        self._ready: list[tuple[float, int, str]] = []
        self._left = len(tasks)
        for index, task in enumerate(tasks):
            for before in task.after:
                self._followers[before].append(task.id)
            self._work[task.id] = _work_of_task(template, index, task)
            self._order[task.id] = (-left[task.id], index, task.id)
        for task in tasks:
            if not task.after:
                self._make_ready(task.id)

    may_have_more = False
    """Whether more may come of itself: only ends of tasks make others ready."""

    @property
    def has_ready(self) -> bool:
        """Whether there is something to be done next."""
        return bool(self._ready)

    def next(self) -> Work | None:
        """Return what is to be done next, None if there is nothing now."""
        return self._work[heapq.heappop(self._ready)[2]] if self._ready else None

    def ended(self, work: Work, has_succeeded: bool) -> None:
        """Hear that something is done; what waited for it may start."""
        self._left -= 1
        if has_succeeded:
            self._release(work.value["id"])

    def reopened(self, work: Work) -> None:
        """Hear that something which had failed, or was left so, is tried again."""
        self._left += 1

    @property
    def unreached(self) -> int:
        """How many tasks were not started yet."""
        return self._left

    def _make_ready(self, name: str) -> None:
        """Have a task started in its turn; one that is done already lets others go at once."""
        names = [name]
        while names:
            name = names.pop()
            self._work[name] = _with_inputs(self._work[name], self._inputs)
            if self._work[name].key not in self._done:
                if self._choice.leaves(self._work[name]):
                    self._left -= 1
                    continue
                heapq.heappush(self._ready, self._order[name])
                continue
            self.skipped += 1
            self._left -= 1
            self._skip(self._work[name])
            names += self._freed_by(name)

    def _release(self, name: str) -> None:
        for later in self._freed_by(name):
            self._make_ready(later)

    def _freed_by(self, name: str) -> list[str]:
        for later in self._followers[name]:
            self._open[later] -= 1
        return [later for later in self._followers[name] if not self._open[later]]


def queue_of(
    job: Job, done: Counter[str], skip: Skip, choice: Choice, wake: Callable[[], None]
) -> Graph | Queue:
    """Return what is to be done for a job, in its order. Raises BadSource, BadCommand."""
    inputs = Inputs(job.inputs, job.folder)
    arguments = (job.source, job.command, job.folder, done, skip, choice, wake, inputs)
    is_graph = "graph" in job.source
    if job.known_seconds is None:
        return Graph(*arguments) if is_graph else Queue(*arguments)
    from .longest_first import LongestFirst, read_known  # a first run knows nothing

    known = read_known(job.known_seconds)
    return Graph(*arguments, known) if is_graph else LongestFirst(known, *arguments)


def _with_known(task: Task, known: Known | None) -> Task:
    """Return a task with how long it took before, if its file does not say how long it takes."""
    return task._replace(seconds=known.of(task.id)) if known and task.is_guessed else task


def _total(source: Mapping[str, Any]) -> int | None:
    """Return how many items there are, None if only going through them says."""
    if "items" in source:
        return len(source["items"])
    if "matrix" in source and not source.get("exclude"):
        return math.prod(len(values) for values in source["matrix"].values())
    return None


def _work(template: Template, index: int, value: ItemValue) -> Work:
    argv = template.argv(value, index)
    return Work(index, book.key_of(value, argv), value, argv)


def _with_inputs(work: Work, inputs: Inputs) -> Work:
    """Return work as it is known with what its inputs hold now, when it may start."""
    digest = inputs.digest(work.value, work.place)
    return work._replace(key=book.key_of(work.key, work.argv, digest)) if digest else work


def _work_of_task(template: Template | None, index: int, task: Task) -> Work:
    value: dict[str, Any] = {"id": task.id, "command": task.command, "seconds": task.seconds}
    if template is not None:
        return _work(template, index, value)._replace(title=task.id)
    argv = own_argv(task)
    return Work(index, book.key_of(task.id, argv), value, argv, task.id)


def own_argv(task: Task) -> list[str]:
    """Return the argument vector of a task's own command."""
    if not isinstance(task.command, str):
        return list(task.command)
    if "{" not in task.command and is_plain(task.command):
        return task.command.split()
    return ["/bin/sh", "-c", task.command]
