"""Reading events back: a decoder for each type, made when the first event of that type is met.

A decoder of all types takes as long to make as a hundred modules to load, and the journal of a
short run holds a dozen of them.
"""

from __future__ import annotations

from functools import cache
from typing import Union

import msgspec

from anabranch.core.events import Event, event_types

_BEFORE_TYPE = b'{"type":"'


def decode_event(body: bytes | str) -> Event:
    """Read an event as the journal wrote it.

    Raises msgspec.DecodeError, TypeError or RecursionError if it is damaged.
    """
    return (_decoder_of(body) or _decoder_of_all()).decode(body)


def _decoder_of(body: bytes | str) -> msgspec.json.Decoder[Event] | None:
    """Return the decoder for the type that an event begins with, or None if that is not known."""
    if not isinstance(body, bytes) or not body.startswith(_BEFORE_TYPE):
        return None
    name = body[len(_BEFORE_TYPE) : body.find(b'"', len(_BEFORE_TYPE))]
    found = _types().get(name)
    return None if found is None else _decoder(found)


@cache
def _types() -> dict[bytes, type[Event]]:
    return {str(found.__struct_config__.tag).encode(): found for found in event_types()}


@cache
def _decoder(event_type: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(event_type)


@cache
def _decoder_of_all() -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(Union[event_types()])  # noqa: UP007
