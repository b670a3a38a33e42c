"""What plugins can bring besides strategies: executors, importers, report formats and so on.

Each is a plain object with a name, as a strategy is. They stand at the edge: none of them decides
anything about a run, and whatever one of them does wrong costs only its own work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from anabranch.core.ids import Attempt, StreamId


class Imported(msgspec.Struct, frozen=True):
    """A plan in another tool's words: ``plan`` as the plan file's tables, what stayed behind.

    ``left_out`` names each thing of the source that no plan can say, and why. ``files`` go beside
    the plan, by their names, as a graph of tasks does.
    """

    plan: dict[str, Any]
    left_out: tuple[str, ...] = ()
    files: Mapping[str, str] = {}


class NotThisFormat(Exception):
    """The text is of another format than this importer reads; the message says what is wrong."""


class Importer(Protocol):
    """Reads another tool's file. ``file_names`` are patterns of names that it is asked for."""

    @property
    def name(self) -> str: ...
    @property
    def file_names(self) -> Sequence[str]: ...

    def convert(self, text: str) -> Imported:
        """Return the plan that a file's text stands for. Raises NotThisFormat."""
        ...


class ReportFormat(Protocol):
    """Tells a run's report in another format (``anabranch report --format NAME``)."""

    @property
    def name(self) -> str: ...

    def render(self, report: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
        """Return the text.

        ``report`` is what ``report --format json`` prints, ``events`` what ``events --json`` does.
        """
        ...


class Observer(Protocol):
    """Hears of each event of a run after it has been made durable, in a thread of its own."""

    @property
    def name(self) -> str: ...

    def saw(self, event: Mapping[str, Any]) -> None:
        """Take notice of an event, as ``events --json`` tells it."""
        ...


class ResourceProbe(Protocol):
    """Measures how much there is of a resource that streams can ask for; ``name`` is its name."""

    @property
    def name(self) -> str: ...

    def amount(self) -> float:
        """Return how much of it this machine has; asked when a run begins or is resumed."""
        ...


class Launch(msgspec.Struct, frozen=True):
    """What is about to be run: a command, the folder it runs in, and its whole environment."""

    stream: StreamId
    attempt: Attempt
    command: tuple[str, ...]
    folder: str
    env: Mapping[str, str]
    tty: bool = False


class Executor(Protocol):
    """Says by which command line a stream's command is run; a stream names it (``executor``)."""

    @property
    def name(self) -> str: ...

    def command_line(self, launch: Launch) -> Sequence[str]:
        """Return the argument vector to run in the command's place, in the same folder."""
        ...


class Extensions(msgspec.Struct, frozen=True):
    """Everything of this kind that is installed, by name."""

    importers: Mapping[str, Importer] = {}
    report_formats: Mapping[str, ReportFormat] = {}
    observers: Mapping[str, Observer] = {}
    resource_probes: Mapping[str, ResourceProbe] = {}
    executors: Mapping[str, Executor] = {}
    set_aside: tuple[tuple[str, str], ...] = ()
    """Plugins that could not be loaded, or not whole, each with the reason: a run tells it."""


NO_EXTENSIONS = Extensions()
