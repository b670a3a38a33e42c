"""What becomes of handlers that were begun and have no end, as their program was killed.

They are in doubt, and run again; but one whose work was merged, before anybody could write that
down, is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from . import book
from .keeping import Ledger, Packs
from .slot import Slot

if TYPE_CHECKING:
    from .apart import Workspaces


def settle_doubts(
    state: str,
    packs: Packs,
    ledger: Ledger,
    workspaces: Workspaces | None,
    say: Callable[[str], None],
) -> None:
    """Write down of each what it had written by then, and whether it is done.

    Raises OSError.
    """
    doubts = book.in_doubt(f"{state}/book")
    merged = _merged_of(doubts, workspaces, say) if workspaces is not None else set()
    for doubt in doubts:
        ended = _ended(state, packs, doubt, is_done=(doubt.place, doubt.attempt) in merged)
        ledger.note(book.ended_line(ended))
    ledger.write()


def _merged_of(
    doubts: Iterable[book.Begun], workspaces: Workspaces, say: Callable[[str], None]
) -> set[tuple[int, int]]:
    merged, said = workspaces.open([(doubt.place, doubt.attempt) for doubt in doubts])
    for line in said:
        say(line)
    return merged


def _ended(state: str, packs: Packs, doubt: book.Begun, *, is_done: bool) -> book.Ended:
    slot = Slot(state, doubt.slot)
    slot.is_for(doubt.place)
    output = packs.take_output(slot)
    found = packs.take_result(slot) if is_done else None
    slot.forget_result()
    slot.clear()
    slot.close()
    begun = (doubt.place, doubt.key, doubt.attempt)
    if not is_done:
        return book.Ended(*begun, 0.0, None, None, book.IN_DOUBT, *output, None)
    return book.Ended(
        *begun, 0.0, 0, None, "", *output, found if isinstance(found, tuple) else None
    )
