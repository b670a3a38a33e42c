"""What is said of an effect that could not be done: an observation like any other."""

from __future__ import annotations

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.engine.performers.point_checkpoints import declined


def failure_of(effect: fx.Effect, reason: str, *, is_permanent: bool) -> inputs.Input | None:
    """Return what the engine is told of an effect that failed; None if that has no consequence.

    One that ``is_permanent`` would fail again in the next attempt.
    """
    match effect:
        case fx.CaptureBase():
            return inputs.BaseNotFound(reason=reason, cause=effect.cause)
        case fx.MergeResults():
            return inputs.MergeFailed(point=effect.point, reason=reason, cause=effect.cause)
        case fx.RunResolver(point=point):
            return inputs.ResolverFinished(point=point, reason=reason, cause=effect.cause)
        case fx.RunVerify():
            return inputs.VerifyFinished(
                point=effect.point, streams=effect.streams, reason=reason, cause=effect.cause
            )
        case fx.ApproveResult():
            hint = "the result stands on its branch; nothing was changed"
            return inputs.ApprovalNotDone(reason=reason, hint=hint, cause=effect.cause)
        case fx.MergeCheckpoint(point=point, number=number):
            return inputs.CheckpointNotMerged(
                point=point, number=number, reason=reason, cause=effect.cause
            )
        case fx.OfferCheckpoint():
            return declined(effect, reason)
        case fx.TypeInput():
            return inputs.InputTyped(
                stream=effect.stream,
                number=effect.number,
                verdict="unknown",
                evidence=reason,
                cause=effect.cause,
            )
        case fx.AwaitReadiness():
            return inputs.ReadinessSeen(
                stream=effect.stream,
                attempt=effect.attempt,
                is_ready=False,
                evidence=reason,
                cause=effect.cause,
            )
        case fx.TakeCheckpoint():
            return inputs.CheckpointNotTaken(
                stream=effect.stream,
                attempt=effect.attempt,
                number=effect.number,
                reason=reason,
                cause=effect.cause,
            )
        case fx.PrepareWorkspace() | fx.StartProcess() | fx.CaptureResult():
            return inputs.EffectFailed(
                stream=effect.stream,
                attempt=effect.attempt,
                reason=reason,
                is_permanent=is_permanent,
                cause=effect.cause,
            )
    return None
