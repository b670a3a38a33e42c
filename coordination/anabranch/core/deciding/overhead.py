"""The alert that coordination costs too much: more than a tenth of all time spent, and on what.

It is told once when the share passes the target, with the category that costs most, and again when
it has come back below; in between lies a band, so that a share that wavers is told once. The first
seconds of a run are nearly all overhead, so a few of them do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.model.state import State

MOST_SHARE, WELL_BELOW_SHARE = 0.10, 0.08
LEAST_SECONDS = 2.0


def is_too_much(share: float, by_category: Mapping[str, float]) -> bool:
    """Return whether an overhead is worth an alert."""
    return share > MOST_SHARE and sum(by_category.values()) >= LEAST_SECONDS


def dearest(by_category: Mapping[str, float]) -> tuple[str, float]:
    """Return the category that costs most, and its seconds."""
    return max(by_category.items(), key=lambda item: item[1], default=("nothing", 0.0))


def in_words(share: float, by_category: Mapping[str, float]) -> str:
    """Return an overhead that is too much as a sentence."""
    name, seconds = dearest(by_category)
    return (
        f"coordination takes {share:.0%} of all time spent (the target is {MOST_SHARE:.0%}), "
        f"most of it for {name}: {seconds:.1f} s"
    )


def look(
    state: State, share: float, by_category: Mapping[str, float]
) -> Iterator[inputs.OverheadSeen]:
    """Yield what the engine has to know of the present overhead, if that is anything."""
    if _is_news(state, share, by_category):
        yield inputs.OverheadSeen(share=share, by_category=dict(by_category))


def _is_news(state: State, share: float, by_category: Mapping[str, float]) -> bool:
    if state.has_ended:
        return False
    if state.costs_too_much:
        return share < WELL_BELOW_SHARE
    return is_too_much(share, by_category)


def seen(draft: Draft, fact: inputs.OverheadSeen) -> None:
    """Tell that coordination costs too much, or does so no more."""
    if not _is_news(draft.state, fact.share, fact.by_category):
        return
    if draft.state.costs_too_much:
        draft.emit(ev.OverheadWithin(share=fact.share))
        return
    category, seconds = dearest(fact.by_category)
    reason = in_words(fact.share, fact.by_category)
    draft.emit(
        ev.OverheadExceeded(share=fact.share, category=category, seconds=seconds, reason=reason)
    )
