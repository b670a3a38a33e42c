"""Making a workspace ready: the plan's setup, run by what notes and keeps what it makes."""

from __future__ import annotations

import posixpath
import sys
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State
from anabranch.core.plans.plan import StreamPlan
from anabranch.engine import workspaces as ws
from anabranch.engine.kept_setups.wanted import Wanted
from anabranch.engine.performers.plan_variables import own_variables
from anabranch.engine.performers.processes import ProcessSpec

PROGRAM = "anabranch.engine.kept_setups"


def setup_of(
    repo: ws.Repository, state: State, stream: StreamId, attempt: Attempt
) -> ws.Setup | None:
    """Return what makes an attempt's workspace ready, whose folder is not in it; None if nothing.

    Raises OSError, BadEnvFile.
    """
    plan = state.stream_plan(stream)
    if plan.setup is None:
        return None
    given = own_variables(state, stream, repo.prefix, None)  # noted at the start
    wanted = Wanted(
        workspace="",
        store=str(repo.store),
        folder=posixpath.normpath(repo.prefix or "."),
        within=posixpath.normpath(posixpath.join(repo.prefix, plan.setup.working_dir)),
        inputs=plan.setup.inputs,
        about=sha256(repr(sorted(given.items())).encode()).hexdigest(),
        made=str(ws.made_path(repo, state.run, stream, attempt)),
        not_reused=_why_not_reused(plan),
    )
    return ws.Setup(plan.setup.argv, wanted)


def _why_not_reused(plan: StreamPlan) -> str:
    """Return why nobody can tell what decides the result of a setup; empty if one can."""
    if not plan.executor:
        return ""
    return f"the executor {plan.executor!r} runs it, and what decides the result there is not known"


def with_notes(repo: ws.Repository, state: State, spec: ProcessSpec) -> ProcessSpec:
    """Return an attempt's process with its setup run by what notes what that makes.

    That runs on this machine, around whatever an executor says. Nobody takes away what lies in the
    user's own folder, so nothing is noted there. Raises OSError, BadEnvFile.
    """
    if spec.setup is None or state.stream_plan(spec.stream).workspace == "shared":
        return spec
    setup, workspace = setup_of(repo, state, spec.stream, spec.attempt), _workspace(state, spec)
    assert setup is not None
    wanted = msgspec.json.encode(replace(setup.wanted, workspace=workspace)).decode()
    argv = (sys.executable, "-I", "-m", PROGRAM, wanted, *spec.setup.argv)
    return replace(spec, setup=replace(spec.setup, argv=argv))


def _workspace(state: State, spec: ProcessSpec) -> str:
    workspace = state.at_attempt(spec.stream, spec.attempt).workspace
    assert workspace is not None, "a stream starts in a prepared workspace"
    return workspace.path
