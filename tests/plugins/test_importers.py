"""The built-in importers: every key of the source is carried or named, and means the same here."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import tomli_w
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.config import LoadedPlan, parse_plan
from anabranch.config.model import Coordination, Isolation
from anabranch.config.stream_tables import StreamTable
from anabranch.config.written_plans import plan_document
from anabranch.core.ids import stream_fault
from anabranch.extending import NotThisFormat
from anabranch.plugins import load_plugins
from anabranch_plugins.importers.interpolating import command_of
from anabranch_plugins.importers.names import stream_names

IMPORTERS = load_plugins().extensions.importers


def imported(name: str, text: str) -> tuple[dict[str, Any], str]:
    """Return the streams of a text, and all that was left out."""
    found = IMPORTERS[name].convert(text)
    streams: dict[str, Any] = found.plan["streams"]
    return streams, "\n".join(found.left_out)


# --- compose -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ('sh -c "echo $$HOME"', "/home\n"),
        ("printf %s $$HOME", "$HOME"),
        ("echo ${TAG:-none} '${TAG}' \"a  b\"", "t 1 t 1 a  b\n"),
        ("echo $TAG && echo $$TAG;", "t 1 && echo $TAG;\n"),
        ("echo ${MISSING-a b} ${TAG:+set}", "a b set\n"),
    ],
)
def test_a_composed_command_does_what_compose_does(command: str, printed: str) -> None:
    """Its own words, no shell but the one it names; ``$$`` is a dollar, a name is its value."""
    made, _ = command_of([command])
    argv = ["/bin/sh", "-c", made] if isinstance(made, str) else made
    env = {"PATH": "/usr/bin:/bin", "HOME": "/home", "TAG": "t 1"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == printed


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=8)))
@settings(max_examples=60, deadline=None)
def test_words_without_a_name_are_carried_as_they_are(words: list[str]) -> None:
    """Whatever is in them: a dollar is written twice."""
    made, names = command_of([["x", *(word.replace("$", "$$") for word in words)]])
    assert (made, names) == (["x", *words], [])


def test_a_services_image_is_never_guessed() -> None:
    """A command that is options for the image's own program is no command of this machine."""
    streams, left = imported(
        "compose",
        """
        services:
          cache: {image: redis, command: --appendonly yes}
          shell: {image: alpine, command: [--, x]}
          tool: {build: ., entrypoint: [tool, --fast], command: run -x}
          debug: {image: a, command: b, profiles: [debug]}
          more: {extends: {service: tool}}
        """,
    )
    assert streams == {"tool": {"command": ["tool", "--fast", "run", "-x"], "retries": 0}}
    for name in ("cache: its command (--appendonly", "shell:", "debug:", "more:", "tool.build:"):
        assert name in left


def test_what_a_plan_does_not_expand_is_left_out_of_its_environment() -> None:
    """Everything else is text as it was written; what has no value is inherited as ever."""
    streams, left = imported(
        "compose",
        """
        services:
          a:
            command: x
            env_file: [.env, ./b.env, /c.env, {path: d.env, required: false}]
            environment: {A: $$5, B: "$B", C: "${D:-x}/y", T: 12:30, N: no, O: 010, E: , F: true}
        """,
    )
    assert streams["a"]["env"] == {"A": "$5", "T": "12:30", "N": "no", "O": "010", "F": "true"}
    assert streams["a"]["env_file"] == [".env", "b.env"]
    assert "a.environment.C: ${D:-x}/y" in left
    assert "a.environment.B" not in left
    assert "a.env_file./c.env" in left
    assert "a.env_file.d.env" in left


SERVICE_KEYS = [
    *("build", "cap_add", "configs", "deploy", "devices", "expose", "healthcheck", "labels"),
    *("networks", "ports", "secrets", "stop_signal", "user", "volumes", "image", "scale"),
]


@pytest.mark.parametrize("key", SERVICE_KEYS)
def test_every_other_key_of_a_service_is_named(key: str) -> None:
    assert f"a.{key}: " in imported("compose", f"services: {{a: {{command: x, {key}: [y]}}}}")[1]


