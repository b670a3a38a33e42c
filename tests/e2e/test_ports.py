"""Ports of streams, in real runs."""

from __future__ import annotations

import json

import msgspec

from anabranch.engine.port_leases import PortLease
from tests.e2e.program import Program, until

SERVES = (
    'python3 -m http.server --bind 127.0.0.1 "$ANABRANCH_PORT_WEB" & '
    'echo "web on $ANABRANCH_PORT_WEB"; wait'
)


def _leases(program: Program) -> list[PortLease]:
    file = program.state_home / "anabranch/ports.json"
    return msgspec.json.decode(file.read_bytes(), type=list[PortLease]) if file.exists() else []


def test_two_runs_serve_at_once_and_a_port_outlives_its_console(program: Program) -> None:
    """Each has one of its own; who is killed with its console leaves it to its process."""
    program.plan({"api": {"command": SERVES, "ports": ["web"]}})
    first = program.begin("run", "--headless")
    program.await_log("api", "web on")
    port = program.streams()["api"]["ports"]["web"]
    assert program.log("api").startswith(f"web on {port}")
    first.kill()
    run = program.folder().run

    second = program.begin("run", "--headless")
    until(lambda: program.folder().run != run and program.log("api"), "the other run serves")
    row = program.streams()["api"]
    assert row["ports"]["web"] != port
    assert f"stream api of run {run} has it" in row["warnings"][0]
    assert {lease.port for lease in _leases(program)} == {port, row["ports"]["web"]}

    program.expect(0, "stop", program.folder().run)
    second.wait()
    assert [lease.run for lease in _leases(program)] == [run]
    shown = json.loads(program.asked(0, "status", run, "--json").out)["streams"][0]
    assert shown["ports"] == {"web": port}
    program.expect(0, "stop", run)
    assert _leases(program) == []
