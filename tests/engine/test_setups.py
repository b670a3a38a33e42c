"""Setup and teardown in a plan file: for all streams, or a stream's own."""

from __future__ import annotations

from anabranch.config import LoadedPlan, PlanErrors, check_text, parse_plan
from anabranch.config.written_plans import plan_document
from anabranch.core.plans.plan import Plan, SideCommand

FOR_ALL = """
version = 1
[coordination.isolation]
setup = "npm ci"
setup_timeout = "5m"
teardown = ["docker", "compose", "down"]
"""
STREAMS = """
[streams]
a = "npm test"
[streams.b]
command = "pytest"
setup = ["uv", "sync"]
teardown = "echo done"
working_dir = "services/api"
[streams.c]
command = "true"
setup = false
teardown = false
[streams.d]
command = "true"
workspace = "shared"
"""


def plan(text: str) -> Plan:
    """Return the plan that a text says."""
    loaded = parse_plan(text)
    assert isinstance(loaded, LoadedPlan), loaded
    return loaded.plan


def test_what_is_for_all_reaches_every_stream_that_says_nothing() -> None:
    """In the project's folder; but not who works in the user's own, which is ready."""
    a, _, _, d = plan(FOR_ALL + STREAMS).streams
    assert a.setup == SideCommand(("/bin/sh", "-c", "npm ci"), "npm ci")
    assert a.setup_timeout_seconds == 300.0
    assert a.teardown == SideCommand(("docker", "compose", "down"), "docker compose down")
    assert (d.setup, d.teardown) == (None, None)


def test_a_stream_has_a_setup_of_its_own_in_its_own_folder_or_none() -> None:
    """Which it is whatever is said for all."""
    for text in (STREAMS, FOR_ALL + STREAMS):
        text = text if "version" in text else f"version = 1{text}"
        _, b, c, _ = plan(text).streams
        assert b.setup == SideCommand(("uv", "sync"), "uv sync", "services/api")
        assert b.teardown == SideCommand(
            ("/bin/sh", "-c", "echo done"), "echo done", "services/api"
        )
        assert (c.setup, c.teardown) == (None, None)


def test_a_plan_as_it_is_says_them_again() -> None:
    """What is written of a plan makes the same plan."""
    import tomli_w

    first = plan(FOR_ALL + STREAMS)
    again = plan(tomli_w.dumps(plan_document(first)))
    assert [(s.setup, s.teardown, s.setup_timeout_seconds) for s in again.streams] == [
        (s.setup, s.teardown, s.setup_timeout_seconds) for s in first.streams
    ]


def test_check_shows_what_is_set_up() -> None:
    loaded = parse_plan(FOR_ALL + STREAMS)
    text = check_text(loaded)
    assert "setup of a: npm ci" in text
    assert "teardown of b: echo done" in text


def test_handlers_with_workspaces_of_their_own_are_not_set_up() -> None:
    """It would be run in a workspace that none of them sees."""
    text = (
        FOR_ALL
        + """
    [streams.many]
    command = "x {item}"
    each = ["1"]
    handler_workspace = "each"
    """
    )
    loaded = parse_plan(text)
    assert isinstance(loaded, PlanErrors)
    assert "a workspace of its own" in loaded.errors[0].message
    assert isinstance(parse_plan(text + "setup = false\n"), LoadedPlan)


def test_a_setup_has_to_say_something() -> None:
    for bad in ('""', "[]", "true", "3"):
        assert isinstance(
            parse_plan(f"version = 1\n[streams.a]\ncommand='x'\nsetup={bad}"), PlanErrors
        )
