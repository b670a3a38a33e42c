"""The tables of the plan file that describe one stream."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    Tag,
    model_validator,
)
from pydantic.config import JsonDict

from anabranch.config.tables import Table
from anabranch.config.values import (
    Amount,
    Command,
    Condition,
    CpuCeiling,
    Duration,
    EachItem,
    Item,
    MemoryCeiling,
    Name,
    PositiveDuration,
    ProjectPath,
    Retries,
    ShellCommand,
    SignalName,
    Text,
    TimeOfDay,
    Width,
    ZoneName,
    fault,
    number_or_share,
    one_of,
    sound_environment,
    sound_folder,
)
from anabranch.core.ids import STREAM_ID_PATTERN

_NAMES: JsonDict = {"propertyNames": {"pattern": f"^{STREAM_ID_PATTERN}$"}}


class DependencyTable(Table):
    """What a stream waits for in another one, or in any that has a capability."""

    condition: Condition = Field(
        default="succeeded",
        description="What the other stream must have done.",
    )
    capability: Name | None = Field(
        default=None,
        description="Any stream with this capability will do; the key is only a label then.",
    )


class CapabilityTable(Table):
    """A dependency on any stream that has a capability."""

    capability: Name = Field(description="What the other stream must be able to do.")
    condition: Condition = Field(
        default="succeeded",
        description="What the other stream must have done.",
    )


DependencyItem = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[CapabilityTable, Tag("<table>")],
    one_of("a name or a table with a capability"),
]


Dependencies = Annotated[
    Annotated[list[DependencyItem], Tag("<array>")]
    | Annotated[dict[str, DependencyTable], Tag("<table>")],
    one_of("an array of names or a table of conditions"),
]


class StreamHeartbeat(Table):
    """The heartbeat of one stream."""

    interval: PositiveDuration | None = Field(
        default=None,
        description="How often it should report: it finds ANABRANCH_HEARTBEAT_SECONDS.",
    )
    timeout: PositiveDuration | None = Field(
        default=None, description="Silence longer than this is a stall."
    )


class AskTable(Table):
    """How a stream that stands still is asked for a sign, besides by message."""

    signal: SignalName | None = Field(
        default=None, description='A signal to all its processes, as "USR1".'
    )
    line: Text | None = Field(
        default=None, description="A line typed into its terminal (tty = true)."
    )
    command: ShellCommand | None = Field(
        default=None, description="A command run by sh -c in its workspace."
    )

    @model_validator(mode="after")
    def _has_one_way(self) -> AskTable:
        if len([value for value in (self.signal, self.line, self.command) if value]) != 1:
            raise fault("needs exactly one of `signal`, `line` and `command`")
        return self


class LimitsTable(Table):
    """The ceilings of one stream: all its processes together never have more."""

    memory_mb: MemoryCeiling | None = Field(
        default=None,
        description="Megabytes of memory; above it the stream is ended and tried again alone.",
    )
    cpu_cores: CpuCeiling | None = Field(
        default=None, description="Processors; it is slower with fewer, and not ended."
    )


OWN_COMMANDS = ":"
"""Stands for the command of a stream whose graph has a command for each task."""


class EachTable(Table):
    """Where the items of a stream of many handlers come from."""

    glob: Text | None = Field(default=None, description="One handler per file that matches.")
    lines_of: ShellCommand | None = Field(
        default=None,
        description="One handler per line the command prints.",
    )
    matrix: dict[str, list[Item]] | None = Field(
        default=None, description="One handler per combination of values."
    )
    exclude: list[dict[str, Item]] = Field(
        default=[], description="Combinations of the matrix that are left out."
    )
    graph: ProjectPath | None = Field(
        default=None, description="A file of tasks that wait for each other, one handler each."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> EachTable:
        sources = {"glob", "lines_of", "matrix", "graph"}
        given = sorted(sources & self.model_fields_set)
        if len(given) != 1:
            raise fault("needs exactly one of `glob`, `lines_of`, `matrix` and `graph`")
        if not getattr(self, given[0]):
            raise fault(f"`{given[0]}` is empty", "say where the items come from")
        if self.exclude and not self.matrix:
            raise fault("`exclude` leaves combinations of a `matrix` out, and there is none")
        return self


class RateTable(Table):
    """So many starts in a window of time, and no more."""

    at_most: Width = Field(description="So many are started in any window of this length.")
    per: PositiveDuration = Field(description="How long the window is.")


class StreamTable(Table):
    """A named line of work with its own workspace."""

    command: Command = Field(description="A string is run by sh -c, an array is run as is.")
    depends_on: Dependencies = Field(
        default=[],
        description='Names of streams, { capability = "..." }, or a table of conditions.',
    )
    dependencies: Dependencies | None = Field(
        default=None, description="Another name for depends_on."
    )
    capabilities: list[Name] = Field(
        default=[],
        description="What this stream is able to do; others may depend on it.",
    )
    resources: dict[str, Amount] = Field(
        default={}, description="cpu_cores, memory_mb, and any token of your own."
    )
    limits: LimitsTable = Field(
        default_factory=LimitsTable,
        description="Ceilings, enforced; `resources` is only what it asks for.",
    )
    writes: list[Text] = Field(
        default=[],
        description="Globs this stream may write; none = anywhere.",
    )
    env: Annotated[dict[str, Text], AfterValidator(sound_environment)] = Field(
        default={}, description="Environment variables."
    )
    env_file: Annotated[
        Annotated[ProjectPath, Tag("<string>")] | Annotated[list[ProjectPath], Tag("<array>")],
        one_of("a path or an array of paths"),
    ] = Field(
        default=[],
        description="Files of NAME=VALUE lines in the project, read at each start; env goes before "
        "them. Nothing in them is expanded.",
    )
    working_dir: Annotated[Text, AfterValidator(sound_folder)] = Field(
        default=".", description="The folder to run in, relative to the workspace."
    )
    priority: int = Field(default=0, ge=-1000, le=1000, description="Higher goes first.")
    optional: bool = Field(default=False, description="Its failure does not fail the run.")
    timeout: PositiveDuration | None = Field(
        default=None,
        description="It is ended after this long.",
    )
    retries: Retries | None = Field(
        default=None,
        description="How often it is tried again; default: the coordination's max_retries.",
    )
    success_exit_codes: list[Annotated[int, Field(ge=0, le=255)]] = Field(
        default=[0], min_length=1, description="The exit codes that count as success."
    )
    heartbeat: StreamHeartbeat = Field(default_factory=StreamHeartbeat)
    converge: str | None = Field(
        default=None,
        description="Where it meets others first; default: the point that names it, or the final.",
    )
    sync: bool = Field(
        default=False,
        description="Bring others' work into its workspace while it runs, from checkpoints.",
    )
    tty: bool = Field(
        default=False,
        description="Run on a pseudo-terminal.",
    )
    ask: AskTable | None = Field(
        default=None, description="How it is asked for a sign when it stands still."
    )
    executor: Text | None = Field(
        default=None, description="A plugin that says by which command line it is run."
    )
    after: Duration = Field(default=0, description="Not before this long after its dependencies.")
    at: TimeOfDay | None = Field(
        default=None, description="It waits for this time of day, HH:MM or HH:MM:SS."
    )
    zone: ZoneName | None = Field(
        default=None, description="The time zone of `at`; default: that of the machine."
    )
    catch_up: Literal["skip", "once"] = Field(
        default="once",
        description="When its time has passed without it: wait for the next, or start at once.",
    )
    spread: Duration = Field(
        default=0, description="It is started somewhere within this time, the same in each replay."
    )
    rate: RateTable | None = Field(
        default=None,
        description="How many of its handlers, else of its attempts, are started in what time.",
    )

    @model_validator(mode="after")
    def _names_its_dependencies_once(self) -> StreamTable:
        if {"depends_on", "dependencies"} <= self.model_fields_set:
            raise fault("`depends_on` and `dependencies` are one key with two names", "write one")
        return self

    @model_validator(mode="after")
    def _waits_for_one_time(self) -> StreamTable:
        if self.at is not None and self.after:
            raise fault("`at` and `after` are two times to start at", "write one of them")
        return self

    @model_validator(mode="after")
    def _has_a_terminal_to_type_into(self) -> StreamTable:
        if self.ask is not None and self.ask.line and not self.tty:
            raise fault("`ask` with a `line` needs a terminal", "add `tty = true`")
        return self

    each: (
        Annotated[
            Annotated[list[EachItem], Tag("<array>")] | Annotated[EachTable, Tag("<table>")],
            one_of("an array or a table"),
        ]
        | None
    ) = Field(default=None, description="The items of a stream of many handlers.")
    max_parallel: Width | None = Field(
        default=None,
        description="How many of its handlers run at a time; default: one a processor.",
    )
    max_failures: Annotated[int | str, BeforeValidator(number_or_share)] | None = Field(
        default=None,
        description='More failed handlers than that (or a share, as "5%") and no more are started.',
    )
    handler_timeout: PositiveDuration | None = Field(
        default=None, description="A handler is ended after this long."
    )
    inputs: list[ProjectPath] = Field(
        default=[],
        description="Files that a handler works on, with placeholders: changed, it is done again.",
    )
    handler_workspace: Literal["stream", "each"] = Field(
        default="stream",
        description="Where handlers work: all in that of the stream, or each in one of its own.",
    )

    @model_validator(mode="before")
    @classmethod
    def _may_leave_the_command_to_its_graph(cls, data: Any) -> Any:
        each = data.get("each") if isinstance(data, dict) else None
        if isinstance(each, dict) and "graph" in each and "command" not in data:
            return {**data, "command": OWN_COMMANDS}
        return data

    @model_validator(mode="after")
    def _keeps_handlers_apart(self) -> StreamTable:
        if self.each is not None and self.tty:
            raise fault("handlers have no terminal", "take `tty` away, or `each`")
        return self
