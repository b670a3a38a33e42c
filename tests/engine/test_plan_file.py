"""The plan file: what it means, what is wrong with it, and what is said about it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.config import (
    LoadedPlan,
    PlanErrors,
    StrategyNames,
    as_runnable,
    as_strict,
    check_report,
    check_text,
    initial_plan,
    load_plan,
    parse_plan,
    plan_from_commands,
)
from anabranch.config.advice import may_overlap
from anabranch.config.command_plans import stream_names
from anabranch.config.model import plan_schema
from anabranch.config.not_yet import NOT_YET
from anabranch.config.positions import key_positions
from anabranch.config.values import duration_seconds
from anabranch.core.plans.estimates import Learned, Sample
from anabranch.core.plans.plan import Dependency, Plan, RatePlan, StreamPlan, Work
from anabranch.core.strategies import Abilities

MALFORMED = sorted((Path(__file__).parent.parent / "fixtures" / "malformed_plans").glob("*.toml"))
SCHEMA = jsonschema.Draft202012Validator(plan_schema())

FULL = """\
version = 1
name = "split-auth"

[coordination]
convergence_type = "barrier"
checkpoint_interval = 300
max_parallel = "auto"
balancer = "longest-first"
protocols = ["registration", "heartbeat", "negotiation"]

[coordination.isolation]
workspace = "clone"
file_access = "exclusive_write"
confinement = "guard"
include_uncommitted = true

[coordination.state_management]
type = "immutable"
sync_interval = 300

[coordination.heartbeat]
interval = "1m"
timeout = 600

[coordination.resources]
db = 2
on_excess = "stop"

[coordination.recovery]
max_retries = 3
timeout = 600
fallback = "sequential"
soft_grace = 30

[streams]
lint = "ruff check ."

[streams.integration]
command = ["pytest", "-q", "tests/a b"]

[streams.unit]
command = "pytest -q tests/unit"
depends_on = { lint = { condition = "completed" } }
capabilities = ["code_gen"]
resources = { cpu_cores = 2, memory_mb = 1024, db = 1 }
writes = ["tests/unit/**"]
env = { PYTHONHASHSEED = "0" }
working_dir = "."
priority = 5
optional = true
timeout = "30m"
retries = 1
success_exit_codes = [0, 3]
heartbeat = { timeout = 120 }
converge = "tests"
tty = true
after = "10s"
max_parallel = 4

[convergence.tests]
type = "barrier"
streams = ["unit", "integration"]
on_failure = "quarantine"
on_conflict = "stop"
timeout = "1h"
options = { quorum = 2 }
"""


def loaded(text: str, **options: Any) -> LoadedPlan:
    result = parse_plan(text, **options)
    assert isinstance(result, LoadedPlan), check_text(result)
    return result


def refused(text: str, **options: Any) -> PlanErrors:
    result = parse_plan(text, **options)
    assert isinstance(result, PlanErrors)
    return result


def streams_of(plan: Plan) -> dict[str, StreamPlan]:
    return {stream.id: stream for stream in plan.streams}


# ------------------------------------------------------------------ what a plan means


def took(**seconds: float) -> Learned:
    """Return what one earlier run of the whole plan teaches."""
    streams = streams_of(loaded(FULL).plan)
    works = {s: Work("split-auth", s, streams[s].command_text) for s in seconds}
    return Learned({works[s]: (Sample("r", t),) for s, t in seconds.items()})


def test_every_key_of_the_contract_reaches_the_core() -> None:
    """Each value arrives in its unit, and the file's order is kept."""
    plan = loaded(FULL, auto_parallel=7, learned=took(unit=12.5, lint=float("nan"))).plan
    unit = streams_of(plan)["unit"]
    assert [stream.id for stream in plan.streams] == ["lint", "integration", "unit"]
    assert (plan.name, plan.max_parallel, plan.include_uncommitted) == ("split-auth", 7, True)
    assert unit.depends_on == (Dependency(unit.depends_on[0].stream, "completed"),)
    assert unit.command == ("/bin/sh", "-c", "pytest -q tests/unit")
    assert (unit.timeout_seconds, unit.after_seconds, unit.max_retries) == (1800, 10, 1)
    assert (unit.heartbeat_interval_seconds, unit.heartbeat_timeout_seconds) == (60, 120)
    assert (unit.success_exit_codes, unit.priority, unit.tty) == ((0, 3), 5, True)
    assert (unit.optional, unit.workspace, unit.env) == (True, "clone", {"PYTHONHASHSEED": "0"})
    assert (unit.estimate_seconds, unit.estimate_basis) == (12.5, "learned")
    assert streams_of(plan)["lint"].estimate_basis == "class"


def test_what_clocks_have_to_do_with_a_stream_reaches_the_core() -> None:
    text = """\
version = 1
[streams.a]
command = "x"
at = "02:30"
zone = "Europe/Berlin"
catch_up = "skip"
spread = "10m"
rate = { at_most = 10, per = "1m" }
[streams.b]
command = "x"
"""
    found = streams_of(loaded(text).plan)
    assert (found["a"].at, found["a"].zone, found["a"].catch_up) == (
        "02:30",
        "Europe/Berlin",
        "skip",
    )
    assert (found["a"].spread_seconds, found["a"].rate) == (600.0, RatePlan(10, 60.0))
    assert (found["b"].at, found["b"].zone, found["b"].catch_up) == ("", "", "once")
    assert (found["b"].spread_seconds, found["b"].rate) == (0.0, None)


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Europe/Berlim", "did you mean `Europe/Berlin`?"),
        ("berlin", "did you mean `Europe/Berlin`?"),
        ("Mars/Olympus_Mons", 'for example "Europe/Berlin", or "UTC"'),
    ],
)
def test_an_unknown_zone_names_the_nearest_known_one(zone: str, hint: str) -> None:
    (error,) = refused(
        f'version = 1\n[streams.a]\ncommand = "x"\nat = "02:30"\nzone = "{zone}"\n'
    ).errors
    assert (error.line, error.hint) == (5, hint)


