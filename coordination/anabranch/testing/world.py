"""A world on a virtual clock: it performs the engine's effects, late, out of order and with faults.

What a real machine keeps (workspaces, commits, refs, processes) survives a crash of the engine;
what lives in the engine's process (answers under way, timers) does not. Every effect may be
performed again after a crash, and must then come to the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.streams.restoring import to_go_on_from, to_restore
from anabranch.core.deciding.streams.stealing import let_go
from anabranch.core.events import Conflict, ConflictedPath, Resolution
from anabranch.core.folds.inheritance import inherited_by, inherited_from
from anabranch.core.folds.verifying import has_passed
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.state import State
from anabranch.testing.about import about_attempt
from anabranch.testing.agenda import Agenda
from anabranch.testing.checkpoints import SimulatedCheckpoints
from anabranch.testing.clock import FakeClock
from anabranch.testing.faults import Faults
from anabranch.testing.git import FakeGit
from anabranch.testing.port_book import PortBook
from anabranch.testing.processes import Key, SimulatedProcess, SimulatedProcesses, drawn_fate
from anabranch.testing.services import SimulatedServices
from anabranch.testing.terminals import SimulatedTerminals
from anabranch.testing.wall import SimulatedWall


class SimulatedWorld:
    """Performs effects; ``post`` gets what comes of them, with the effect that it answers."""

    def __init__(
        self,
        rng: Random,
        faults: Faults,
        post: Callable[[inputs.Input, fx.Effect | None], None],
        sometimes: Counter[str],
    ) -> None:
        self.rng = rng
        self.faults = faults
        self.clock = FakeClock()
        self.agenda = Agenda(self.clock)
        self.git = FakeGit()
        self.workspaces: dict[Key, dict[str, str]] = {}
        self.written: dict[Key, str] = {}
        self.captured: dict[Key, str] = {}
        self.capture_failures: set[Key] = set()
        self.starts: Counter[Key] = Counter()
        self.torn_down: Counter[Key] = Counter()
        self._ready: dict[Key, inputs.WorkspaceReady] = {}
        self._heard_at: dict[Key, float] = {}
        self._post = post
        self._counts = sometimes
        self.ports = PortBook()
        self.services = SimulatedServices(self.clock, rng, post, self.sometimes)
        self.checkpoints = SimulatedCheckpoints(self.git, self.workspaces, rng, self.sometimes)
        self.wall = SimulatedWall(self.clock, self.agenda, post, self.sometimes)
        self.is_heard = True
        self.terminals = SimulatedTerminals(rng, self.sometimes)
        self.processes = SimulatedProcesses(
            self.clock,
            self.agenda,
            self._process_reported,
            self._process_began,
            self._process_ended,
            self.sometimes,
        )

    def sometimes(self, what: str) -> None:
        """Count something that a test wants to see happen now and then."""
        self._counts[what] += 1

    def happens(self, likelihood: float) -> bool:
        return self.rng.random() < likelihood

    # --- effects ---------------------------------------------------------------------------------

    def perform(self, state: State, effect: fx.Effect) -> None:
        """Begin an effect."""
        match effect:
            case fx.CaptureBase():
                self._later(effect, lambda: self._capture_base(effect))
            case fx.PrepareWorkspace():
                self._later(effect, lambda: self._prepare(state, effect))
            case fx.AwaitReadiness():
                self.agenda.after(*self.services.readiness(effect), volatile=True)
            case fx.WatchHealth():
                self.services.watch(effect, self.agenda)
            case fx.ReturnPorts():
                self.ports.take_back(effect)
            case fx.StartProcess():
                fate = drawn_fate(self.rng, self.faults, state, effect)
                fate = self.services.fate_of(state, effect, fate)
                self.processes.start(effect.stream, effect.attempt, fate)
            case fx.TearDown():
                self._later(effect, lambda: self._tear_down(effect))
            case fx.AskVictim():
                self._later(effect, lambda: let_go(effect))
            case fx.AskStream():
                self._later(effect, lambda: self._ask(effect))
            case fx.TypeInput():
                self._later(effect, lambda: self.terminals.type(effect))
            case fx.StopProcess():
                self.processes.stop(effect.stream, effect.attempt, effect.grace_seconds, self.rng)
            case fx.CaptureResult():
                self._later(effect, lambda: self._capture(state, effect))
            case fx.TakeCheckpoint():
                self._later(effect, lambda: self._take_checkpoint(state, effect))
            case fx.MergeCheckpoint():
                self._later(effect, lambda: self._merge_checkpoint(state, effect))
            case fx.OfferCheckpoint():
                self._later(effect, lambda: self._offer(state, effect))
            case fx.MergeResults():
                self._later(effect, lambda: self._merge(state, effect))
            case fx.RunResolver():
                self._later(effect, lambda: self._resolve(state, effect))
            case fx.RunVerify():
                self._later(effect, lambda: self._verify(state, effect))
            case fx.ApproveResult():
                self._later(effect, lambda: self._approve(state, effect))
            case fx.FindTime():
                self.wall.watch(effect)
            case fx.WakeAt():
                seconds = effect.at - self.clock() + self.rng.uniform(0.0, 0.05)
                answer = inputs.TimeReached(cause=effect.cause)
                self.agenda.after(seconds, lambda: self._post(answer, effect), volatile=True)

    def crash(self) -> None:
        """The engine's process dies: whatever it had under way is gone."""
        self.is_heard = False
        self.agenda.forget_volatile()
        self.wall.forget()
        self.processes.lose_the_waiting(self.rng)

    def _later(self, effect: fx.Effect, work: Callable[[], inputs.Input | None]) -> None:
        """Do some work after a while, and answer; if it has no answer yet, try again later."""

        def attempt() -> None:
            answer = work()
            if answer is None:
                self.agenda.after(self.rng.uniform(0.5, 2.0), attempt, volatile=True)
                return
            self._post(answer, effect)
            # A base is asked for again in the same words, so its answer must not come late.
            is_base = isinstance(effect, fx.CaptureBase)
            if not is_base and self.happens(self.faults.report_twice):
                self.sometimes("an answer came twice")
                self._post_again(answer)

        self.agenda.after(self.rng.uniform(0.01, 1.0), attempt, volatile=True)

    def _post_again(self, answer: inputs.Input) -> None:
        delay = self.rng.uniform(0.0, 0.3)
        self.agenda.after(delay, lambda: self._post(answer, None), volatile=True)

    def _capture_base(self, effect: fx.CaptureBase) -> inputs.Input:
        if self.happens(self.faults.base_fails):
            self.sometimes("there was no base")
            return inputs.BaseNotFound(reason="no commit yet", cause=effect.cause)
        commit, tree = self.git.commit({"README": "hello"}, "base")
        return inputs.BaseFound(
            commit=commit, tree=tree, branch="refs/heads/main", head=commit, cause=effect.cause
        )

    # --- workspaces ------------------------------------------------------------------------------

    def _prepare(self, state: State, effect: fx.PrepareWorkspace) -> inputs.Input | None:
        key = (effect.stream, effect.attempt)
        about = about_attempt(effect)
        if key in self._ready:
            self.sometimes("a workspace was prepared again after a crash")
            return msgspec.structs.replace(self._ready[key], cause=effect.cause)
        if self.happens(self.faults.workspace_waits_for_room):
            self.sometimes("a workspace waited for room")
            self._post(inputs.EffectDelayed(reason="the disk is full", **about), None)
            return None
        if self.happens(self.faults.workspace_fails):
            self.sometimes("a workspace could not be made")
            return inputs.EffectFailed(reason="permission denied", **about)
        assert state.base is not None
        if state.stream_plan(effect.stream).workspace == "shared":
            commit, tree = state.base.commit, state.base.tree
        else:
            merge = self.git.bring_together(
                state.base, inherited_by(state, effect.stream), state.resolutions
            )
            if merge.conflicts:
                self.sometimes("what a stream starts from did not merge")
                return inputs.WorkspaceConflicted(conflict=merge.conflicts[0], **about)
            commit, tree = merge.commit, merge.tree
        self.workspaces[key] = dict(self.git.tree(tree))
        taken_from = self._taken_over(state, state.at_attempt(*key).goes_on_from, tree)
        taken = to_restore(state, effect.stream)
        if taken is not None and taken.start_tree == tree:
            self.sometimes("an attempt went on from a checkpoint")
            self.workspaces[key] = dict(self.git.tree(taken.tree))
        else:
            taken = None
        sent_back = to_go_on_from(state, effect.stream)
        if sent_back is not None and sent_back.start_tree == tree:
            self.sometimes("an attempt went on from what was handed back")
            self.workspaces[key] = dict(self.git.tree(sent_back.tree))
        path = f"/workspaces/{effect.stream}.{effect.attempt}"
        ready = inputs.WorkspaceReady(
            path=path,
            start_commit=commit,
            start_tree=tree,
            restored=taken.number if taken else 0,
            taken_from=taken_from,
            ports=self.ports.give(state, effect),
            **about,
        )
        self._ready[key] = ready
        return ready

    def _taken_over(self, state: State, stream: StreamId, tree: str) -> StreamId:
        """Take over the workspace of that stream, if it can be; nobody finds it there then."""
        left = state.streams.get(stream)
        if left is None or left.result is None or self.happens(0.2):
            return StreamId("")
        if tree not in (left.result.tree, left.result.start_tree):
            return StreamId("")
        how = "the workspace of the one before" if tree == left.result.tree else "one begun alike"
        self.sometimes(f"a stream went on in {how}")
        self.workspaces.pop((left.id, left.attempt), None)
        return left.id

    def _ask(self, effect: fx.AskStream) -> inputs.Input:
        self.sometimes("a stream was asked in its plan's way")
        return inputs.StreamAsked(way="signal 10", outcome="asked", **about_attempt(effect))

    def _log_tail(self, is_partial: bool) -> tuple[str, ...]:
        """What the last lines of a failed attempt's log say; most say nothing to anybody."""
        if not is_partial or self.rng.random() < 0.6:
            return ()
        self.sometimes("a failure was classified by its log")
        return (self.rng.choice(("HTTP 429 Too Many Requests", "invalid api key")),)

    def _capture(self, state: State, effect: fx.CaptureResult) -> inputs.Input | None:
        key = (effect.stream, effect.attempt)
        about = about_attempt(effect)
        if state.stream_plan(effect.stream).workspace == "shared":
            return inputs.ResultReady(commit="", tree="", files_changed=0, ref="", **about)
        if self.happens(self.faults.capture_waits_for_room):
            self.sometimes("a capture waited for room")
            self._post(inputs.EffectDelayed(reason="the disk is full", **about), None)
            return None
        if self.happens(self.faults.capture_fails):
            self.sometimes("a capture failed")
            self.capture_failures.add(key)
            return inputs.EffectFailed(reason="unreadable file", **about)
        kind = "partial" if effect.is_partial else "result"
        ref = f"refs/{kind}/{effect.stream}" + (f".{effect.attempt}" if effect.is_partial else "")
        commit, tree = self.git.commit(self.workspaces[key], f"{effect.stream}.{effect.attempt}")
        self.captured[key] = self.git.refs[ref] = commit
        return inputs.ResultReady(
            commit=commit,
            tree=tree,
            files_changed=1,
            ref=ref,
            reverted=self.checkpoints.taken_back(key, tree),
            log_tail=self._log_tail(effect.is_partial),
            **about,
        )

    def _tear_down(self, effect: fx.TearDown) -> inputs.Input:
        key = (effect.stream, effect.attempt)
        process = self.processes.known.get(key)
        assert process is None or not process.is_held, f"{key} is torn down while it runs"
        self.torn_down[key] += 1
        fails = self.happens(self.faults.setup_fails)
        self.sometimes(f"a teardown {'failed' if fails else 'was done'}")
        how = "exit 1" if fails else ""
        return inputs.TeardownDone(exit_code=0, seconds=0.1, failure=how, **about_attempt(effect))

    # --- checkpoints ------------------------------------------------------------------------------

    def _take_checkpoint(self, state: State, effect: fx.TakeCheckpoint) -> inputs.Input:
        is_gone = (effect.stream, effect.attempt) not in self.workspaces
        if is_gone or self.happens(self.faults.capture_fails):
            self.sometimes("a checkpoint could not be taken")
            return inputs.CheckpointNotTaken(
                stream=effect.stream,
                attempt=effect.attempt,
                number=effect.number,
                reason="unreadable file",
                cause=effect.cause,
            )
        return self.checkpoints.take(state, effect)

    def _merge_checkpoint(self, state: State, effect: fx.MergeCheckpoint) -> inputs.Input:
        if self.happens(self.faults.merge_fails):
            self.sometimes("a checkpoint could not be merged at all")
            return inputs.CheckpointNotMerged(
                point=effect.point,
                number=effect.number,
                reason="the store is gone",
                cause=effect.cause,
            )
        return self.checkpoints.merge(state, effect)

    def _offer(self, state: State, effect: fx.OfferCheckpoint) -> inputs.Input | None:
        waits = self.checkpoints.waits(effect)
        if waits is not None:
            self._post(waits, None)
            return None
        process = self.processes.known.get((effect.stream, effect.attempt))
        return self.checkpoints.offer(state, effect, process is not None and process.is_running)

    # --- merging and approving -------------------------------------------------------------------

    def _merge(self, state: State, effect: fx.MergeResults) -> inputs.Input:
        if self.happens(self.faults.merge_fails):
            self.sometimes("a merge could not be done at all")
            return inputs.MergeFailed(
                point=effect.point, reason="the store is gone", cause=effect.cause
            )
        assert state.base is not None
        left_out: dict[StreamId, None] = {}
        conflicts: list[Conflict] = []
        while True:
            streams = [s for s in state.points[effect.point].merging if s not in left_out]
            merge = self.git.bring_together(
                state.base, inherited_from(state, streams), state.resolutions
            )
            conflicts += merge.conflicts
            if not merge.conflicts:
                break
            for stream in merge.left_out:
                left_out[stream] = None
                left_out |= dict.fromkeys(state.topology.descendants(stream))
        if conflicts:
            policy = state.point_plan(effect.point).on_conflict
            self.sometimes(f"results conflicted, and the policy was to {policy}")
        return inputs.MergeFinished(
            point=effect.point,
            commit=merge.commit,
            tree=merge.tree,
            branch=f"anabranch/{state.run}" if effect.point == FINAL_POINT else None,
            merged=tuple(streams),
            conflicts=tuple(conflicts),
            cause=effect.cause,
        )

    def _resolve(self, state: State, effect: fx.RunResolver) -> inputs.Input:
        """Let a resolver command settle everything, some of it, or nothing."""
        settles = self.rng.choice((0.0, 0.5, 1.0))
        settled = tuple(
            Resolution.of(path, "command", f"settled {path.ours} and {path.theirs}")
            for conflict in state.points[effect.point].resolving
            for path in conflict.paths
            if self.happens(settles)
        )
        self.sometimes("a resolver settled a conflict" if settled else "a resolver settled nothing")
        return inputs.ResolverFinished(
            point=effect.point, reason="exit 0", resolutions=settled, cause=effect.cause
        )

    def _verify(self, state: State, effect: fx.RunVerify) -> inputs.Input:
        """Check merged work: some streams' names are what a check fails on, if they brought any."""
        assert state.base is not None
        merge = self.git.bring_together(
            state.base, inherited_from(state, effect.streams), state.resolutions
        )
        command = state.point_plan(effect.point).verify
        known = has_passed(state, command, merge.tree, effect.is_again)
        known = None if effect.failures else known
        if merge.conflicts:
            return inputs.VerifyFinished(
                point=effect.point,
                streams=effect.streams,
                passed=False,
                reason="does not merge without the others",
                cause=effect.cause,
            )
        if self.happens(self.faults.merge_fails):
            self.sometimes("a check came to no result")
            return inputs.VerifyFinished(
                point=effect.point, streams=effect.streams, reason="no disk", cause=effect.cause
            )
        if known is not None:
            self.sometimes("a check was remembered")
        merged = [s for s in effect.streams if state.streams[s].result is not None]
        fails = any(stream.endswith(command[-1]) for stream in merged)
        if known is None and not fails and self.happens(self.faults.check_is_flaky):
            self.sometimes("a check failed by chance")
            fails = True
        self.sometimes("a check failed" if fails else "a check passed")
        return inputs.VerifyFinished(
            point=effect.point,
            streams=effect.streams,
            tree=merge.tree,
            passed=(not fails) if known is None else known,
            exit_code=int(fails),
            reason=f"exit {int(fails)}",
            is_remembered=known is not None,
            cause=effect.cause,
        )

    def looks_out(self, state: State) -> None:
        """Let the conflict radar see something about two streams, true or out of date."""
        streams = sorted(state.streams.values(), key=lambda s: s.id)
        if len(streams) < 2:
            return
        one, other = sorted(self.rng.sample(streams, 2), key=lambda s: s.id)
        paths = (ConflictedPath(path="common-0.txt", kind="contents"),) if self.happens(0.7) else ()
        fact = inputs.PairTested(
            streams=(one.id, other.id),
            attempts=(one.attempt, other.attempt),
            paths=paths,
            cause=state.seq,
        )
        self._post(fact, None)

    def _approve(self, state: State, effect: fx.ApproveResult) -> inputs.Input:
        final = state.points[FINAL_POINT]
        if final.commit is None or self.happens(self.faults.approval_refused):
            self.sometimes("an approval was refused by git")
            return inputs.ApprovalNotDone(
                reason="your branch has moved", hint="merge it yourself", cause=effect.cause
            )
        return inputs.ApprovalDone(
            branch="refs/heads/main", commit=final.commit, message="main has it", cause=effect.cause
        )

    # --- processes -------------------------------------------------------------------------------

    def _process_began(self, process: SimulatedProcess) -> None:
        key = (process.stream, process.attempt)
        self.starts[key] += 1
        content = f"{process.stream}, attempt {process.attempt}"
        self.written[key] = content
        self.workspaces[key][f"{process.stream}.txt"] = content
        self._write_common_file(key)
        self.agenda.after(self.rng.uniform(0.2, 2.0), lambda: self._work_on(process))
        if self.happens(self.faults.process_stalls):
            self._stand_still(process)
        if self.happens(self.faults.memory_short):
            self.agenda.after(1.0, lambda: self._see(self.processes.memory_seen(self.rng)))

    def _work_on(self, process: SimulatedProcess) -> None:
        """Write something in the middle, if it still runs: from an old copy, now and then."""
        key = (process.stream, process.attempt)
        if process.is_running and not process.is_endless:
            self._write_common_file(key)
            if self.happens(self.faults.edits_collide):
                self.checkpoints.write_back(key)
            self.agenda.after(self.rng.uniform(0.3, 2.0), lambda: self._work_on(process))

    def _stand_still(self, process: SimulatedProcess) -> None:
        """Report that a process stands still, and now and then that it gets on again."""
        self.sometimes("a process stood still")
        verdict = self.rng.choice(("stalled", "never_heard"))
        moment = self.rng.uniform(0.1, 1.0)
        self._judge(process, verdict, moment)
        if self.rng.random() < 0.3:
            self._judge(process, "back", moment + self.rng.uniform(0.1, 1.0))

    def _judge(self, process: SimulatedProcess, verdict: str, seconds: float) -> None:
        fact = inputs.LivenessSeen(
            stream=process.stream, attempt=process.attempt, verdict=verdict, evidence="simulated"
        )
        self.agenda.after(seconds, lambda: self._see(fact), volatile=True)

    def _see(self, fact: inputs.Input) -> None:
        if self.is_heard:
            self._post(fact, None)

    def _process_ended(self, process: SimulatedProcess) -> None:
        key = (process.stream, process.attempt)
        self._write_common_file(key)
        if self.happens(self.faults.edits_collide):
            self.checkpoints.write_back(key)

    def _write_common_file(self, key: Key) -> None:
        if self.happens(self.faults.edits_collide / 2):
            path = f"common-{self.rng.randint(0, 1)}.txt"
            self.workspaces[key][path] = f"{key[0]} was here"

    def _process_reported(self, fact: inputs.AttemptObservation) -> None:
        if not self.is_heard:
            self.sometimes("a process went on while no engine was there")
            return
        # Late, but in order: nobody hears of an end before the beginning.
        key = (fact.stream, fact.attempt)
        moment = max(self.clock() + self.rng.uniform(0.0, 0.2), self._heard_at.get(key, 0.0))
        self._heard_at[key] = moment
        self.agenda.after(moment - self.clock(), lambda: self._post(fact, None), volatile=True)
        if self.happens(self.faults.report_twice):
            self.sometimes("a process was reported twice")
            self._post_again(fact)
