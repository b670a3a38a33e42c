"""What must hold of streams that have a second copy beside them."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.model.lifecycle import ACTIVE, Phase
from anabranch.core.model.state import Copy, State
from anabranch.core.plans.repeating import most_copies

AT_WORK = ACTIVE - {Phase.CAPTURING}


def copy_promises(state: State) -> Iterator[str]:
    """Yield every promise about copies that the state breaks, in words."""
    hopeful = [copy for copy in state.copies.values() if copy.is_hopeful]
    if len(hopeful) > most_copies(state.plan):
        yield f"{len(hopeful)} copies are at work, {most_copies(state.plan)} may be"
    for copy in state.copies.values():
        yield from _of_copy(state, copy)
    for name, aside in state.speculation.set_aside.items():
        if state.streams[name].attempt in aside:
            yield f"attempt {state.streams[name].attempt} of {name} was set aside, and counts"


def _of_copy(state: State, copy: Copy) -> Iterator[str]:
    run, own = copy.run, state.streams[copy.run.id]
    if run.attempt == own.attempt:
        yield f"attempt {run.attempt} of {run.id} is beside itself"
    if run.id not in state.topology.repeated:
        yield f"{run.id} has a copy, and may have none"
    if not run.is_active:
        yield f"the attempt beside {run.id} is {run.phase}, and is still counted"
    if run.result is not None:
        yield f"attempt {run.attempt} of {run.id} has a result beside attempt {own.attempt}"
    if copy.is_hopeful and own.phase not in AT_WORK:
        yield f"{run.id} is {own.phase}, and its copy may still commit"
    if copy.is_hopeful and own.stop:
        yield f"{run.id} is to end, and its copy may still commit"
    if run.phase is Phase.RUNNING and (run.pid is None or run.workspace is None):
        yield f"attempt {run.attempt} of {run.id} runs without a process or a workspace"
