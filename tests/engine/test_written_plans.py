"""A plan that is written out is the plan again when it is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomli_w
from msgspec.structs import replace

from anabranch.config import LoadedPlan, StrategyNames, parse_plan
from anabranch.config.written_plans import not_carried, plan_document
from anabranch.core.plans.plan import Plan
from anabranch.plugins import load_plugins

KNOWN = StrategyNames.of(load_plugins().strategies, {})
DOCS = Path(__file__).parents[2]
PAGES = [DOCS / "README.md", *sorted((DOCS / "docs").glob("*.md"))]
WRITTEN = [
    block
    for page in PAGES
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    if "[streams" in block
]
EVERYTHING = """
version = 1
name = "all of it"
[coordination]
convergence_type = "progressive"
checkpoint_interval = 20
max_parallel = 3
balancer = "affinity"
protocols = ["registration", "heartbeat"]
jobserver = true
fusion = false
speculation = true
tell_conflicts = true
[coordination.isolation]
workspace = "clone"
file_access = "shared"
include_uncommitted = true
[coordination.state_management]
type = "centralized"
sync_interval = 7
keep_versions = 9
[coordination.heartbeat]
interval = 5
timeout = 50
[coordination.recovery]
max_retries = 0
timeout = 60
fallback = "stop"
soft_grace = 3
transient_failures = ["flaky"]
[coordination.resources]
db = 2
on_excess = "stop"
[streams]
bare = "echo"
[streams.rich]
command = ["python", "-c", "print('x')"]
depends_on = { bare = { condition = "completed" } }
capabilities = ["web"]
resources = { db = 1, cpu_cores = 2 }
limits = { memory_mb = 512 }
writes = ["src/**"]
env = { A = "b" }
env_file = [".env"]
working_dir = "src"
priority = 3
optional = true
timeout = "10m"
retries = 5
success_exit_codes = [0, 3]
heartbeat = { timeout = 9 }
converge = "tests"
tty = true
ask = { line = "are you there?" }
after = "2s"
spread = "4s"
rate = { at_most = 2, per = "1m" }
repeatable = true
review = true
hand_back = "input"
[streams.daily]
command = "true"
at = "02:30"
zone = "Europe/Berlin"
catch_up = "skip"
depends_on = [{ capability = "web" }]
[streams.fan]
each = { matrix = { os = ["a", "b"] }, exclude = [{ os = "b" }] }
command = "echo {item.os}"
max_parallel = 2
max_failures = "5%"
handler_timeout = "9s"
handler_workspace = "each"
[convergence.tests]
type = "barrier"
streams = ["fan"]
verify = "true"
verify_retries = 2
on_failure = "stop"
on_conflict = "quarantine"
timeout = "1h"
options = { reduce = "merge" }
review = true
"""

RACES = """
version = 1
[streams]
before = "true"
[streams.try]
race = 3
command = "work"
depends_on = ["before"]
converge = "tests"
[streams.maybe]
race = 2
optional = true
command = ["work", "less"]
[streams.after]
command = "go on"
depends_on = ["try"]
[streams.beside]
command = "look on"
depends_on = { try = { condition = "started" }, maybe = {} }
[streams.one]
command = "x"
converge = "open"
[streams.other]
command = "x"
optional = true
converge = "open"
[convergence.try]
verify = "make test"
options = { adopt = "first" }
[convergence.open]
type = "race"
[convergence.tests]
streams = ["maybe"]
"""


def read(text: str) -> Plan | None:
    loaded = parse_plan(text, known=KNOWN)
    return loaded.plan if isinstance(loaded, LoadedPlan) else None


@pytest.mark.parametrize("text", [EVERYTHING, RACES, *WRITTEN], ids=lambda text: text.strip()[:24])
def test_what_is_written_is_read_as_it_was(text: str) -> None:
    plan = read(text)
    if plan is None:
        pytest.skip("an example of a part, or of a mistake")
    written = tomli_w.dumps(plan_document(plan))
    again = read(written)
    filled_in = [replace(stream, template="", prompt="") for stream in plan.streams]
    assert again == replace(plan, streams=tuple(filled_in)), written
    assert list(not_carried(plan)) == []


def test_everything_is_a_plan_and_so_are_most_examples() -> None:
    """Else nothing above has been looked at."""
    assert read(EVERYTHING) is not None
    assert read(RACES) is not None
    assert sum(read(text) is not None for text in WRITTEN) > 10


def test_what_is_usual_is_not_written() -> None:
    plan = read('version = 1\nname = "p"\n[streams]\na = "echo a"\n')
    assert plan is not None
    assert plan_document(plan) == {"version": 1, "name": "p", "streams": {"a": "echo a"}}
