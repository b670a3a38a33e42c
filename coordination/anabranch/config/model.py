"""The typed model of the plan file: every key, its type, its bounds, its default, its meaning.

The JSON Schema that editors use is generated from here, so a description below is what a user reads
while typing. Validation is strict: nothing is converted, and an unknown key is an error.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

from anabranch.config.options import OptionsTypes, option_schemas
from anabranch.config.values import (
    Amount,
    Command,
    Condition,
    Duration,
    EachItem,
    Item,
    Name,
    Pattern,
    PositiveDuration,
    ProjectPath,
    Protocol,
    Retries,
    ShellCommand,
    SignalName,
    Text,
    Width,
    fault,
    known_version,
    number_or_share,
    one_of,
    plain_name,
    sound_environment,
    sound_folder,
    sound_options,
)
from anabranch.core.ids import STREAM_ID_PATTERN
from anabranch.core.plans.plan import USUAL_RETRIES

_NAMES: JsonDict = {"propertyNames": {"pattern": f"^{STREAM_ID_PATTERN}$"}}


class Table(BaseModel):
    """What all tables of the file share."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,  # built once, as a part of the whole: start-up waits for it
    )


class Isolation(Table):
    """How streams are kept apart."""

    workspace: Literal["isolated", "clone", "shared"] = Field(
        default="isolated",
        description="A repository of its own, a clone without refs, or the project folder itself.",
    )
    file_access: Literal["exclusive_write", "shared"] = Field(
        default="exclusive_write",
        description="Whether two streams may write the same file at a time.",
    )
    confinement: Literal["none", "guard", "sandbox", "strict"] = Field(
        default="guard", description="How firmly a stream is held inside its workspace."
    )
    include_uncommitted: bool = Field(
        default=False, description="Start from the checkout as it is instead of from HEAD."
    )
    sensitive: list[str] = Field(
        default=[],
        description="More paths that are named before a result that changes them is approved.",
    )


class StateManagement(Table):
    """How shared state is kept."""

    type: Literal["immutable", "centralized"] = Field(
        default="immutable", description="Versions that never change, or one store."
    )
    sync_interval: PositiveDuration = Field(
        default=300,
        description="How often state is synchronised.",
    )
    keep_versions: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None,
        description="How many versions streams can still read; what fits in 64 MiB if left out.",
    )


class CoordinationHeartbeat(Table):
    """The heartbeat of every stream that sets none of its own."""

    interval: PositiveDuration = Field(
        default=60,
        description="How often a stream should report: it finds ANABRANCH_HEARTBEAT_SECONDS.",
    )
    timeout: PositiveDuration = Field(
        default=600,
        description="Silence longer than this is a stall.",
    )


class Recovery(Table):
    """What happens to a stream that fails."""

    max_retries: Retries = Field(
        default=USUAL_RETRIES, description="How often a failed stream is tried again."
    )
    timeout: PositiveDuration = Field(default=600, description="How long a recovery may take.")
    fallback: str = Field(
        default="sequential",
        description="The last resort: sequential, degrade, stop, or any installed strategy.",
    )
    soft_grace: Duration = Field(
        default=30, description="How long a soft recovery gets before the hard one."
    )
    permanent_failures: list[Pattern] = Field(
        default=[],
        description="Patterns of log lines: such a failure would happen again, so no retry.",
    )
    transient_failures: list[Pattern] = Field(
        default=[],
        description="Patterns of log lines: such a failure may pass, whatever else is in the log.",
    )