def test_resources_and_capabilities_reach_the_core() -> None:
    """What there is, what each stream takes, and what happens to one that takes more."""
    plan = loaded(FULL).plan
    unit = streams_of(plan)["unit"]
    assert (plan.resources, plan.on_excess) == ({"db": 2.0}, "stop")
    assert unit.resources == {"cpu_cores": 2, "memory_mb": 1024, "db": 1}
    assert unit.capabilities == ("code_gen",)
    assert (plan.heartbeat_interval_seconds, plan.heartbeat_timeout_seconds) == (60, 600)


def test_ceilings_reach_the_core_and_are_no_lower_than_what_is_asked_for() -> None:
    """Each by itself; and a mistake in them has its line, its name and what to do."""
    head = 'version = 1\n[streams.a]\ncommand = "true"\n'
    both = "resources = { memory_mb = 100 }\nlimits = { memory_mb = 100, cpu_cores = 0.5 }\n"
    plan = loaded(head + both).plan
    assert streams_of(plan)["a"].limits == {"memory_mb": 100, "cpu_cores": 0.5}
    assert streams_of(loaded(head).plan)["a"].limits == {}
    for written, key, message in (
        ("resources = { memory_mb = 100 }\nlimits = { memory_mb = 99 }", "memory_mb", "100"),
        ("resources = { cpu_cores = 2 }\nlimits = { cpu_cores = 1.5 }", "cpu_cores", "2"),
    ):
        result = parse_plan(head + written)
        assert isinstance(result, PlanErrors)
        (error,) = result.errors
        assert (error.line, error.key) == (5, f"streams.a.limits.{key}")
        assert f"is below what the stream asks for: {message}" in error.message
        assert "ceilings" in error.hint
    for written, words in (
        ("limits = { memory = 9 }", "memory_mb"),
        ("limits = { memory_mb = 0 }", "16"),
        ("limits = { cpu_cores = 0 }", "0.01"),
        ('limits = { memory_mb = "1GB" }', "number"),
        ("limits = 5", "table"),
    ):
        result = parse_plan(head + written)
        assert isinstance(result, PlanErrors)
        (error,) = result.errors
        assert error.line == 4
        assert words in f"{error.message} {error.hint}"


ABLE = """\
version = 1
[streams.scan]
command = "x"
capabilities = ["analysis"]
[streams.fix]
command = "x"
"""


@pytest.mark.parametrize(
    ("written", "condition"),
    [
        ('["scan", { capability = "analysis" }]', "succeeded"),
        ('["scan", { capability = "analysis", condition = "started" }]', "started"),
        ('{ scan = {}, any = { capability = "analysis" } }', "succeeded"),
        ('{ scan = {}, fix = { capability = "analysis", condition = "started" } }', "started"),
    ],
)
def test_a_dependency_may_name_a_capability(written: str, condition: str) -> None:
    """In both forms; in the table the key is only a label then."""
    plan = loaded(f"{ABLE}depends_on = {written}\n").plan
    named, capable = streams_of(plan)["fix"].depends_on
    assert (named.stream, named.capability) == ("scan", "")
    assert (capable.capability, capable.condition) == ("analysis", condition)
    assert capable.providers == ("scan",)
    assert SCHEMA.is_valid(tomllib.loads(f"{ABLE}depends_on = {written}\n"))


@pytest.mark.parametrize(
    "written",
    ['["scan", { capability = "analysis" }]', '{ scan = { condition = "completed" } }', '["scan"]'],
)
def test_depends_on_has_another_name(written: str) -> None:
    """`dependencies` means the same, is checked the same, and does not stand beside the other."""
    plans = [loaded(f"{ABLE}{key} = {written}\n").plan for key in ("depends_on", "dependencies")]
    assert plans[0] == plans[1]
    assert plans[0].streams[1].depends_on
    assert SCHEMA.is_valid(tomllib.loads(f"{ABLE}dependencies = {written}\n"))
    (error,) = refused(f'{ABLE}dependencies = ["scna"]\n').errors
    assert (error.line, error.hint) == (7, "did you mean `scan`?")
    (error,) = refused(f'{ABLE}dependencies = ["fix"]\n').errors
    assert "wait for each other" in error.message
    errors = refused(f"{ABLE}dependencies = {written}\ndepends_on = {written}\n").errors
    assert any("one key with two names" in error.message for error in errors)


def test_a_capability_that_no_stream_has_is_worth_a_word() -> None:
    """Somebody has to join from outside."""
    (warning,) = loaded(f'{ABLE}depends_on = [{{ capability = "magic" }}]\n').warnings
    assert (warning.code, warning.stream) == ("unknown-capability", "fix")


@pytest.mark.parametrize(("bytes_more", "codes"), [(0, []), (1, ["impossible-command"])])
def test_a_command_is_no_longer_than_a_program_can_be_given(
    bytes_more: int, codes: list[str]
) -> None:
    """The longest that the kernel takes is taken; it would refuse one byte more at the start."""
    text = "true #" + "x" * (131_065 + bytes_more)
    started = subprocess.run(["/bin/sh", "-c", text], check=False) if not bytes_more else None
    assert started is None or started.returncode == 0
    warnings = loaded(f'version = 1\n[streams]\na = "{text}"\n').warnings
    assert [warning.code for warning in warnings] == codes


def test_what_this_machine_has_not_got_is_worth_a_word() -> None:
    """The plan may be meant for another; what it says itself counts more than the machine."""
    text = f"{ABLE}resources = {{ cpu_cores = 8, memory_mb = 100 }}\n"
    machine = {"cpu_cores": 2.0, "memory_mb": 4000.0}
    (warning,) = loaded(text, machine=machine).warnings
    assert (warning.code, warning.stream) == ("impossible-resources", "fix")
    assert "needs 8 cpu_cores, and there are only 2" in warning.message
    more = "[coordination.resources]\ncpu_cores = 16\n[streams.scan]"
    assert not loaded(text.replace("[streams.scan]", more), machine=machine).warnings


