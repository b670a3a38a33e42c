"""What every input is: a command, which may be refused, or an observation, which never is."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from anabranch.core import events as ev
from anabranch.core.ids import Attempt, Seq, StreamId


class Input(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Anything that reaches the core; ``cause`` is the event that led to it, if one did."""

    cause: Seq | None = None


class Command(Input, frozen=True, tag_field="verb", tag=ev.wire_name, forbid_unknown_fields=True):
    """Somebody wants something. As JSON it is its fields beside its ``verb``."""

    in_words: ClassVar[str] = ""

    @property
    def words(self) -> str:
        """The command as the operator reads it."""
        return self.in_words.format(self) or type(self).__name__


class Observation(Input, frozen=True):
    """Something is so."""


class AttemptObservation(Observation, frozen=True):
    """A fact about one attempt of one stream; facts about an older attempt are out of date."""

    stream: StreamId
    attempt: Attempt
