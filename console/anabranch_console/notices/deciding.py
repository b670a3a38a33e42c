"""What rings when. Pure: the needs and the time come in, what is to ring goes out.

A need rings once, after it has stood for a while: what passes sooner never rings. What was there
when the console opened has been seen, and so has what somebody looks at. A stream can be muted, and
everything can be for a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import RunPhase, State
from anabranch.core.views.attention import Attention, needy, of_the_run
from anabranch.core.wording import counted

Level = Literal["info", "warning", "error"]

DELAY_SECONDS = 5.0
QUIET_SECONDS = 60.0
"""A stream that has rung does not ring for the same sort of need again within this."""
_OVER = frozenset({RunPhase.CONVERGED, RunPhase.FAILED, RunPhase.STOPPED})


class Need(NamedTuple):
    """Something that wants a person: who, why in words, and since when on the run clock.

    ``sort`` is what two needs of one name are told apart by besides; ``rank`` is lower for what
    says most about where a person has to go.
    """

    name: str
    sort: str
    why: str
    since: float
    level: Level
    rank: int


def needs_of(
    state: State, known: Mapping[StreamId, Attention] | None = None, *, is_hosted: bool = True
) -> list[Need]:
    """Return everything of a run that needs a person now, streams first, and a run that is over.

    Args:
        state: the run.
        known: how each stream stands, if that is known already.
        is_hosted: whether somebody hosts the run.
    """
    stands = dict(needy(state, is_hosted=is_hosted)) if known is None else dict(known)
    found = [
        _need(stream, attention, _level_of(state, stream), 0)
        for stream, attention in stands.items()
        if attention.needs_you
    ]
    found += [
        _need(name, attention, "warning", 2 if name == state.run else 1)
        for name, attention in of_the_run(state, is_hosted=is_hosted)
        if attention.needs_you
    ]
    if state.phase in _OVER and state.ended_at is not None:
        level: Level = "error" if state.phase is RunPhase.FAILED else "info"
        words = f"{state.phase}: {state.reason}"
        found.append(Need(state.run, "over", words, state.ended_at, level, 2))
    return found


def _level_of(state: State, name: StreamId) -> Level:
    stream = state.streams.get(name)
    has_failed = stream is not None and stream.phase in (Phase.FAILED, Phase.QUARANTINED)
    return "error" if has_failed else "warning"


def _need(name: str, attention: Attention, level: Level, rank: int) -> Need:
    return Need(name, attention.state, attention.why, attention.since, level, rank)


def in_words(needs: Sequence[Need]) -> str:
    """Return several needs as one sentence: the first that says where to go, and how many more."""
    first = min(needs, key=lambda need: need.rank)
    more = sum(need.rank == first.rank for need in needs) - 1
    others = f"; {counted(more, 'other')} too" if more else ""
    return f"{first.name}: {first.why}{others}"


class Rings:
    """Remembers what has rung, what has been seen, and what is muted.

    Args:
        delay_seconds: how long a need has to stand before it rings.
        muted: globs of names that never ring.
    """

    def __init__(self, delay_seconds: float = DELAY_SECONDS, muted: Iterable[str] = ()) -> None:
        self._delay_seconds = delay_seconds
        self._muted = list(muted)
        self._muted_until = 0.0
        self._noticed: dict[tuple[str, str, float], float] = {}
        self._settled: set[tuple[str, str, float]] = set()
        self._rang: dict[tuple[str, str], float] = {}
        self._is_first = True

    # --- muting ----------------------------------------------------------------------------------

    def is_muted(self, name: str) -> bool:
        """Return whether a name never rings."""
        return any(fnmatchcase(name, pattern) for pattern in self._muted)

    def mute(self, name: str) -> bool:
        """Mute a name, or take that back; return whether it is muted now."""
        if name in self._muted:
            self._muted.remove(name)
        else:
            self._muted.append(name)
        return self.is_muted(name)

    def mute_all(self, until: float) -> None:
        """Let nothing ring before a time, in seconds of the clock that :meth:`look` is given."""
        self._muted_until = until

    @property
    def muted_until(self) -> float:
        """When everything may ring again."""
        return self._muted_until

    # --- ringing ---------------------------------------------------------------------------------

    def look(self, needs: Sequence[Need], now: float, looked_at: str | None = None) -> list[Need]:
        """Return what is to ring now.

        Args:
            needs: everything that needs a person now.
            now: seconds of any clock that only goes forward.
            looked_at: the stream whose own pane somebody looks at, if so.
        """
        keys = {(need.name, need.sort, need.since): need for need in needs}
        self._forget(keys.keys())
        for key in keys:
            self._noticed.setdefault(key, now)
        if self._is_first:
            self._is_first = False
            self._settled |= keys.keys()
        due = [key for key, need in keys.items() if self._is_due(key, need, now, looked_at)]
        self._settled.update(due)
        self._rang.update({key[:2]: now for key in due})
        return [keys[key] for key in due]

    def _forget(self, known: Iterable[tuple[str, str, float]]) -> None:
        known = set(known)
        self._noticed = {key: at for key, at in self._noticed.items() if key in known}
        self._settled &= known

    def _is_due(
        self, key: tuple[str, str, float], need: Need, now: float, looked_at: str | None
    ) -> bool:
        if key in self._settled or now - self._noticed[key] < self._delay_seconds:
            return False
        if need.name == looked_at:  # at the moment in which it would ring
            self._settled.add(key)
            return False
        rang = self._rang.get(key[:2])
        is_quiet = rang is not None and now - rang < QUIET_SECONDS
        return not is_quiet and now >= self._muted_until and not self.is_muted(need.name)