def test_a_bare_string_takes_every_default() -> None:
    """The coordination's defaults are the streams' defaults."""
    lint = streams_of(loaded(FULL).plan)["lint"]
    assert (lint.command_text, lint.max_retries, lint.converge) == ("ruff check .", 3, "final")
    assert (lint.timeout_seconds, lint.heartbeat_timeout_seconds) == (None, 600)


def test_a_command_array_runs_as_it_is() -> None:
    """Its text is what one would type into a shell."""
    integration = streams_of(loaded(FULL).plan)["integration"]
    assert integration.command == ("pytest", "-q", "tests/a b")
    assert integration.command_text == "pytest -q 'tests/a b'"


def test_points_keep_the_order_of_the_file_and_the_final_one_is_last() -> None:
    """Streams join by naming the point or by being listed; the rest meets at the end."""
    plan = loaded(FULL).plan
    assert [(point.id, point.streams) for point in plan.points] == [
        ("tests", ("integration", "unit")),
        ("final", ("lint",)),
    ]
    tests = plan.points[0]
    assert (tests.on_conflict, tests.timeout_seconds, tests.options) == (
        "stop",
        3600,
        {"quorum": 2},
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("0.5s", 0.5),
        ("1m0.25s", 60.25),
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("0s", 0),
    ],
)
def test_durations_are_seconds_or_words(written: object, seconds: float) -> None:
    """As the contract writes them; an editor that holds the file to the schema agrees."""
    assert duration_seconds(written) == seconds
    plan = {"version": 1, "streams": {"a": {"command": "true", "after": written}}}
    assert SCHEMA.is_valid(plan)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("max_parallel = 3", "`max_parallel` belongs under `[coordination]`"),
        ("isolation = {}", "`isolation` belongs under `[coordination]`"),
        ("[coordination]\nverify = 'make'", "`verify` belongs under `[convergence.NAME]`"),
        ("[streams.b]\ncommand = 'x'\nname = 'b'", "`name` belongs at the top"),
        (
            "[streams.b]\ncommand = 'x'\nmax_retries = 2",
            "did you mean `retries`? `max_retries` belongs under",
        ),
    ],
)
def test_a_key_of_another_table_is_sent_there(text: str, hint: str) -> None:
    """Whoever knows the key but not its place is not left with a list of other keys."""
    errors = parse_plan(f"version = 1\n{text}\n[streams.a]\ncommand = 'x'\n")
    assert isinstance(errors, PlanErrors)
    assert hint in errors.errors[0].hint


def test_an_installed_strategy_is_accepted_by_name() -> None:
    """A point without a type takes the coordination's; a chosen fallback becomes the recovery."""
    known = StrategyNames(
        {
            **StrategyNames().names,
            "convergence": frozenset({"barrier", "quorum"}),
            "balancers": frozenset({"fifo"}),
            "recovery": frozenset({"retry", "patient"}),
        }
    )
    text = (
        'version = 1\n[coordination]\nconvergence_type = "quorum"\nbalancer = "fifo"\n'
        'recovery = { fallback = "patient" }\n[streams]\na = "x"\n'
        '[convergence.p]\nstreams = ["a"]\n[convergence.q]\ntype = "barrier"\n'
    )
    result = loaded(text, known=known)
    assert [point.type for point in result.plan.points] == ["quorum", "barrier", "quorum"]
    assert (result.plan.balancer, result.plan.recovery) == ("fifo", "patient")
    assert [warning.code for warning in result.warnings] == ["empty-point"]


def test_a_plan_without_a_name_is_called_after_its_folder(tmp_path: Path) -> None:
    """A script need not invent one."""
    folder = tmp_path / "my-project"
    folder.mkdir()
    (folder / "anabranch.toml").write_text('version = 1\n[streams]\na = "x"\n')
    result = load_plan(folder / "anabranch.toml")
    assert isinstance(result, LoadedPlan)
    assert result.plan.name == "my-project"


def test_the_plan_survives_the_journal() -> None:
    """It is encoded when a run begins and read back when the run is resumed."""
    plan = loaded(FULL).plan
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


# ------------------------------------------------------------------ commands in place of a file


def test_commands_become_streams_named_after_their_programs() -> None:
    """Settings and folders before the program do not name it, and every name is its own."""
    commands = ["pytest -q a", "pytest b", "CI=1 ./bin/run.sh x", "echo 'open", "$X", "Pytest c"]
    result = plan_from_commands(commands, "quick")
    assert isinstance(result, LoadedPlan)
    names = [stream.id for stream in result.plan.streams]
    assert names == ["pytest", "pytest-2", "run.sh", "echo", "X", "Pytest-3"]
    assert [stream.command_text for stream in result.plan.streams] == commands


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("make test", "test"),
        ("make -j4 lint", "lint"),
        ("make", "make"),
        ("npm run build", "build"),
        ("PYTHONPATH=. python3 -m pytest -q", "pytest"),
        ("python3 tools/gen.py --all", "gen.py"),
        ("python3 -c 'print(1)'", "python3"),
        ("sh -c 'sleep 3; echo x'", "sh"),
        ("time cargo test", "test"),
        ("for i in 1 2 3; do echo $i; done", "loop"),
        ("if true; then echo; fi", "script"),
        ("sleep 3 && cat a.txt", "sleep"),
    ],
)
def test_a_stream_is_named_after_what_its_command_runs(command: str, name: str) -> None:
    """Not after a runner: ten targets of make are told apart by their names."""
    assert stream_names([command]) == [name]


@pytest.mark.parametrize("commands", [[], [""], ["a\0b"], ["a\udcff"], ["ok", "  "]])
def test_commands_that_cannot_run_are_refused(commands: list[str]) -> None:
    """With an error for each, and no traceback."""
    assert isinstance(plan_from_commands(commands, "quick"), PlanErrors)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(), max_size=6), st.text(max_size=5))
