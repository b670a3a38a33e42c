"""As whom this process acts in a run, and how it reaches the engine.

Inside a stream the environment says it: the process acts as its own stream and as nobody else. In
the process of an engine, ``with anabranch.hosting(host):`` says it: there it may act as any stream,
or as the operator. Either way a call goes through the run's socket, so both have the same rules,
the same waiting and the same refusals.

A call has a connection of its own. That costs a fraction of a millisecond, and threads that wait,
and processes that fork, are never in each other's way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Protocol

from anabranch.client.sync import Client
from anabranch.client.verbs import Refused, Reply, Unreachable
from anabranch.core.ids import StreamId
from anabranch.core.wording import listing, spelled
from anabranch.paths import RunFolder

if TYPE_CHECKING:
    from anabranch.core.model.state import State

OPERATOR = "operator"


class Hosted(Protocol):
    """What is needed of a host: :class:`anabranch.engine.host.RunHost` is one."""

    @property
    def folder(self) -> Path:
        """The run's folder."""

    @property
    def state(self) -> State:
        """The newest state that was made durable."""


_hosts: list[Hosted] = []
_joined: dict[str, tuple[str, str]] = {}
"""Token and folder of the streams that this process has registered."""


@contextmanager
def hosting(host: Hosted) -> Iterator[None]:
    """Let the names of this package mean a run that this process hosts, in all its threads.

    Blocks can be nested; the innermost run is meant. Outside of any, the environment of a stream
    says which run is meant.
    """
    _hosts.append(host)
    try:
        yield
    finally:
        _hosts.remove(host)


def hosted() -> Hosted | None:
    """Return the run that this process hosts, if the names mean one."""
    return _hosts[-1] if _hosts else None


def client(stream_id: str | None = None) -> Client:
    """Return a client that acts as a stream; as this process itself without one.

    Raises Refused if this process may not act as that stream, Unreachable outside of any run.
    """
    host = hosted()
    return _as_stream(stream_id) if host is None else _as_host(host, stream_id)


def joined(stream_id: str, token: str, directory: str) -> None:
    """Remember how a stream that this process has registered acts, and where it works."""
    _joined[stream_id] = token, directory


def own_stream() -> str:
    """Return the stream that this process is part of; empty if it is part of none."""
    return "" if hosted() else os.environ.get("ANABRANCH_STREAM", "")


def workspace(stream_id: str) -> Path:
    """Return the folder that a stream works in. Raises Refused."""
    host = hosted()
    folder = _own_folder(stream_id) if host is None else _hosted_folder(host, stream_id)
    if not folder:
        raise refusal(f"{stream_id} has no folder", "only streams have one: name a stream")
    return Path(folder)


def _own_folder(stream_id: str) -> str:
    _as_stream(stream_id)
    if stream_id in _joined:
        return _joined[stream_id][1]
    return os.environ.get("ANABRANCH_WORKSPACE", "")


def _hosted_folder(host: Hosted, stream_id: str) -> str:
    name = StreamId(stream_id)
    stream, joined = host.state.streams.get(name), host.state.registry.joined.get(name)
    if joined is not None:
        return str(RunFolder(host.folder).joined / name)
    if stream is None:
        raise _unknown(host, stream_id)
    if stream.workspace is None:
        hint = f"it is {spelled(stream.public_state)}; it gets one when it starts"
        raise refusal(f"{stream_id} has no workspace yet", hint)
    return stream.workspace.path


def lock_path(file: str | os.PathLike[str]) -> str:
    """Return a path as locks name it: relative to the top of the workspace, or of the project."""
    name = os.fspath(file)
    host = hosted()
    root = os.environ.get("ANABRANCH_WORKSPACE", "") if host is None else host.state.project
    if not root or not os.path.isabs(name) or not PurePath(name).is_relative_to(root):
        return name
    return os.path.relpath(name, root) + ("/" if name.endswith("/") else "")


def refusal(reason: str, hint: str) -> Refused:
    """Return a refusal that needed no engine."""
    return Refused(Reply(ok=False, outcome="refused", reason=reason, hint=hint))


def _as_stream(stream_id: str | None) -> Client:
    own = own_stream()
    if stream_id is None or stream_id == (own or OPERATOR):
        return Client()
    if stream_id in _joined:
        return Client(token=_joined[stream_id][0])
    if not os.environ.get("ANABRANCH_SOCKET"):
        raise Unreachable(
            "this process is part of no run: start it as a stream, or use anabranch.hosting(host)"
        )
    whose = f"stream {own}" if own else "the operator's"
    raise refusal(
        f"this process is {whose} and cannot act as {stream_id}",
        f"use {own!r}" if own else f"register it first: register_stream({{'id': {stream_id!r}}})",
    )


def _as_host(host: Hosted, stream_id: str | None) -> Client:
    from anabranch.engine.gateway.addresses import socket_folder
    from anabranch.engine.gateway.tokens import Tokens

    tokens = Tokens.of_run(RunFolder(host.folder))
    token = tokens.operator()
    if stream_id not in (None, OPERATOR):
        name = StreamId(stream_id)
        known = host.state.registry.joined.get(name) or host.state.streams.get(name)
        if known is None:
            raise _unknown(host, name)
        if not known.attempt:
            raise refusal(f"{name} has not started yet", "act as it once it runs")
        token = tokens.of_attempt(name, known.attempt)
    return Client(str(socket_folder(RunFolder(host.folder)) / "socket"), token)


def _unknown(host: Hosted, stream_id: str) -> Refused:
    known = listing(host.state.streams, 8)
    return refusal(f"there is no stream {stream_id!r}", f"the plan's streams: {known}")
