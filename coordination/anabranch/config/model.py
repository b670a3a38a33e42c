"""The typed model of the plan file: every key, its type, its bounds, its default, its meaning.

The JSON Schema that editors use is generated from here, so a description below is what a user reads
while typing. Validation is strict: nothing is converted, and an unknown key is an error. The tables
of one stream are in :mod:`.stream_tables`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    Tag,
    WithJsonSchema,
)
from pydantic.config import JsonDict

from anabranch.config.options import OF_BALANCERS, OF_POINTS, OptionsTypes, option_schemas
from anabranch.config.outline_tables import TemplateTable
from anabranch.config.stream_tables import StreamTable
from anabranch.config.tables import Table
from anabranch.config.values import (
    Amount,
    Command,
    Duration,
    IncludePattern,
    Pattern,
    PositiveAge,
    PositiveDuration,
    ProjectPath,
    Protocol,
    Retries,
    ShellCommand,
    SizeOnDisk,
    Width,
    known_version,
    one_of,
    plain_name,
    sound_options,
)
from anabranch.core.ids import STREAM_ID_PATTERN
from anabranch.core.plans.plan import USUAL_RETRIES, USUAL_RUNS_KEPT, USUAL_SETUP_SECONDS

_NAMES: JsonDict = {"propertyNames": {"pattern": f"^{STREAM_ID_PATTERN}$"}}


class Isolation(Table):
    """How streams are kept apart."""

    workspace: Literal["isolated", "clone", "shared"] = Field(
        default="isolated",
        description="A repository of its own, a clone without refs, or the project folder itself.",
    )
    method: Literal["auto", "overlay", "reflink", "pool", "worktree"] = Field(
        default="auto", description="How the files of a workspace are made; same results by each."
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
    include: list[IncludePattern] = Field(
        default=[],
        description="What git ignores and workspaces need, besides .worktreeinclude; never merged.",
    )
    setup: Command | None = Field(
        default=None,
        description="Makes each new workspace ready before its stream's command runs, in the "
        "project's folder there; a string is run by sh -c, an array as is.",
    )
    setup_inputs: list[ProjectPath] = Field(
        default=[],
        description="Files whose contents decide what the setup makes: with the same ones the "
        "result of an earlier setup is used again.",
    )
    setup_timeout: PositiveDuration = Field(
        default=USUAL_SETUP_SECONDS, description="A setup that takes longer is ended, and failed."
    )
    teardown: Command | None = Field(
        default=None,
        description="Run in a workspace when an attempt's work has been kept, for a minute at "
        "most, before the workspace is given back.",
    )
    sensitive: list[str] = Field(
        default=[],
        description="More paths that are named before a result that changes them is approved.",
    )
    max_disk: SizeOnDisk | None = Field(
        default=None,
        description="Nothing starts while what is kept of the project takes more.",
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


class KeepRuns(Table):
    """For how long runs that are over are kept, by how they ended; left out: until you say."""

    converged: PositiveAge | None = Field(
        default=None, description="One that converged goes when it is over for so long."
    )
    failed: PositiveAge | None = Field(
        default=None, description="One that failed goes when it is over for so long."
    )
    stopped: PositiveAge | None = Field(
        default=None, description="One that was stopped goes when it is over for so long."
    )
    at_least: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=USUAL_RUNS_KEPT, description="So many of the newest runs stay, whatever their age."
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
    balancer_options: Annotated[dict[str, Any], AfterValidator(sound_options)] = Field(
        default={}, description="Handed to the load balancer."
    )
    protocols: list[Protocol] = Field(
        default=["registration", "heartbeat", "negotiation"],
        description="Leave one out to switch it off: nobody joins from outside; silence is not "
        "judged; a request for resources is granted or refused, with no offer and no queue.",
    )
    jobserver: bool = Field(
        default=False,
        description="Let make, ninja and cargo in all streams share the machine's slots.",
    )
    fusion: bool = Field(
        default=True,
        description="Let short streams go on in the workspace of the one before them.",
    )
    speculation: bool = Field(
        default=False,
        description="Let a second copy of a repeatable stream that takes unusually long run on "
        "an idle slot; whichever succeeds first counts.",
    )
    tell_conflicts: bool = Field(
        default=False,
        description="Tell running streams by message when their work would not merge.",
    )
    keep_runs: KeepRuns = Field(
        default_factory=KeepRuns,
        description="When a run is over, older ones go whose work is in your own branches.",
    )
    isolation: Isolation = Field(default_factory=Isolation)
    state_management: StateManagement = Field(default_factory=StateManagement)
    heartbeat: CoordinationHeartbeat = Field(default_factory=CoordinationHeartbeat)
    recovery: Recovery = Field(default_factory=Recovery)
    resources: CoordinationResources = Field(
        default_factory=lambda: CoordinationResources.model_validate({}),
        description="What there is of each token; cpu_cores and memory_mb are the machine's.",
    )


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
    review: bool = Field(
        default=False,
        description="Whoever meets here is merged only when a person has taken its result.",
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
    templates: dict[str, TemplateTable] = Field(
        default={}, description="Outlines that streams are made of.", json_schema_extra=_NAMES
    )


class TemplatesFile(Table):
    """The user's own templates, for every project."""

    templates: dict[str, TemplateTable] = Field(
        default={}, description="Outlines that streams are made of.", json_schema_extra=_NAMES
    )


def plan_schema(
    options: OptionsTypes | None = None, balancer_options: OptionsTypes | None = None
) -> dict[str, Any]:
    """Return the JSON Schema of the plan file, for editors and other programs.

    ``options`` are the options types of the convergence types that are installed, and
    ``balancer_options`` those of the load balancers.
    """
    schema = PlanFile.model_json_schema(mode="validation")
    for table, types, place in (
        ("PointTable", options, OF_POINTS),
        ("Coordination", balancer_options, OF_BALANCERS),
    ):
        cases, shared = option_schemas(types or {}, place)
        if cases:
            schema["$defs"][table]["allOf"] = cases
            schema["$defs"] |= shared
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Anabranch plan",
        **{key: value for key, value in schema.items() if key != "title"},
    }
