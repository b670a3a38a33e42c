"""The tables of the plan file that describe one stream."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    Tag,
    model_validator,
)
from pydantic.config import JsonDict

from anabranch.config.outline_tables import StreamOutline
from anabranch.config.tables import Table
from anabranch.config.values import (
    Condition,
    Duration,
    EachItem,
    Item,
    Name,
    Pattern,
    PortName,
    PositiveDuration,
    ProjectPath,
    Retries,
    ShellCommand,
    Text,
    TimeOfDay,
    UrlPath,
    Width,
    ZoneName,
    fault,
    number_or_share,
    one_of,
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


OWN_COMMANDS = ":"
"""Stands for the command of a stream whose graph, or template, has it."""


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


class ReadyTable(Table):
    """How it is seen that a service is ready; on this machine only."""

    log: Pattern | None = Field(default=None, description="A pattern of a line of its log.")
    command: ShellCommand | None = Field(
        default=None, description="A command run by sh -c in its workspace until it succeeds."
    )
    port: (
        Annotated[
            Annotated[PortName, Tag("<string>")]
            | Annotated[int, Field(ge=1, le=65535), Tag("<integer>")],
            one_of("the name of one of its `ports`, or a number"),
        ]
        | None
    ) = Field(
        default=None,
        description="One of its `ports`, or the number of one that it has for itself: ready as "
        "soon as it listens there.",
    )
    http: UrlPath | None = Field(
        default=None, description="A path that it answers with 2xx or 3xx on its `port`."
    )
    timeout: PositiveDuration = Field(
        default=30, description="One that is not ready by then has failed."
    )
    interval: PositiveDuration = Field(
        default=10, description="Once it is ready it is looked at so often."
    )
    failures: Retries = Field(
        default=3, description="After so many looks in a row it is unhealthy; 0 looks no more."
    )

    @model_validator(mode="after")
    def _is_seen_in_one_way(self) -> ReadyTable:
        if len([way for way in (self.log, self.command, self.port) if way]) != 1:
            raise fault("needs exactly one of `log`, `command` and `port` (with `http` or without)")
        if self.http and not self.port:
            raise fault("`http` needs the `port` on which it is asked")
        if self.log and {"interval", "failures"} & self.model_fields_set:
            raise fault("a `log` is not watched: what it has said once stays said")
        return self


def _command_or_what_brings_one(schema: JsonDict) -> None:
    """Let the schema want a command only where no template and no graph brings it."""
    schema["required"] = []
    schema["anyOf"] = [{"required": [key]} for key in ("command", "template", "each")]


class StreamTable(StreamOutline):
    """A named line of work with its own workspace."""

    model_config = ConfigDict(json_schema_extra=_command_or_what_brings_one)

    template: Name | None = Field(
        default=None, description="Its outline; keys written here go before those of the template."
    )
    prompt: Text | None = Field(
        default=None, description="What stands for `{prompt}` in the template."
    )
    values: dict[str, Item] = Field(
        default={}, description="What stands for the other placeholders of the template."
    )
    race: Annotated[int, Field(ge=2, le=100)] | None = Field(
        default=None,
        description="So many isolated attempts at it, NAME.1 to NAME.N, of which one is adopted.",
    )
    kind: Literal["job", "service"] = Field(
        default="job",
        description="A service is not expected to end, holds no slot, and brings no result.",
    )
    ready: ReadyTable | None = Field(
        default=None, description="When a service is ready; default: when it has started."
    )
    restart: Literal["never", "on_failure", "always"] = Field(
        default="on_failure",
        description="When a service that has ended is started again, `retries` times at most.",
    )
    depends_on: Dependencies = Field(
        default=[],
        description='Names of streams, { capability = "..." }, or a table of conditions.',
    )
    dependencies: Dependencies | None = Field(
        default=None, description="Another name for depends_on."
    )
    converge: str | None = Field(
        default=None,
        description="Where it meets others first; default: the point that names it, or the final.",
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
    def _may_leave_the_command_to_others(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "command" in data:
            return data
        each = data.get("each")
        has_graph = isinstance(each, dict) and "graph" in each
        return {**data, "command": OWN_COMMANDS} if has_graph or "template" in data else data

    @model_validator(mode="after")
    def _keeps_handlers_apart(self) -> StreamTable:
        if self.each is not None and self.tty:
            raise fault("handlers have no terminal", "take `tty` away, or `each`")
        return self