def test_no_command_line_raises(commands: list[str], name: str) -> None:
    """Whatever the words are, they make a plan with as many streams, or errors."""
    result = plan_from_commands(commands, name)
    if isinstance(result, LoadedPlan):
        assert len({stream.id for stream in result.plan.streams}) == len(commands)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text() | st.sampled_from(["make", "wc {item}", "cat {nam}", "a\0", "\udcff"]), max_size=3
    ),
    st.lists(st.text() | st.just("a\0"), max_size=3),
    st.sampled_from(["commands", "", " ", "a\n", "x" * 101]),
)
def test_commands_mean_what_they_would_in_a_plan_file(
    commands: list[str], items: list[str], name: str
) -> None:
    """They are read without its model, which takes long to load; nothing else may differ."""
    able = {"barrier": Abilities(merges_early=True)}
    known = StrategyNames(abilities=able)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anabranch.config.loading.needs_no_model", lambda *_: False)
        by_the_model = plan_from_commands(commands, name, known=known, each=items)
    assert plan_from_commands(commands, name, known=known, each=items) == by_the_model


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_every_mistake_is_named_at_its_place(path: Path) -> None:
    """The head of each malformed plan says what must be found: no more, no less, in this order."""
    head = re.findall(
        r"^# expect (\d+):(\d+) \| (.*?) \| (.*?)\r?$", path.read_text("latin-1"), re.MULTILINE
    )
    result = load_plan(path)
    assert isinstance(result, PlanErrors)
    found = [(str(error.line), str(error.column)) for error in result.errors]
    assert found == [(line, column) for line, column, _, _ in head], check_text(result)
    for error, (_, _, key, message) in zip(result.errors, head, strict=True):
        assert key in error.key
        assert message in error.message
        assert error.file == str(path)


@pytest.mark.parametrize(
    ("key", "hint"), [("timout", "`timeout`"), ("dependson", "`depends_on`"), ("TTY", "`tty`")]
)
def test_an_unknown_key_names_the_nearest_known_one(key: str, hint: str) -> None:
    """The user need not look the right one up."""
    errors = refused(f'version = 1\n[streams.a]\ncommand = "x"\n{key} = 1\n').errors
    assert [hint in error.hint for error in errors] == [True]


def test_an_unreadable_file_is_an_error_and_no_exception(tmp_path: Path) -> None:
    """Missing, a folder, a pipe that nobody writes to, too large, impossible as a path."""
    large, pipe = tmp_path / "large.toml", tmp_path / "pipe.toml"
    large.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    os.mkfifo(pipe)
    expected = {
        tmp_path / "missing.toml": "no such file",
        tmp_path: "a directory",
        large: "larger than 4 MiB",
        pipe: "not a regular file",
        tmp_path / "a\0b": "cannot be read",
    }
    for path, message in expected.items():
        result = load_plan(path)
        assert isinstance(result, PlanErrors)
        assert message in result.errors[0].message


def test_deep_nesting_and_endless_numbers_are_errors() -> None:
    """Both of which make the parser itself give up."""
    assert "deeply" in refused("a = " + "[" * 50_000).errors[0].message
    assert "this is not TOML" in refused("a = " + "9" * 5_000).errors[0].message


def test_a_name_cannot_steer_the_terminal() -> None:
    """Escape sequences in a hostile plan are shown, not sent."""
    text = 'version = 1\n"\\u001b]0;x\\u0007" = 1\n[streams]\n"\\u001b[2J" = ""\n'
    assert "\x1b" not in check_text(refused(text))
    assert "\x1b" not in check_text(load_plan("\x1b[2J.toml"))


def test_a_plan_full_of_mistakes_is_answered_quickly() -> None:
    """Suggestions do not compare every wrong name with every right one."""
    lines = [
        f'[streams.stream{at}]\ncommand = "x"\ndepends_on = ["stream{at}x"]' for at in range(500)
    ]
    errors = refused("version = 1\n" + "\n".join(lines)).errors
    assert len(errors) == 500


# ------------------------------------------------------------------ positions


def test_every_key_has_its_place_whatever_its_form() -> None:
    """Dotted and quoted keys, inline tables, arrays of tables, strings over several lines."""
    text = (
        "# c\na.'b.c'.\"d\\u0041\" = '''x\n]}'''\n"
        't = { u = [1, [2, { v = "}" }]], "w" = """\n"q\\"""" } # }\n'
        "[[s]]\nk=1\n[[s]]\nk = [\n  3, # ]\n  4,\n]\n[s.sub . 'x']\ny = 2026-01-01 10:00:00\n"
    )
    positions = key_positions(text)
    assert set(positions) == set(_paths(tomllib.loads(text)))
    assert positions["a", "b.c", "dA"] == (2, 9)
    assert positions["t", "u", 1, 1, "v"] == (4, 21)
    assert positions["t", "w"] == (4, 34)
    assert positions["s", 1, "k", 1] == (11, 3)
    assert positions["s", 1, "sub", "x", "y"] == (14, 1)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        inner = [found for key, item in value.items() for found in _paths(item, (*path, key))]
    elif isinstance(value, list):
        inner = [found for at, item in enumerate(value) for found in _paths(item, (*path, at))]
    else:
        inner = []
    return [path, *inner] if path else inner


toml_values = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=5), toml_values, max_size=4), st.booleans())
def test_every_key_of_any_document_has_a_place(document: dict[str, Any], multiline: bool) -> None:
    """The scanner sees exactly the keys that the parser sees."""
    text = tomli_w.dumps(document, multiline_strings=multiline)
    assert set(key_positions(text)) == set(_paths(tomllib.loads(text)))


# ------------------------------------------------------------------ any plan, any garbage

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)
words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
durations = st.integers(1, 5000) | st.integers(1, 500).map(lambda n: f"{n}m")


