"""Values as MessagePack, a piece at a time, so that whoever encodes can do something else between.

All pieces together are what would have been written at once, but that a row which is encoded here
has a header of the longest form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

PIECE_BYTES = 32 * 1024
"""About how large a piece is; it takes half a millisecond."""


class Row:
    """A list that may be long: its items are made when they are encoded."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = items


def in_pieces(value: object, flatten: Callable[[object], object]) -> Iterator[bytes]:
    """Yield a value as MessagePack, piece by piece; a piece may be empty.

    Args:
        value: what msgspec can encode, but that it and the values of a dict may be rows as well.
        flatten: makes something msgspec can encode of what it cannot.
    """
    encoder = msgspec.msgpack.Encoder(enc_hook=flatten)
    if isinstance(value, dict):
        yield b"\xdf" + len(value).to_bytes(4, "big")
        for key, item in value.items():
            yield encoder.encode(key)
            yield from in_pieces(item, flatten)
    elif isinstance(value, Row):
        yield from _row(value, encoder)
    else:
        yield encoder.encode(value)


def _row(row: Row, encoder: msgspec.msgpack.Encoder) -> Iterator[bytes]:
    """Yield nothing while the items are encoded: how many there are stands before them."""
    items, piece_ends, count = bytearray(), PIECE_BYTES, 0
    for item in row.items:
        items += encoder.encode(item)
        count += 1
        if len(items) >= piece_ends:
            piece_ends = len(items) + PIECE_BYTES
            yield b""
    yield b"\xdd" + count.to_bytes(4, "big")
    for start in range(0, len(items), PIECE_BYTES):
        yield bytes(items[start : start + PIECE_BYTES])
