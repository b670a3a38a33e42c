"""Where the streams that are ready stand in the queue."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from anabranch.core import events as ev
from anabranch.core.deciding.draft import Draft
from anabranch.core.ids import Attempt
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import LoadBalancer, QueuedStream, abilities_of
from anabranch.core.strategies.placing import ranking

NO_OPTIONS: Mapping[str, object] = {}


def own_options(balancer: LoadBalancer, plan: Plan) -> Mapping[str, object]:
    """Return the plan's options if they are for a load balancer.

    They are written for the one that the plan names. Another one that is chosen while the run goes
    on has them if it takes all of them, and else its defaults.
    """
    taken = abilities_of(balancer).options_type
    if taken is None or not plan.balancer_options:
        return NO_OPTIONS
    try:
        msgspec.convert(plan.balancer_options, taken)
    except Exception:  # a plugin's type may raise what it likes
        return NO_OPTIONS
    return plan.balancer_options


def queued_view(
    state: State,
    stream: Stream,
    attempt: Attempt,
    queued_at: float,
    options: Mapping[str, object] = NO_OPTIONS,
) -> QueuedStream:
    """Return what a load balancer sees of a stream that is queued since a moment.

    One that is tried again is ready since it was first, and so goes before its equals that have not
    run: what fails for everybody is found out by few.
    """
    plan, topology = state.stream_plan(stream.id), state.topology
    return QueuedStream(
        stream=stream.id,
        position=topology.position[stream.id],
        priority=plan.priority,
        estimate_seconds=plan.estimate_seconds,
        remaining_path_seconds=topology.path_seconds[stream.id],
        attempt=attempt,
        estimate_basis=plan.estimate_basis,
        long_seconds=plan.long_seconds,
        waiters=topology.waiters[stream.id],
        mean_seconds=topology.mean_seconds,
        max_parallel=state.max_parallel,
        queued_at=queued_at if stream.first_queued_at is None else stream.first_queued_at,
        depends_on=tuple(other for d in plan.depends_on for other in d.streams),
        capabilities=plan.capabilities,
        resources=state.asks_of(stream.id),
        options=options,
        own_slot=state.queues.homes.get(stream.id) or 0,
    )


def rank_anew(draft: Draft, reason: str) -> None:
    """Have the load balancer rank again all that are ready; note it if the order changes."""
    state, ranks = draft.state, {}
    balancer = draft.strategies.balancer(state.plan.balancer)
    rank, options = ranking(balancer).rank, own_options(balancer, state.plan)
    for _, _, name in state.ready:
        stream = state.streams[name]
        ranks[name] = rank(queued_view(state, stream, stream.attempt, stream.since, options))
    before = [name for _, _, name in state.ready]
    if before != sorted(before, key=lambda name: (ranks[name], state.topology.position[name])):
        draft.emit(ev.QueueRanked(ranks=ranks, reason=reason))


def rank_of_next(draft: Draft, stream: Stream) -> tuple[float, ...]:
    """Return the place in the queue of a stream whose next attempt is ready now."""
    balancer = draft.strategies.balancer(draft.state.plan.balancer)
    options = own_options(balancer, draft.state.plan)
    view = queued_view(draft.state, stream, stream.attempt + 1, draft.now, options)
    return ranking(balancer).rank(view)