def test_a_file_of_variables_is_carried_and_what_compose_expands_in_it_is_named() -> None:
    streams, left = imported("compose", "services: {a: {command: x, env_file: .env}}")
    assert streams["a"]["env_file"] == [".env"]
    assert "a.env_file: what `$NAME` in it stands for" in left


# --- process-compose ----------------------------------------------------------------------------


def test_process_compose_is_carried_or_named_at_every_level() -> None:
    streams, left = imported(
        "process-compose",
        """
        shell: {shell_command: fish}
        environment: [SHARED=1, "LATER=$X"]
        processes:
          a:
            command: echo $$HOME
            working_dir: ./src
            availability: {restart: always, max_restarts: 9, backoff_seconds: 3}
          b: {command: "x {{.V}}", vars: {V: 1}}
          c:
            command: "[[ -e x ]]"
            working_dir: /abs
            depends_on: {a: {condition: process_healthy}, b: {condition: process_started}}
            readiness_probe: {}
        """,
    )
    assert streams == {
        "a": {
            "command": "echo $HOME",
            "env": {"SHARED": "1"},
            "working_dir": "src",
            "retries": 9,
        },
        "c": {
            "command": "[[ -e x ]]",
            "env": {"SHARED": "1"},
            "depends_on": {"a": {"condition": "started"}},
            "retries": 0,
        },
    }
    for name in (
        "shell:",
        "environment.LATER:",
        "a.availability.backoff_seconds:",
        "restart = always",
        "b: its command is a template",
        "c.command: `[[` is for bash",
        "c.working_dir: /abs",
        "c.depends_on.a: process_healthy",
        "c.depends_on.b:",
        "c.readiness_probe:",
    ):
        assert name in left, name


DAEMONS = """
version: "0.5"
processes:
  db:
    command: postgres -D ./data -k /tmp
    readiness_probe:
      exec: {command: "pg_isready -h 127.0.0.1"}
      initial_delay_seconds: 2
      period_seconds: 5
      timeout_seconds: 3
      failure_threshold: 4
    availability: {restart: on_failure, max_restarts: 5}
  migrate:
    command: ./migrate.sh
    depends_on: {db: {condition: process_healthy}}
  api:
    command: uvicorn app:app --port 8000
    depends_on: {migrate: {condition: process_completed_successfully}}
    readiness_probe:
      http_get: {host: 127.0.0.1, scheme: http, path: /health, port: 8000}
    liveness_probe:
      http_get: {host: 127.0.0.1, scheme: http, path: /alive, port: 8000}
    availability: {restart: always}
  worker:
    command: python -m worker
    ready_log_line: "worker (1) ready."
    depends_on: {db: {condition: process_healthy}}
  queue:
    command: redis-server --daemonize yes
    is_daemon: true
    liveness_probe: {exec: {command: redis-cli ping}}
  once:
    command: ./seed.sh
    readiness_probe: {exec: {command: test -e seeded}}
  far:
    command: ./far.sh
    readiness_probe: {http_get: {host: example.org, path: /, port: 80}}
  e2e:
    command: pytest e2e
    depends_on:
      api: {condition: process_healthy}
      worker: {condition: process_log_ready}
      once: {condition: process_completed_successfully}
      far: {condition: process_healthy}
"""


