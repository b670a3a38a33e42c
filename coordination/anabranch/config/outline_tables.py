"""What a template and a stream have in common: all that says how work is done.

When it is done, after whom, and where it meets others is a stream's own
(:mod:`anabranch.config.stream_tables`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Tag, model_validator

from anabranch.config.tables import Table
from anabranch.config.values import (
    Amount,
    Command,
    CpuCeiling,
    Item,
    MemoryCeiling,
    Name,
    PortName,
    PositiveDuration,
    ProjectPath,
    Retries,
    ShellCommand,
    SignalName,
    Text,
    distinct_ports,
    fault,
    one_of,
    sound_environment,
    sound_folder,
)

Setup = Annotated[
    Annotated[Literal[False], Tag("<boolean>")]
    | Annotated[ShellCommand, Tag("<string>")]
    | Annotated[Annotated[list[Text], Field(min_length=1)], Tag("<array>")],
    one_of("a string, an array of strings, or false"),
]
"""A command of a stream's own instead of the one for all; ``false``: none."""


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


class StreamOutline(Table):
    """How a stream works."""

    command: Command = Field(description="A string is run by sh -c, an array is run as is.")
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
    ports: Annotated[list[PortName], AfterValidator(distinct_ports)] = Field(
        default=[],
        max_length=20,
        description="Names of ports: it finds a free one for each, as ANABRANCH_PORT_NAME.",
    )
    writes: list[Text] = Field(
        default=[],
        description="Globs this stream may write; none = anywhere.",
    )
    paths: list[ProjectPath] = Field(
        default=[],
        description="Folders that it works on; its workspace holds those and the files beside the "
        "way to them. None = all.",
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
    workspace: Literal["isolated", "clone", "shared"] | None = Field(
        default=None,
        description="Where it works, if not where `[coordination.isolation]` says for all.",
    )
    working_dir: Annotated[Text, AfterValidator(sound_folder)] = Field(
        default=".", description="The folder to run in, relative to the workspace."
    )
    priority: int = Field(default=0, ge=-1000, le=1000, description="Higher goes first.")
    optional: bool = Field(default=False, description="Its failure does not fail the run.")
    repeatable: bool = Field(
        default=False,
        description="Running it twice, also at a time, does no harm: it may be speculated.",
    )
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
    sync: bool = Field(
        default=False,
        description="Bring others' work into its workspace while it runs, from checkpoints.",
    )
    tty: bool = Field(
        default=False,
        description="Run on a pseudo-terminal, to which people can attach.",
    )
    ask: AskTable | None = Field(
        default=None, description="How it is asked for a sign when it stands still."
    )
    executor: Text | None = Field(
        default=None, description="A plugin that says by which command line it is run."
    )
    review: bool = Field(
        default=False,
        description="Its result is merged only when a person has taken it.",
    )
    setup: Setup | None = Field(
        default=None,
        description="Makes a new workspace ready before its command, in its working_dir and "
        "environment; false: not even what `[coordination.isolation]` says for all.",
    )
    teardown: Setup | None = Field(
        default=None,
        description="Run when an attempt's work has been kept, before its workspace is given back.",
    )
    hand_back: Literal["message", "input", "restart"] = Field(
        default="message",
        description="How notes of a review reach it: a message, typed input, or a new start.",
    )

    @model_validator(mode="after")
    def _has_a_terminal_to_type_into(self) -> StreamOutline:
        if self.ask is not None and self.ask.line and not self.tty:
            raise fault("`ask` with a `line` needs a terminal", "add `tty = true`")
        return self


class TemplateTable(StreamOutline):
    """A stream's outline with blanks: `{prompt}` and others, in its command and environment."""

    description: Text = Field(default="", description="What it is for, for those who choose one.")
    values: dict[str, Item] = Field(
        default={}, description="What stands in a blank when a stream says nothing."
    )