@st.composite
def plan_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Any valid plan: streams wait only for earlier ones."""
    ids = draw(st.lists(names, min_size=1, max_size=6, unique_by=str.casefold))
    points = draw(st.lists(names, max_size=2, unique_by=str.casefold))
    points = [point for point in points if point.casefold() != "final"]
    streams: dict[str, Any] = {}
    for place, name in enumerate(ids):
        optional = {
            "depends_on": st.lists(st.sampled_from(ids[:place] or [""]), unique=True, max_size=3)
            if place
            else st.just([]),
            "converge": st.sampled_from([*points, "final"]),
            "timeout": durations,
            "after": durations,
            "retries": st.integers(0, 9),
            "priority": st.integers(-1000, 1000),
            "env": st.dictionaries(names, words, max_size=2),
            "writes": st.lists(st.sampled_from(["src/**", "src/a.py", "*.md"]), max_size=2),
            "limits": st.fixed_dictionaries({}, optional={"memory_mb": st.integers(16, 99)}),
            "resources": st.dictionaries(names, st.integers(0, 8) | st.floats(0, 8), max_size=2),
            "tty": st.booleans(),
        }
        command = st.fixed_dictionaries({"command": words | st.lists(words, min_size=1)})
        table = st.fixed_dictionaries({"command": words}, optional=optional)
        streams[name] = draw(words | command | table)
    return {
        "version": 1,
        "name": draw(words),
        "coordination": {"max_parallel": draw(st.just("auto") | st.integers(1, 64))},
        "streams": streams,
        "convergence": {point: {"options": {"n": draw(st.integers(0, 9))}} for point in points},
    }


@settings(max_examples=80, deadline=None)
@given(plan_documents())
def test_any_valid_plan_is_read_as_it_was_written(document: dict[str, Any]) -> None:
    """It also fits the schema, and `check` can say something about it."""
    text = tomli_w.dumps(document)
    result = loaded(text)
    SCHEMA.validate(document)
    assert list(streams_of(result.plan)) == list(tomllib.loads(text)["streams"])
    for stream in result.plan.streams:
        entry = document["streams"][stream.id]
        table = entry if isinstance(entry, dict) else {"command": entry}
        written = table["command"]
        is_text = isinstance(written, str)
        assert stream.command == (("/bin/sh", "-c", written) if is_text else tuple(written))
        assert [edge.stream for edge in stream.depends_on] == table.get("depends_on", [])
        assert (stream.priority, stream.env) == (table.get("priority", 0), table.get("env", {}))
        assert stream.converge == table.get("converge", "final")
    assert sum(len(point.streams) for point in result.plan.points) == len(document["streams"])
    json.dumps(check_report(result))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_to_a_plan_raises(data: st.DataObject) -> None:
    """A cut, an insertion or a swap gives a plan or errors with places inside the file."""
    at = data.draw(st.integers(0, len(FULL)))
    until = data.draw(st.integers(at, min(at + 40, len(FULL))))
    inserted = data.draw(st.text(max_size=4) | st.sampled_from(["nan", "[", '"', "{}", "\n[x]\n"]))
    result = parse_plan(FULL[:at] + inserted + FULL[until:])
    check_text(result)
    if isinstance(result, PlanErrors):
        assert result.errors
        assert all(error.line >= 1 and error.column >= 1 for error in result.errors)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["coordination", "streams", "convergence", "name"]), toml_values
    )
)
def test_no_document_raises(document: dict[str, Any]) -> None:
    """Any values under the known keys; and nothing that the loader accepts fails the schema."""
    whole = {"version": 1, **document}
    if isinstance(parse_plan(tomli_w.dumps(whole)), LoadedPlan):
        SCHEMA.validate(whole)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200))
def test_no_bytes_raise(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A file of garbage is a list of errors."""
    path = tmp_path_factory.getbasetemp() / "garbage.toml"
    path.write_bytes(content)
    assert isinstance(load_plan(path), PlanErrors)


# ------------------------------------------------------------------ the schema


def test_the_schema_is_a_sound_one_and_has_a_title() -> None:
    """Editors find out from it what they are looking at."""
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "Anabranch plan"


@pytest.mark.parametrize("text", [FULL, initial_plan()], ids=["contract", "init"])
def test_what_the_loader_accepts_fits_the_schema(text: str) -> None:
    """The two are made from one model."""
    loaded(text)
    SCHEMA.validate(tomllib.loads(text))


@pytest.mark.parametrize(
    "path", [path for path in MALFORMED if path.stem.startswith("unknown_")], ids=lambda p: p.stem
)
def test_the_schema_refuses_unknown_keys_too(path: Path) -> None:
    """In every table of the file."""
    assert not SCHEMA.is_valid(tomllib.loads(path.read_text()))


def test_a_stream_cannot_have_the_name_of_who_operates_the_run() -> None:
    """A message to `operator` would be for one of the two; a command of that name is one still."""
    for name in ("operator", "Operator"):
        (error,) = refused(f'version = 1\n[streams]\n{name} = "true"\n').errors
        assert (error.line, "who operates the run" in error.hint) == (3, True)
    made = plan_from_commands(["/opt/operator --all"])
    assert isinstance(made, LoadedPlan)
    assert [stream.id for stream in made.plan.streams] == ["operator-run"]


# ------------------------------------------------------------------ warnings


def test_a_key_without_effect_is_named_with_its_line_if_the_user_wrote_it() -> None:
    """Defaults are not the user's words and give no warning."""
    text = (
        'version = 1\n[coordination.state_management]\nsync_interval = "9s"\n[streams]\na = "x"\n'
    )
    assert loaded('version = 1\n[streams]\na = "x"\n').warnings == ()
    (warning,) = loaded(text).warnings
    assert warning.code == "no-effect-yet"
    assert "`coordination.state_management.sync_interval` (line 3)" in warning.message


def test_what_is_said_of_handlers_where_there_are_none_has_no_effect() -> None:
    text = 'version = 1\n[streams.a]\ncommand = "x"\nmax_parallel = 2\nhandler_timeout = 3\n'
    found = loaded(text).warnings
    assert {warning.code for warning in found} == {"no-effect-here"}
    assert [warning.path[-1] for warning in found] == ["handler_timeout", "max_parallel"]
    assert all("has no `each`" in warning.message for warning in found)