def test_daemons_of_process_compose_are_services_that_others_wait_for() -> None:
    streams, left = imported("process-compose", DAEMONS)
    assert {name for name in streams if streams[name].get("kind")} == {"db", "api", "worker"}
    assert streams["db"] == {
        "command": "postgres -D ./data -k /tmp",
        "kind": "service",
        "ready": {
            "command": "pg_isready -h 127.0.0.1",
            "timeout": 22,
            "interval": 5,
            "failures": 4,
        },
        "retries": 5,
    }
    assert streams["api"]["ready"] == {"http": "/health", "port": 8000}
    assert (streams["api"]["restart"], streams["api"]["retries"]) == ("always", 1000)
    assert streams["worker"]["ready"] == {"log": r"worker\ \(1\)\ ready\."}
    needs = {name: need["condition"] for name, need in streams["e2e"]["depends_on"].items()}
    assert needs == {"api": "ready", "worker": "ready", "once": "succeeded", "far": "started"}
    for said in (
        "db.readiness_probe.timeout_seconds: 3",
        "api.liveness_probe: it is watched by what its readiness_probe asks",
        "queue.liveness_probe: a service stays in the foreground",
        "queue.is_daemon: ",
        "once: its probe; e2e waits for its end",
        "far.readiness_probe.http_get.host: example.org; only this machine is asked",
        "e2e.depends_on.far: process_healthy; taken: started",
    ):
        assert said in left, said
    found = parse_plan(tomli_w.dumps({"version": 1, "streams": streams}))
    assert isinstance(found, LoadedPlan), found
    again = parse_plan(tomli_w.dumps(plan_document(found.plan)))
    assert isinstance(again, LoadedPlan)
    assert again.plan.streams == found.plan.streams


def test_where_all_are_daemons_who_is_needed_by_nobody_is_the_job() -> None:
    probe = "readiness_probe: {http_get: {port: 1}}"
    streams, left = imported(
        "process-compose",
        f"""
        processes:
          db: {{command: db, {probe}}}
          web: {{command: web, depends_on: {{db: {{condition: process_healthy}}}}, {probe}}}
        """,
    )
    assert streams["db"]["kind"] == "service"
    assert "kind" not in streams["web"]
    assert "web: its probe; it stays a job" in left


CONTAINERS = """
services:
  db:
    image: postgres:16
    command: postgres -c fsync=off
    restart: unless-stopped
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U $${PGUSER:-postgres}"]
      interval: 1m30s
      timeout: 5s
      retries: 5
      start_period: 10s
  cache:
    command: [redis-server]
    healthcheck: {test: ["CMD", "redis-cli", "-a", "a b", "ping"], interval: 10s}
  off:
    command: sleep 10
    healthcheck: {disable: true, test: "true"}
  tests:
    command: pytest
    depends_on:
      db: {condition: service_healthy, restart: true}
      cache: {condition: service_healthy}
      off: {condition: service_healthy}
"""


def test_services_of_compose_that_are_checked_are_services() -> None:
    streams, left = imported("compose", CONTAINERS)
    assert {name for name in streams if streams[name].get("kind")} == {"db", "cache"}
    assert streams["db"]["ready"] == {
        "command": "pg_isready -U ${PGUSER:-postgres}",
        "timeout": 460,
        "interval": 90,
        "failures": 5,
    }
    assert streams["cache"]["ready"] == {"command": "redis-cli -a 'a b' ping"}
    needs = {name: need["condition"] for name, need in streams["tests"]["depends_on"].items()}
    assert needs == {"db": "ready", "cache": "ready", "off": "started"}
    for said in (
        "db.healthcheck.timeout: 5s",
        "db.healthcheck.test: it is run on this machine",
        "tests.depends_on.db.restart: not in a plan",
        "tests.depends_on.off: healthy is taken as started",
    ):
        assert said in left, said
    found = parse_plan(tomli_w.dumps({"version": 1, "streams": streams}))
    assert isinstance(found, LoadedPlan), found


def test_a_process_without_a_command_has_an_entry_point_or_is_named() -> None:
    """A command counts before an entry point, there as here; its words go through no shell."""
    streams, left = imported(
        "process-compose",
        """
        processes:
          a: {entrypoint: [sh, -c, "echo $$HOME"]}
          b: {entrypoint: [echo, "${X} y"]}
          c: {entrypoint: [x], command: "echo c"}
          d: {depends_on: {a: {condition: process_started}}}
        """,
    )
    commands = {name: stream["command"] for name, stream in streams.items()}
    assert commands == {"a": ["sh", "-c", "echo $HOME"], "b": "echo \"${X}\"' y'", "c": "echo c"}
    assert "d: it has no command" in left
    assert "b.entrypoint: ${X}" in left


