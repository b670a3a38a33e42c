"""The real engine in a simulated world, from a seed: faults first, then calm until all has ended.

One simulation has two parts. In the first, *trouble*, everything goes wrong that can: effects fail
and dawdle, the engine crashes before and after its appends, the disk fills up, answers come twice,
and an operator stops, retries, resumes and approves at random moments. Then faults cease, and what
is left must come to an end: a run that hangs is as wrong as one that breaks a promise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from random import Random

import msgspec

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.ids import RunId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import RunPhase, State
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Strategies
from anabranch.engine.engine import Engine
from anabranch.errors import DiskFull
from anabranch.testing import promises
from anabranch.testing.faults import NO_FAULTS, Faults
from anabranch.testing.memory_store import MemoryStore
from anabranch.testing.operator import Operator
from anabranch.testing.plans import random_plan
from anabranch.testing.pressing import random_pressure
from anabranch.testing.promises import PromiseBroken, Witness
from anabranch.testing.world import SimulatedWorld

LARGEST_STEP_COUNT = 20_000
HELP_ROUNDS = 20
PRESSED_TIMES = 6


class Trouble(msgspec.Struct, frozen=True):
    """What goes wrong, how often, and for how many seconds of the virtual clock."""

    seconds: float
    faults: Faults
    crash: float
    commands: int
    full_disks: int
    clock_sets: int = 0


NO_TROUBLE = Trouble(0.0, NO_FAULTS, 0.0, 0, 0)


def random_trouble(rng: Random) -> Trouble:
    """Return some of everything that can go wrong, but not all at once."""

    def chance(most: float) -> float:
        return rng.choice((0.0, most / 4, most))

    return Trouble(
        seconds=rng.uniform(10.0, 120.0),
        faults=Faults(
            workspace_fails=chance(0.1),
            workspace_waits_for_room=chance(0.2),
            capture_fails=chance(0.1),
            capture_waits_for_room=chance(0.2),
            merge_fails=chance(0.2),
            check_is_flaky=chance(0.3),
            base_fails=chance(0.05),
            approval_refused=rng.choice((0.0, 0.5, 1.0)),
            process_fails=chance(0.4),
            setup_fails=chance(0.3),
            process_never_begins=chance(0.1),
            holder_killed=chance(0.1),
            process_stalls=chance(0.2),
            stop_ignored=chance(0.6),
            report_twice=chance(0.2),
            edits_collide=rng.choice((0.0, 0.2, 0.9, 0.9)),
            memory_short=chance(0.12),
        ),
        crash=chance(0.06),
        commands=rng.choice((0, 0, 2, 6)),
        full_disks=rng.choice((0, 0, 1, 3)),
        clock_sets=rng.choice((0, 0, 1, 3)),
    )


class Simulation:
    """One run of a plan, simulated from a seed.

    Args:
        seed: the same seed, strategies and plan always give the same events.
        strategies: what the engine may choose from.
        plan: the plan to run; a random one if None.
        trouble: what goes wrong; drawn from the seed if None.
    """

    def __init__(
        self,
        seed: int,
        strategies: Strategies,
        plan: Plan | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.plan = plan or random_plan(
            self.rng, tuple(sorted(strategies.balancers)), tuple(sorted(strategies.convergence))
        )
        self.trouble = trouble or random_trouble(self.rng)
        self.sometimes: Counter[str] = Counter()
        self.store = MemoryStore()
        self.world = SimulatedWorld(self.rng, self.trouble.faults, self._post, self.sometimes)
        self.operator = Operator(self)
        self._strategies = strategies
        self._witness = Witness()
        self._mailbox: list[tuple[inputs.Input, fx.Effect | None]] = []
        self._under_way: dict[fx.Effect, None] = {}
        self._crash = self.trouble.crash
        self._engine: Engine | None = None
        self._steps = 0

    @property
    def state(self) -> State:
        """The newest state, as the events tell it."""
        assert self._witness.state is not None
        return self._witness.state

    def run(self) -> State:
        """Simulate until nothing moves any more; raises PromiseBroken."""
        self._begin()
        self._enter_trouble()
        self._go_on_until_rest()
        self._end_trouble()
        self._go_on_until_rest()
        for _ in range(HELP_ROUNDS):
            if not self.operator.helps():
                break
            self._go_on_until_rest()
        self._look_at_the_end()
        return self.state

    def submit(self, command: inputs.Command) -> None:
        """Give the engine a command, if one is there to hear it."""
        if self._engine is not None:
            self._post(command, None)

    # --- the course of things --------------------------------------------------------------------

    def _begin(self) -> None:
        self._engine = self._new_engine(None)
        start = inputs.StartRun(
            run=RunId(f"seed-{self.seed}"),
            project="/project",
            plan_path=None,
            plan=self.plan,
            approve=self.rng.random() < 0.4,
            wall=0.0,
        )
        self._take_turn([(start, None)], may_crash=False)

    def _enter_trouble(self) -> None:
        trouble, agenda = self.trouble, self.world.agenda
        for _ in range(trouble.commands):
            agenda.after(self.rng.uniform(0.0, trouble.seconds), self.operator.acts)
            agenda.after(self.rng.uniform(0.0, 30.0), self._look_out)
        for _ in range(PRESSED_TIMES if self.plan.is_adaptive else 0):
            agenda.after(self.rng.uniform(0.0, trouble.seconds), self._press)
        for _ in range(trouble.full_disks):
            agenda.after(self.rng.uniform(0.0, trouble.seconds), lambda: self._fill_disk(True))
            agenda.after(self.rng.uniform(0.0, trouble.seconds), lambda: self._fill_disk(False))
        for _ in range(trouble.clock_sets):
            seconds = self.rng.choice((-20.0, 30.0, 90.0))
            moment = self.rng.uniform(0.0, trouble.seconds)
            agenda.after(moment, partial(self.world.wall.set_by, seconds))
        agenda.after(trouble.seconds, self._end_trouble)

    def _look_out(self) -> None:
        if self._engine is not None:
            self.world.looks_out(self._engine.state)

    def _press(self) -> None:
        if self._engine is not None:
            self._post(random_pressure(self.rng), None)

    def _end_trouble(self) -> None:
        # A refused approval keeps nobody from coming to an end.
        self.world.faults = Faults(approval_refused=self.trouble.faults.approval_refused)
        self._crash = 0.0
        self._fill_disk(False)

    def _fill_disk(self, is_full: bool) -> None:
        self.store.is_full = is_full

    def _go_on_until_rest(self) -> None:
        agenda = self.world.agenda
        while self._mailbox or len(agenda):
            self._steps += 1
            if self._steps > LARGEST_STEP_COUNT:
                self._fail([f"no rest after {LARGEST_STEP_COUNT} steps"])
            if self._engine and self._mailbox and (not len(agenda) or self.rng.random() < 0.6):
                count = self.rng.randint(1, len(self._mailbox))
                batch, self._mailbox = self._mailbox[:count], self._mailbox[count:]
                self._take_turn(batch)
            else:
                agenda.step()

    # --- the engine ------------------------------------------------------------------------------

    def _new_engine(self, state: State | None) -> Engine:
        return Engine(self.store, self._strategies, self.world.clock, state)

    def _post(self, given: inputs.Input, answers: fx.Effect | None) -> None:
        self._mailbox.append((self._with_cause(given), answers))

    def _with_cause(self, given: inputs.Input) -> inputs.Input:
        """Say of a process's report what led to it, as the performer of processes does."""
        if not isinstance(given, inputs.AttemptObservation) or given.cause is not None:
            return given
        return msgspec.structs.replace(given, cause=self.engine.state.streams[given.stream].cause)

    def _take_turn(
        self, batch: list[tuple[inputs.Input, fx.Effect | None]], may_crash: bool = True
    ) -> None:
        assert self._engine is not None
        if may_crash and self.rng.random() < self._crash:
            self.sometimes["a crash before an append"] += 1
            self._go_down()
            return
        try:
            turn = self._engine.turn([given for given, _ in batch])
        except DiskFull:
            self.sometimes["the journal's disk was full"] += 1
            self._mailbox = [*batch, *self._mailbox]
            self._wait_for_room()
            return
        for refusal in turn.refusals.values():
            self.sometimes[f"refused: {refusal.reason.split()[-1]}"] += 1
        self._count(turn.records)
        self._fail(self._witness.see(turn.records, self._engine.state, self.world.git))
        if may_crash and self.rng.random() < self._crash:
            self.sometimes["a crash between append and perform"] += 1
            self._go_down()
            return
        for given, answered in batch:
            self._settle(given, answered)
        self._perform(turn.effects)

    def _wait_for_room(self) -> None:
        if not len(self.world.agenda):
            self._fill_disk(False)

    def _perform(self, effects: Iterable[fx.Effect]) -> None:
        assert self._engine is not None
        state = self._engine.state
        for effect in effects:
            if effect not in self._under_way and not self._is_settled(effect):
                self._under_way[effect] = None
                self.world.perform(state, effect)
        self._look_around()

    def _settle(self, given: inputs.Input, answered: fx.Effect | None) -> None:
        """Strike off what an input has answered."""
        if answered is not None:
            self._under_way.pop(answered, None)
        if not isinstance(given, inputs.AttemptObservation):
            return
        ends = isinstance(given, inputs.ProcessExited | inputs.ProcessLost | inputs.EffectFailed)
        if ends or isinstance(given, inputs.SetupBegan | inputs.ProcessStarted):
            kinds = (fx.StartProcess, fx.StopProcess) if ends else (fx.StartProcess,)
            for effect in list(self._under_way):
                if isinstance(effect, kinds) and (effect.stream, effect.attempt) == (
                    given.stream,
                    given.attempt,
                ):
                    del self._under_way[effect]

    def _is_settled(self, effect: fx.Effect) -> bool:
        """Return whether later inputs of the same turn have made an effect pointless."""
        return isinstance(effect, fx.StopProcess) and effect not in self.engine.owed()

    @property
    def engine(self) -> Engine:
        """The engine that hosts the run right now."""
        assert self._engine is not None
        return self._engine

    def _go_down(self) -> None:
        self._engine = None
        self._mailbox.clear()
        self._under_way.clear()
        self.world.crash()
        self.world.agenda.after(self.rng.uniform(0.1, 5.0), self._come_back)

    def _come_back(self) -> None:
        """Another engine takes over, as the host does: survey, one turn, then all that is owed."""
        self._engine = self._new_engine(self.store.load())
        self.world.is_heard = True
        found = [self._with_cause(fact) for fact in self.world.processes.survey()]
        adopted = sum(isinstance(fact, inputs.ProcessStarted) for fact in found)
        was_full, self.store.is_full = self.store.is_full, False
        turn = self._engine.turn([inputs.ResumeRun(reason="resumed", adopted=adopted), *found])
        self.store.is_full = was_full
        self._count(turn.records)
        self._fail(self._witness.see(turn.records, self._engine.state, self.world.git))
        self._perform(self._engine.owed())

    # --- looking ---------------------------------------------------------------------------------

    def _look_around(self) -> None:
        state, now = self.engine.state, self.world.clock()
        self._fail(promises.unmatched_effects(state, self._under_way, now))
        self._fail(promises.wrong_in_world(self.world, state))
        if state.runs_alone is not None:
            self.sometimes["a stream ran alone after it ran out of memory"] += 1

    def _look_at_the_end(self) -> None:
        records, state = self.store.records, self.state
        if state.phase is RunPhase.NEEDS_OPERATOR:
            self._fail([f"the operator helped {HELP_ROUNDS} times in vain: {state.reason}"])
        self._fail(promises.unfinished(self.world, state))
        self._fail(promises.unsettled_points(state))
        self._fail(promises.not_in_order(records))
        self._fail(promises.not_stored(records, state, self.rng.randint(0, len(records))))
        self.sometimes[f"a run ended {state.phase}"] += 1
        ended = [s for s in state.streams.values() if s.memory.overruns]
        if any(s.phase is Phase.SUCCEEDED for s in ended):
            self.sometimes["a victim was chosen and later succeeded"] += 1

    def _count(self, records: Iterable[ev.Recorded]) -> None:
        for record in records:
            self.sometimes[ev.wire_name(type(record.event).__name__)] += 1

    def _fail(self, broken: Iterable[str]) -> None:
        for promise in broken:
            raise PromiseBroken(f"seed {self.seed}: {promise}\n{self.story()}")

    def story(self, latest: int = 40) -> str:
        """Return the latest events, a line each."""
        return "\n".join(in_words(record) for record in self.store.records[-latest:])


def in_words(record: ev.Recorded) -> str:
    """Return one event as a line of a story."""
    fields = {n: getattr(record.event, n) for n in record.event.__struct_fields__ if n != "plan"}
    facts = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    name = ev.wire_name(type(record.event).__name__)
    return f"{record.at:8.2f} s  #{record.seq} (by {record.cause}) {name}: {facts}"