def test_the_whole_contract_warns_once_for_each_key_without_effect() -> None:
    """In the order of the file."""
    found = [
        warning.message.split("`")[1]
        for warning in loaded(FULL).warnings
        if warning.code == "no-effect-yet"
    ]
    assert found == [
        "coordination.isolation.confinement",
        "coordination.state_management.sync_interval",
    ]
    refusing = [row.key[-1] for row in NOT_YET if row.answer == "refuse"]
    assert refusing == ["confinement"]


def test_writes_that_overlap_are_named_unless_one_stream_ends_before_the_other() -> None:
    """Only streams that may run at the same time can be in each other's way."""
    table = '[streams.{}]\ncommand = "x"\nwrites = ["{}"]\ndepends_on = [{}]\n'
    text = "version = 1\n" + "".join(
        table.format(*row)
        for row in (("a", "src/**", ""), ("b", "src/b.py", '"a"'), ("c", "src/*.py", '"a"'))
    )
    found = [each for each in loaded(text).warnings if each.code == "overlapping-writes"]
    assert [(each.stream, "`c`" in each.message) for each in found] == [("b", True)]


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("src/**", "src/a.py", True),
        ("src", "src/a.py", True),
        ("src/a.py", "./src//a.py", True),
        ("src/*.py", "src/test_*", True),
        ("**", "docs/x", True),
        ("src/**", "docs/**", False),
        ("src/*.py", "src/*.md", False),
        ("**/*.py", "docs/**/*.md", False),
        ("a/b", "a/c", False),
    ],
)
def test_two_globs_overlap_unless_they_surely_do_not(one: str, other: str, overlap: bool) -> None:
    """In doubt they do, whichever is named first."""
    assert may_overlap(one, other) is overlap
    assert may_overlap(other, one) is overlap


def test_a_stream_that_can_never_start_is_named() -> None:
    """It waits for the final point, which waits for it."""
    text = 'version = 1\n[streams]\na = "x"\n[streams.b]\ncommand = "x"\n'
    (warning,) = loaded(text + 'depends_on.a.condition = "converged"\n').warnings
    assert (warning.code, warning.stream) == ("never-starts", "b")


@pytest.mark.parametrize(
    ("keys", "stands"),
    [
        ('env = { A = "$HOME/x" }', "`$HOME` in `streams.a.env.A`"),
        ('env = { A = "x:${PATH}" }', "`${PATH}` in `streams.a.env.A`"),
        ('env = { A = "$(pwd)" }', "`$(pwd)` in `streams.a.env.A`"),
        ('working_dir = "$SUB"', "`$SUB` in `streams.a.working_dir`"),
        ('working_dir = "~/x"', "`~/` in `streams.a.working_dir`"),
        ('writes = ["$OUT/**"]', "`$OUT` in `streams.a.writes[0]`"),
        ('env = { PRICE = "5$", A = "$5 a~b" }', ""),
    ],
)
def test_what_only_a_shell_would_expand_is_worth_a_word(keys: str, stands: str) -> None:
    """It stays as it is written; in a command it is the shell's."""
    text = f"version = 1\n[streams.a]\ncommand = 'echo $HOME'\n{keys}\n"
    found = [w for w in loaded(text).warnings if w.code == "not-expanded"]
    assert [stands in w.message for w in found] == ([True] if stands else [])


@pytest.mark.parametrize(("command", "count"), [('["echo", "$A"]', 1), ('["sh", "-c", "$A"]', 0)])
def test_an_array_is_no_shell(command: str, count: int) -> None:
    """Unless it names one."""
    found = loaded(f"version = 1\n[streams.a]\ncommand = {command}\n").warnings
    assert [w.code for w in found] == ["not-expanded"] * count


SHARED = '[coordination.isolation]\nworkspace = "shared"\n'


@pytest.mark.parametrize(
    ("head", "keys", "named"),
    [
        ("[coordination.isolation]\nfile_access = 'shared'", 'writes = ["x"]', "streams.a.writes"),
        ("[coordination]\nprotocols = []", 'ask = { signal = "USR1" }', "streams.a.ask"),
        (f"{SHARED}", 'writes = ["x"]', "streams.a.writes"),
        (f"{SHARED}include_uncommitted = true", "", "coordination.isolation.include_uncommitted"),
        (f"{SHARED}[coordination]\ntell_conflicts = true", "", "coordination.tell_conflicts"),
        (f'{SHARED}[convergence.final]\nresolver = "true"', "", "convergence.final.resolver"),
        ("[coordination]\nprotocols = []", "heartbeat = { timeout = 5 }", "streams.a.heartbeat"),
        ("[coordination]\ncheckpoint_interval = 5", "", "coordination.checkpoint_interval"),
        ("", "sync = true", "streams.a.sync"),
        ("", 'zone = "Europe/Berlin"', "streams.a.zone"),
        ("", 'catch_up = "skip"', "streams.a.catch_up"),
        ('[convergence.p]\nstreams = ["a"]\non_failure = "stop"', "", "convergence.p.on_failure"),
    ],
)
def test_a_key_that_the_rest_of_the_plan_leaves_idle_is_named(
    head: str, keys: str, named: str
) -> None:
    """It has an effect elsewhere, and none here."""
    (warning,) = loaded(f'version = 1\n{head}\n[streams.a]\ncommand = "true"\n{keys}\n').warnings
    assert warning.code == "no-effect-here"
    assert f"`{named}` has no effect in this plan: " in warning.message


