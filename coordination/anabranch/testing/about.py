"""What every answer says of the attempt that its effect was for."""

from __future__ import annotations

from typing import TypedDict

from anabranch.core import effects as fx
from anabranch.core.ids import Attempt, Seq, StreamId


class About(TypedDict):
    """The fields that all observations of an attempt have."""

    stream: StreamId
    attempt: Attempt
    cause: Seq


def about_attempt(
    effect: fx.PrepareWorkspace | fx.CaptureResult | fx.AskStream | fx.TearDown,
) -> About:
    """Return what an answer says of the attempt that its effect was for."""
    return {"stream": effect.stream, "attempt": effect.attempt, "cause": effect.cause}
