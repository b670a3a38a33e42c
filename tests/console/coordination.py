"""Runs whose streams coordinate: locks, shared state, messages and resources to look at."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from anabranch.core import calls, inputs
from anabranch.core.calls import Call, Caller
from anabranch.core.events import ConflictedPath
from anabranch.core.ids import StreamId
from anabranch.engine.source import Hosting
from tests.console.scripted_source import DEMO_STREAMS, ScriptedSource, plan_of, stream

_NUMBERS = count()


def call(source: ScriptedSource, kind: type[Call], name: str, **facts: Any) -> None:
    """Let a stream ask for something; the operator asks with an empty name."""
    attempt = source.state.streams[StreamId(name)].attempt if name else 0
    caller = Caller(StreamId(name), attempt, is_operator=not name)
    source.feed(kind(caller, f"test-{next(_NUMBERS)}", **facts))


def coordinated_source(folder: Path, *, hosting: Hosting = "here") -> ScriptedSource:
    """Return a run in which everything that can be seen happens at once."""
    resources = {"unit": {"cpu_cores": 2.0, "memory_mb": 1024.0}, "docs": {"db": 1.0}}
    streams = [
        stream(s.id, command=s.command_text, resources=resources.get(s.id, {}))
        for s in DEMO_STREAMS[:9]
    ]
    plan = plan_of(streams, parallel=9, keep_going=True, resources={"db": 2.0, "gpu": 1.0})
    source = ScriptedSource(plan, folder, hosting=hosting)
    source.feed(inputs.MachineSeen(capacity={"cpu_cores": 8.0, "memory_mb": 16384.0}))
    source.feed(inputs.MachineLoad(memory_available_mb=9100.0, memory_pressure=3.0))
    _state(source)
    _locks(source)
    _messages(source)
    _resources(source)
    _foreseen(source)
    source.pass_time(9.0)
    return source


def _foreseen(source: ScriptedSource) -> None:
    pair = (StreamId("auth-session"), StreamId("cart"))
    path = ConflictedPath(
        path="src/shop/session.py", kind="contents", base="1", ours="2", theirs="3"
    )
    source.feed(inputs.PairTested(streams=pair, attempts=(1, 1), paths=(path,), cause=1))


def _state(source: ScriptedSource) -> None:
    money = {"currency": "EUR", "rounding": "half-even", "digits": 2}
    call(source, calls.StateSet, "schema", key="schema/version", value=3)
    source.pass_time(4.0)
    call(source, calls.StateSet, "billing-tax", key="money", value=money)
    source.pass_time(7.0)
    call(source, calls.StateSet, "lint", key="style", value="ruff")
    source.pass_time(2.0)
    call(source, calls.StateUpdate, "cart", key="money", value={"digits": 4, "tax": True})
    call(source, calls.StateSet, "schema", key="schema/version", value=4)
    source.pass_time(3.0)
    call(
        source,
        calls.StateCommit,
        "auth-session",
        base=5,
        changes={"auth/rotation": {"hours": 12, "on_login": True}, "auth/ready": True},
        removed=("style",),
    )
    call(source, calls.StateSet, "", key="freeze", value="\x1b[2Jnot before \u202eFriday")


def _locks(source: ScriptedSource) -> None:
    call(source, calls.Lock, "schema", path="db/schema.sql")
    call(source, calls.Lock, "cart", path="src/cart/model.py")
    call(source, calls.Lock, "billing-tax", path="src/billing/")
    for name in ("lint", "types", "auth-tokens"):
        call(source, calls.Lock, name, path="pyproject.toml", mode="read")
    source.pass_time(6.0)
    call(source, calls.Lock, "auth-session", path="db/schema.sql")
    source.pass_time(11.0)
    call(source, calls.Lock, "auth-session", path="src/auth/session.py")
    call(source, calls.Lock, "cart", path="db/schema.sql", mode="read")
    source.pass_time(5.0)
    call(source, calls.Lock, "billing-tax", path="src/cart/model.py")
    source.pass_time(8.0)
    call(source, calls.Lock, "schema", path="src/billing/")
    written = inputs.PathsWritten(
        stream=StreamId("docs"), attempt=1, paths=("src/cart/model.py", "docs/index.md")
    )
    source.feed(written)


def _messages(source: ScriptedSource) -> None:
    call(source, calls.Send, "schema", to="auth-session", body="the session table has a new column")
    call(source, calls.ReadInbox, "auth-session")
    call(source, calls.Send, "auth-session", to="schema", body={"need": "index", "on": ["user_id"]})
    source.pass_time(2.0)
    call(source, calls.Send, "cart", to="docs", body="hello?", deadline_seconds=1.0)
    call(source, calls.Broadcast, "lint", body="pyproject.toml is being sorted, hold on")
    call(source, calls.Send, "types", to="lint", body="\x1b[31mred\x07 [bold]not markup[/]")
    call(source, calls.Send, "", to="cart", body="leave src/billing alone for now")
    source.pass_time(3.0)
    source.wake()


def _resources(source: ScriptedSource) -> None:
    call(source, calls.RequestResources, "types", amounts={"cpu_cores": 3.0, "gpu": 1.0})
    call(source, calls.RequestResources, "cart", amounts={"cpu_cores": 2.0, "memory_mb": 2048.0})
    call(source, calls.RequestResources, "schema", amounts={"gpu": 1.0})
    source.pass_time(4.0)
    call(source, calls.RequestResources, "auth-tokens", amounts={"cpu_cores": 3.0})
    for name, cpu, memory in (("types", 180.0, 400), ("cart", 250.0, 2900), ("schema", 3.0, 80)):
        source.speak(name, "working", cpu_percent=cpu, memory_bytes=memory << 20)
