"""A world on a virtual clock: it performs the engine's effects, late, out of order and with faults.

What a real machine keeps (workspaces, commits, refs, processes) survives a crash of the engine;
what lives in the engine's process (answers under way, timers) does not. Every effect may be
performed again after a crash, and must then come to the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TypedDict

import msgspec

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.streams.restoring import to_restore
from anabranch.core.events import Conflict, ConflictedPath, Resolution
from anabranch.core.folds.inheritance import inherited_by, inherited_from
from anabranch.core.folds.verifying import has_passed
from anabranch.core.ids import FINAL_POINT, Attempt, Seq, StreamId
from anabranch.core.model.state import State
from anabranch.testing.agenda import Agenda
from anabranch.testing.checkpoints import SimulatedCheckpoints
from anabranch.testing.clock import FakeClock
from anabranch.testing.git import FakeGit
from anabranch.testing.processes import Fate, Key, SimulatedProcess, SimulatedProcesses
from anabranch.testing.wall import SimulatedWall


class Faults(msgspec.Struct, frozen=True):
    """How likely each fault is (0..1), each time it could happen."""

    workspace_fails: float = 0.0
    workspace_waits_for_room: float = 0.0
    capture_fails: float = 0.0
    capture_waits_for_room: float = 0.0
    merge_fails: float = 0.0
    check_is_flaky: float = 0.0
    base_fails: float = 0.0
    approval_refused: float = 0.0
    process_fails: float = 0.0
    process_never_begins: float = 0.0
    holder_killed: float = 0.0
    process_stalls: float = 0.0
    stop_ignored: float = 0.0
    report_twice: float = 0.0
    edits_collide: float = 0.0
    memory_short: float = 0.0


NO_FAULTS = Faults()


class _About(TypedDict):
    stream: StreamId
    attempt: Attempt
    cause: Seq


def _about(effect: fx.PrepareWorkspace | fx.CaptureResult | fx.AskStream) -> _About:
    """Return what an answer says of the attempt that its effect was for."""
    return {"stream": effect.stream, "attempt": effect.attempt, "cause": effect.cause}


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
        self._ready: dict[Key, inputs.WorkspaceReady] = {}
        self._heard_at: dict[Key, float] = {}
        self._post = post
        self._counts = sometimes
        self.checkpoints = SimulatedCheckpoints(self.git, self.workspaces, rng, self.sometimes)
        self.wall = SimulatedWall(self.clock, self.agenda, post, self.sometimes)
        self.is_heard = True
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
            case fx.StartProcess():
                self.processes.start(effect.stream, effect.attempt, self._fate(state, effect))
            case fx.AskStream():
                self._later(effect, lambda: self._ask(effect))
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
        about = _about(effect)
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
        taken = to_restore(state, effect.stream)
        if taken is not None and taken.start_tree == tree:
            self.sometimes("an attempt went on from a checkpoint")
            self.workspaces[key] = dict(self.git.tree(taken.tree))
        else:
            taken = None
        path = f"/workspaces/{effect.stream}.{effect.attempt}"
        ready = inputs.WorkspaceReady(
            path=path,
            start_commit=commit,
            start_tree=tree,
            restored=taken.number if taken else 0,
            **about,
        )
        self._ready[key] = ready
        return ready

    def _ask(self, effect: fx.AskStream) -> inputs.Input:
        self.sometimes("a stream was asked in its plan's way")
        return inputs.StreamAsked(way="signal 10", outcome="asked", **_about(effect))

    def _log_tail(self, is_partial: bool) -> tuple[str, ...]:
        """What the last lines of a failed attempt's log say; most say nothing to anybody."""
        if not is_partial or self.rng.random() < 0.6:
            return ()
        self.sometimes("a failure was classified by its log")
        return (self.rng.choice(("HTTP 429 Too Many Requests", "invalid api key")),)

    def _capture(self, state: State, effect: fx.CaptureResult) -> inputs.Input | None:
        key = (effect.stream, effect.attempt)
        about = _about(effect)
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

    # --- checkpoints ------------------------------------------------------------------------------

    def _take_checkpoint(self, state: State, effect: fx.TakeCheckpoint) -> inputs.Input:
        if self.happens(self.faults.capture_fails):
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
            branch="refs/heads/main",
            commit=final.commit,
            message="main has the result",
            cause=effect.cause,
        )

    # --- processes -------------------------------------------------------------------------------

    def _fate(self, state: State, effect: fx.StartProcess) -> Fate:
        rng, faults = self.rng, self.faults
        fate = Fate(rng.uniform(0.01, 0.5), rng.uniform(0.2, 6.0))
        changes: dict[str, object] = {"ignores_stop": self.happens(faults.stop_ignored)}
        if self.happens(faults.process_never_begins):
            changes["never_begins"] = True
        elif self.happens(faults.holder_killed):
            changes["is_lost"] = True
        elif self.happens(faults.process_fails):
            code, signal, error = rng.choice(
                ((1, None, None), (3, None, None), (None, 9, None), (127, None, "no such file"))
            )
            changes |= {"exit_code": code, "signal": signal, "error": error}
        return msgspec.structs.replace(fate, **changes)

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
        if process.is_running:
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
