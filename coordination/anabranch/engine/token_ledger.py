"""What a run keeps of its jobservers: who has how many tokens, and how many were in use at most.

Loans are written down before tokens are put into a fifo and after they are taken out: an engine
that is killed in between leaves a loan that is too large, never one that is too small, and what is
too much shows as tokens that nobody has.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from anabranch.files import replace_whole
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, read_plain
from anabranch.undecodable import UNDECODABLE

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Ledger(msgspec.Struct, frozen=True):
    """How it stood when it was written last.

    Args:
        slots: how many jobs the machine is to run at a time.
        lent: how many tokens are out, beside the one job that each stream may run without.
        in_use: how many of those were not in a fifo.
        most_in_use: the most that were in use whenever it was looked, over the whole run.
        put_back: how many were lost by whoever died with them, and replaced.
        loans: how many tokens each attempt was lent, by its name.
    """

    slots: Count = 0
    lent: Count = 0
    in_use: Count = 0
    most_in_use: Count = 0
    put_back: Count = 0
    loans: dict[str, Count] = {}


_DECODER = msgspec.json.Decoder(Ledger)


def read_ledger(folder: RunFolder) -> Ledger | None:
    """Return what was written, None if there is nothing, or nothing that can be read."""
    try:
        return _DECODER.decode(read_plain(folder.tokens, SMALL_FILE_BYTES))
    except (OSError, *UNDECODABLE):
        return None


def write_ledger(folder: RunFolder, ledger: Ledger) -> None:
    """Write it, whole or not at all. Raises OSError."""
    replace_whole(folder.tokens, msgspec.json.encode(ledger))


def figures(folder: RunFolder, is_over: bool) -> dict[str, int] | None:
    """Return what a report tells of it; None for a run without jobservers.

    Nobody has tokens once the run is over, whatever an engine that was killed has left.
    """
    ledger = read_ledger(folder)
    if ledger is None:
        return None
    found = {
        "slots": ledger.slots,
        "lent": ledger.lent,
        "in_use": ledger.in_use,
        "most_in_use": ledger.most_in_use,
        "put_back": ledger.put_back,
    }
    return found | ({"lent": 0, "in_use": 0} if is_over else {})
