"""Gives an attempt its ports with its workspace, and gives them back when its stream is over."""

from __future__ import annotations

from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.model.at_work import active_attempts
from anabranch.core.model.state import State
from anabranch.engine.port_leases import PortLeases, Wanted
from anabranch.paths import RunFolder, ports_file


def with_ports(
    state: State, effect: fx.PrepareWorkspace, folder: RunFolder, made: inputs.Input
) -> inputs.Input:
    """Return that a workspace stands, with the ports that its plan asks for.

    Raises OSError.
    """
    names = state.stream_plan(effect.stream).ports
    if not names or not isinstance(made, inputs.WorkspaceReady):
        return made
    wanted = Wanted(
        project=state.project,
        run=state.run,
        stream=effect.stream,
        attempt=effect.attempt,
        folder=folder.path,
        at_work=frozenset(s.attempt for s in active_attempts(state) if s.id == effect.stream),
    )
    before = state.at_attempt(effect.stream, effect.attempt).ports
    given = PortLeases(ports_file()).give(wanted, names, before)
    return replace(made, ports=given.ports, warnings=(*made.warnings, *given.warnings))


def return_ports(effect: fx.ReturnPorts, folder: RunFolder) -> None:
    """Give back the ports of a stream that is over. Raises OSError."""
    PortLeases(ports_file()).give_back(folder.path, effect.stream, effect.attempt)