class CoordinationResources(Table):
    """How much there is of what streams ask for, and what happens to one that uses too much."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Amount]

    on_excess: Literal["show", "tell", "stop"] = Field(
        default="tell",
        description="A stream that uses more than it was granted is shown, told, or stopped.",
    )


class Coordination(Table):
    """How the whole run is coordinated."""

    convergence_type: str = Field(
        default="barrier",
        description="barrier, progressive, checkpoint, or any installed strategy.",
    )
    checkpoint_interval: PositiveDuration = Field(
        default=300,
        description="The time between two checkpoints of a point of the type checkpoint.",
    )
    max_parallel: Annotated[
        Annotated[Literal["auto"], Tag("<string>")] | Annotated[Width, Tag("<integer>")],
        one_of('"auto" or an integer'),
    ] = Field(default="auto", description='How many streams run at a time; "auto" adapts.')
    balancer: str = Field(default="longest-first", description="Any installed load balancer.")
    protocols: list[Protocol] = Field(
        default=["registration", "heartbeat", "negotiation"],
        description="Leave one out to switch it off: nobody joins from outside; silence is not "
        "judged; a request for resources is granted or refused, with no offer and no queue.",
    )
    tell_conflicts: bool = Field(
        default=False,
        description="Tell running streams by message when their work would not merge.",
    )
    isolation: Isolation = Field(default_factory=Isolation)
    state_management: StateManagement = Field(default_factory=StateManagement)
    heartbeat: CoordinationHeartbeat = Field(default_factory=CoordinationHeartbeat)
    recovery: Recovery = Field(default_factory=Recovery)
    resources: CoordinationResources = Field(
        default_factory=lambda: CoordinationResources.model_validate({}),
        description="What there is of each token; cpu_cores and memory_mb are the machine's.",
    )


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

    @model_validator(mode="after")
    def _names_its_dependencies_once(self) -> StreamTable:
        if {"depends_on", "dependencies"} <= self.model_fields_set:
            raise fault("`depends_on` and `dependencies` are one key with two names", "write one")
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


class PointTable(Table):
    """A place where streams meet and their work is merged."""

    type: str | None = Field(
        default=None,
        description="Default: the coordination's convergence_type.",
    )
    streams: list[str] = Field(
        default=[],
        description="Who meets here; streams may also name the point, and meet at several.",
    )
    verify: ShellCommand | None = Field(default=None, description="Must pass on the merged result.")
    verify_retries: Retries = Field(
        default=0, description="How often a failing `verify` is tried again before it counts."
    )
    on_failure: Literal["quarantine", "stop"] = Field(
        default="quarantine", description="What happens when `verify` fails."
    )
    on_conflict: Literal["ask", "quarantine", "stop"] = Field(
        default="ask", description="What happens when work does not merge."
    )
    resolver: ShellCommand | None = Field(
        default=None,
        description="A command that settles conflicts before anybody is asked.",
    )
    timeout: PositiveDuration | None = Field(
        default=None,
        description="Stuck at the point too long.",
    )
    options: Annotated[dict[str, Any], AfterValidator(sound_options)] = Field(
        default={}, description="Handed to the strategy."
    )


class PlanFile(Table):
    """A plan: named streams of work, who waits for whom, and where they converge."""

    version: Annotated[int, AfterValidator(known_version), WithJsonSchema({"const": 1})] = Field(
        description="The version of this format."
    )
    name: Annotated[str, AfterValidator(plain_name)] | None = Field(
        default=None, description="What the plan is called; default: the name of its folder."
    )
    coordination: Coordination = Field(default_factory=Coordination)
    streams: dict[
        str,
        Annotated[
            Annotated[ShellCommand, Tag("<string>")] | Annotated[StreamTable, Tag("<table>")],
            one_of("a command or a table"),
        ],
    ] = Field(min_length=1, description="A bare string is the command.", json_schema_extra=_NAMES)
    convergence: dict[str, PointTable] = Field(
        default={}, description="Named convergence points.", json_schema_extra=_NAMES
    )


def plan_schema(options: OptionsTypes | None = None) -> dict[str, Any]:
    """Return the JSON Schema of the plan file, for editors and other programs.

    ``options`` are the options types of the convergence types that are installed.
    """
    schema = PlanFile.model_json_schema(mode="validation")
    cases, shared = option_schemas(options or {})
    if cases:
        schema["$defs"]["PointTable"]["allOf"] = cases
        schema["$defs"] |= shared
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Anabranch plan",
        **{key: value for key, value in schema.items() if key != "title"},
    }