def test_a_resource_that_nobody_has_counted_is_named() -> None:
    """Nothing would limit it; most likely its name is wrong."""
    text = 'version = 1\n[streams.a]\ncommand = "true"\nresources = { memmory_mb = 9 }\n'
    machine = {"cpu_cores": 4.0, "memory_mb": 4096.0}
    (warning,) = loaded(text, machine=machine).warnings
    assert (warning.code, warning.stream) == ("no-effect-here", "a")
    assert "`streams.a.resources.memmory_mb` has no effect" in warning.message
    counted = "[coordination.resources]\nmemmory_mb = 10\n"
    assert not loaded(
        text.replace("[streams.a]", f"{counted}[streams.a]"), machine=machine
    ).warnings
    assert not loaded(text, machine={**machine, "memmory_mb": 10.0}).warnings


def test_reports_that_always_come_too_late_are_worth_a_word() -> None:
    """Only where the plan itself says how often."""
    head = 'version = 1\n[streams.a]\ncommand = "true"\n'
    (warning,) = loaded(f"{head}heartbeat = {{ interval = 60, timeout = 30 }}\n").warnings
    assert (warning.code, warning.stream) == ("heartbeat-too-rare", "a")
    assert not loaded(f"{head}heartbeat = {{ timeout = 30 }}\n").warnings


# ------------------------------------------------------------------ what is impossible


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("/etc/**", "absolute"), ("../x", "may not contain .."), ("", "empty"), (".git/x", ".git")],
)
def test_what_lies_outside_of_the_project_can_never_be_written(pattern: str, reason: str) -> None:
    """An error wherever the plan runs, at its place."""
    text = f'version = 1\n[streams.a]\ncommand = "true"\nwrites = ["src/**", "{pattern}"]\n'
    (error,) = refused(text).errors
    assert (error.line, error.key) == (4, "streams.a.writes[1]")
    assert reason in error.message


@pytest.mark.parametrize("key", ["verify", "resolver"])
def test_an_empty_command_is_a_mistake_everywhere(key: str) -> None:
    """It would count as none."""
    text = f'version = 1\n[streams]\na = "true"\n[convergence.final]\n{key} = " "\n'
    assert [error.key for error in refused(text).errors] == [f"convergence.final.{key}"]


@pytest.mark.parametrize(
    "keys",
    [
        '[coordination.recovery]\npermanent_failures = [""]',
        '[streams.b]\ncommand = "true"\ncapabilities = [" "]',
        '[streams.b]\ncommand = "true"\ndepends_on = [{ capability = "" }]',
        '[streams.b]\ncommand = "true"\nenv_file = ""',
        '[streams.b]\ncommand = "true"\nask = { command = " " }',
    ],
)
def test_what_is_empty_means_neither_nothing_nor_everything(keys: str) -> None:
    """It would be taken for one of the two, without a word."""
    (error,) = refused(f'version = 1\n[streams]\na = "true"\n{keys}\n').errors
    assert "empty" in error.message


IMPOSSIBLE_HERE = {
    "impossible-command": f'env = {{ LONG = "{"x" * 131_067}" }}',
    "impossible-resources": "resources = { cpu_cores = 9999 }",
    "missing-env-file": 'env_file = ["no/such.env"]',
    "never-starts": 'depends_on = { b = { condition = "converged" } }',
    "impossible-items": 'each = { graph = "no/such.json" }',
    "missing-verify": '[convergence.final]\nverify = "no-such-program-anywhere --fast"',
}


@pytest.mark.parametrize("code", IMPOSSIBLE_HERE)
def test_what_cannot_be_here_is_a_warning_and_no_run_may_start(code: str, tmp_path: Path) -> None:
    """The plan may be meant for another machine; told with its place, for a run that is refused."""
    head = 'version = 1\n[streams]\nb = "true"\n[streams.a]\ncommand = "true"\n'
    text = f"{head}{IMPOSSIBLE_HERE[code]}\n"
    found = loaded(text, machine={"cpu_cores": 2.0}, folder=tmp_path)
    assert [warning.code for warning in found.warnings] == [code]
    failed = as_runnable(found)
    assert isinstance(failed, PlanErrors)
    (error,) = failed.errors
    assert error.line >= 6
    assert check_report(found)["runnable"] is False
    assert "a run is refused before anything starts" in check_text(found)
    assert error.message == found.warnings[0].message


@pytest.mark.parametrize(
    ("keys", "code", "said"),
    [
        ('each = []\ncommand = "true {item}"', "no-items", "there are none"),
        ('each = { glob = "no/*" }\ncommand = "true {item}"', "no-items", "no file matches"),
        ('each = ["b"]\ncommand = "true {}"', "not-expanded", "`{}`"),
        ('each = ["b"]\ncommand = "true {{ item }}"', "not-expanded", "`{{ item }}`"),
        ('each = ["b"]\ncommand = "true"\nenv = { X = "{item}" }', "not-expanded", "`{item}`"),
        ('each = ["b"]\ncommand = "true"\nworking_dir = "{dir}"', "not-expanded", "`{dir}`"),
    ],
)
def test_handlers_that_would_do_nothing_or_all_the_same_are_told(
    keys: str, code: str, said: str, tmp_path: Path
) -> None:
    """A pattern that nothing matches, and a placeholder that is none, look like success."""
    found = loaded(f"version = 1\n[streams.a]\n{keys}\n", folder=tmp_path)
    (warning,) = found.warnings
    assert warning.code == code
    assert said in warning.message
    assert warning.line >= 3


@pytest.mark.parametrize("source", ['{ glob = "no/*" }', '{ graph = "no.json" }'])
def test_items_may_come_from_streams_before(source: str, tmp_path: Path) -> None:
    text = f"""version = 1
[streams]
make = "true"
[streams.a]
each = {source}
command = "true"
depends_on = ["make"]
"""
    assert loaded(text, folder=tmp_path).warnings == ()