# --- the others ----------------------------------------------------------------------------------


def test_a_procfiles_port_is_foremans() -> None:
    """5000, and 100 more a line; it is fixed, and that is said."""
    streams, left = imported("procfile", "web: run -p $PORT\nworker: w\nmore: x ${PORT:-1}\n")
    assert streams["web"] == {"command": "run -p $PORT", "env": {"PORT": "5000"}}
    assert streams["worker"] == "w"
    assert streams["more"]["env"] == {"PORT": "5200"}
    assert "web: a free PORT" in left


def test_the_lines_of_a_procfile_are_those_of_an_editor() -> None:
    """A form feed is no line's end."""
    with pytest.raises(NotThisFormat, match="line 3 is not"):
        IMPORTERS["procfile"].convert("a: x\x0cy\u2028z\n\nwhat is this\n")


TEMPLATE = """
name: split
coordination:
  convergence_type: barrier
  isolation: {workspace: isolated, file_access: exclusive_write}
  state_management: {type: immutable, sync_interval: 300}
  protocols: [registration, heartbeat, negotiation]
  recovery: {max_retries: 3, timeout: 600, fallback: sequential}
streams:
  - {id: scan, capabilities: [analysis], command: "true"}
  - {id: fix, dependencies: [scan], command: "true", timeout: 10m, mood: calm}
  - {id: check, depends_on: {fix: {condition: completed, why: so}}, command: ["true", "x"]}
"""


def test_the_quick_references_template_is_a_plan_as_it_stands() -> None:
    """It needs no extra, every key of it is the plan's, and every other one is named."""
    found = IMPORTERS["quick-reference"].convert(TEMPLATE)
    streams = found.plan["streams"]
    assert found.plan["coordination"] == yaml.safe_load(TEMPLATE)["coordination"]
    assert streams["fix"] == {"command": "true", "timeout": "10m", "depends_on": ["scan"]}
    assert streams["check"]["depends_on"] == {"fix": {"condition": "completed"}}
    assert [line.partition(": ")[0] for line in found.left_out] == [
        "streams.fix.mood",
        "streams.check.depends_on.fix.why",
    ]
    plan = parse_plan(tomli_w.dumps({"version": 1, **found.plan}))
    assert isinstance(plan, LoadedPlan)


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("coordination", Coordination.model_fields),
        ("coordination.isolation", Isolation.model_fields),
        ("streams.a", StreamTable.model_fields),
    ],
)
def test_whatever_a_plan_has_a_key_for_is_carried(place: str, fields: dict[str, Any]) -> None:
    """What is carried is read off the model, so a new key is carried too."""
    skipped = {"depends_on", "dependencies", "protocols"} | {"isolation", "state_management"}
    for key in fields.keys() - skipped - {"recovery", "heartbeat"}:
        document: dict[str, Any] = {"coordination": {}, "streams": {"a": {"command": "x"}}}
        table = document
        for part in place.split("."):
            table = table.setdefault(part, {})
        table[key] = ["given"]
        found = IMPORTERS["quick-reference"].convert(json.dumps(document))
        assert "given" in json.dumps(found.plan), key
        assert not found.left_out, key


@pytest.mark.parametrize("name", ["compose", "process-compose", "quick-reference"])
def test_a_key_that_is_there_twice_is_refused(name: str) -> None:
    """One of the two would be lost without a word."""
    with pytest.raises(NotThisFormat, match="line 2: `a` is there twice"):
        IMPORTERS[name].convert("x: {a: 1,\na: 2}")


@given(st.lists(st.text(max_size=90), unique=True, max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_names_become_names_of_streams(names: list[str]) -> None:
    """Fit for a plan, and no two alike, not even but for their case."""
    made = stream_names([*names, "operator", "Operator", "a.lock", "a..b", "A", "a"])
    assert all(stream_fault(name) is None for name in made.values()), made
    assert len({name.casefold() for name in made.values()}) == len(made)