def test_files_are_counted_where_the_handlers_begin(tmp_path: Path) -> None:
    for name in ("one", "src/two", "src/three"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    keys = 'each = { glob = "*" }\ncommand = "echo {item}"\nworking_dir = "src"'
    shown = check_text(loaded(f"version = 1\n[streams.a]\n{keys}\n", folder=tmp_path))
    assert "a: 2, by the files that are here now\n    echo three\n    echo two" in shown


def test_a_strict_check_takes_every_warning_for_an_error() -> None:
    """With its place; a plan of which nothing is doubtful stays what it is."""
    fine = loaded('version = 1\n[streams]\na = "true"\n')
    assert as_strict(fine) is fine
    text = f'version = 1\n[streams.a]\ncommand = "true"\nsync = true\nwrites = ["x"]\n{SHARED}'
    failed = as_strict(loaded(text))
    assert isinstance(failed, PlanErrors)
    assert [error.line for error in failed.errors] == [4, 4, 5]
    assert failed.errors[0].key == "streams.a.sync"


def test_a_capability_that_nobody_can_bring_is_waited_for_in_vain() -> None:
    """With registration switched off nobody joins."""
    head = ABLE.replace("[streams.scan]", "[coordination]\nprotocols = []\n[streams.scan]")
    (warning,) = loaded(f'{head}depends_on = [{{ capability = "magic" }}]\n').warnings
    assert (warning.code, warning.stream) == ("never-starts", "fix")


@pytest.mark.parametrize(
    ("command", "is_missing"),
    [
        ("no-such-program-anywhere x", True),
        ("A=1 no-such-program-anywhere", True),
        ("PATH=/x no-such-program-anywhere", False),
        ("if true; then no-such; fi", False),
        ("./no-such-file", False),
        ("$TOOL x", False),
        ("(no-such-program)", False),
        ("git status", False),
    ],
)
def test_a_program_that_is_not_on_this_machine_is_worth_a_word(
    command: str, is_missing: bool, tmp_path: Path
) -> None:
    """A stream may bring it; what only a shell could tell is left to it."""
    found = loaded(f'version = 1\n[streams]\na = "{command}"\n', folder=tmp_path)
    assert [w.code for w in found.warnings] == (["missing-program"] if is_missing else [])
    assert as_runnable(found) is found


def test_ten_thousand_streams_with_writes_are_checked_within_seconds() -> None:
    """Comparing stops at a limit, and the report says so."""
    head = 'version = 1\n[streams.s0]\ncommand = "x"\nwrites = ["src/**"]\n'
    table = '[streams.s{}]\ncommand = "x"\nwrites = ["src/**"]\ndepends_on = ["s{}"]\n'
    result = loaded(head + "".join(table.format(at, at - 1) for at in range(1, 10_000)))
    assert len(check_report(result)["waves"]) == 10_000
    assert "too many" in result.warnings[-1].message


# ------------------------------------------------------------------ the report of `check`


def test_the_report_has_the_shape_that_scripts_rely_on() -> None:
    """Names and nesting are promises."""
    too_few = {"p50_seconds": None, "p95_seconds": None}
    report = check_report(loaded(FULL, auto_parallel=2, learned=took(lint=3.0, unit=5.0)))
    assert {key: report[key] for key in report if key != "warnings"} == {
        "schema": 1,
        "name": "split-auth",
        "streams": ["lint", "integration", "unit"],
        "waves": [["lint", "integration"], ["unit"]],
        "critical_path": ["lint", "unit"],
        "estimated_seconds": 18.0,
        "estimates": [
            {"stream": "lint", "seconds": 3.0, "basis": "learned", "runs": 1, **too_few},
            {"stream": "integration", "seconds": 4.0, "basis": "class", "runs": 0, **too_few},
            {"stream": "unit", "seconds": 5.0, "basis": "learned", "runs": 1, **too_few},
        ],
        "points": [
            {"point": "tests", "type": "barrier", "options": {"quorum": 2}},
            {"point": "final", "type": "barrier", "options": {}},
        ],
        "included": {"files": 0, "bytes": 0, "paths": []},
        "balancer": {"balancer": "longest-first", "options": {}},
        "handlers": [],
        "templates": [],
        "setups": [],
        "errors": [],
        "runnable": True,
    }
    assert all(set(each) <= {"code", "message", "stream"} for each in report["warnings"])


def test_the_report_of_a_broken_plan_lists_its_errors() -> None:
    """With everything that a valid plan has, empty."""
    report = check_report(refused('version = 1\nname = "n"\n[streams]\na = ""\n'))
    (error,) = report["errors"]
    assert (report["name"], report["streams"], report["waves"]) == ("n", [], [])
    assert {"file", "line", "key", "message", "hint"} <= set(error)
    assert (error["line"], error["key"]) == (4, "streams.a")


def test_the_report_for_people_names_waves_path_slack_and_warnings() -> None:
    """In plain text without any escape sequence."""
    shown = check_text(loaded(FULL, learned=took(lint=100.0, unit=50.0)))
    assert "  1  lint  integration\n  2  unit\n" in shown
    assert "Critical path, 2m40s: lint -> unit" in shown
    assert "  integration may slip by 1m25s" in shown
    assert "(guessed for 1 of 3 streams)" in shown
    assert "no-effect-yet: `coordination.state_management.sync_interval` (line " in shown
    assert "\x1b" not in shown


def test_the_first_plan_has_twelve_lines_and_names_the_schema_in_the_first() -> None:
    """It runs as it is, without a warning."""
    lines = initial_plan().splitlines()
    assert (len(lines), lines[0]) == (12, "#:schema anabranch.schema.json")
    assert loaded(initial_plan()).warnings == ()


def test_the_engine_starts_without_the_plan_files_model() -> None:
    """Only who reads a plan file pays for the import of the model's library."""
    code = "import sys, anabranch, anabranch.core.plans.graph; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_pattern_that_repeats_a_repetition_is_warned_of() -> None:
    """It does no harm here, and is hardly meant."""
    plan = (
        'version = 1\n[coordination.recovery]\npermanent_failures = [{}]\n[streams]\na = "true"\n'
    )
    (warning,) = loaded(plan.format("'(a+)+$'")).warnings
    assert warning.code == "nested-repetition"
    assert "`(a+)+$`" in warning.message
    assert not loaded(plan.format("'^(error|fatal): [a-z]+$', '(ab)+c{2}'")).warnings
