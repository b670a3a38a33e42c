"""JSON values that come from outside: checked once at the door, then kept as canonical text.

Canonical means: keys sorted, no white space, numbers as they came in. Two values are the same JSON
exactly if their texts are equal, texts cannot be changed by whoever reads them, and a hash over
them means the same on every machine.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

Json = Any
"""A JSON value: None, bool, int, float, str, list, dict."""

MOST_BYTES = 64 * 1024
"""The size of a value, encoded."""

MOST_DEPTH = 32
"""How deep lists and objects may be nested."""

_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder()
_NULL = msgspec.Raw(b"null")


class NotJson(msgspec.Struct, frozen=True):
    """Why a value cannot be kept (a clause that begins with "it"), and what to do instead."""

    reason: str
    hint: str


def text_of(value: Json) -> str:
    """Return a value, known to be JSON, as canonical text."""
    return _ENCODER.encode(value).decode()


def value_of(text: str | msgspec.Raw) -> Json:
    """Return a fresh value from its text."""
    return _DECODER.decode(text)


def raw_of(text: str | None) -> msgspec.Raw:
    """Return a text as what stands in JSON as it is; null stands for none."""
    return _NULL if text is None else msgspec.Raw(text.encode())


def text_in(raw: msgspec.Raw) -> str | None:
    """Return the text that :func:`raw_of` was given."""
    text = bytes(raw).decode()
    return None if text == "null" else text


def checked_text(value: Json) -> str | NotJson:
    """Return a value from outside as canonical text, or why it cannot be kept."""
    try:
        encoded = _ENCODER.encode(value)
    except RecursionError:
        return _too_deep()
    except UnicodeEncodeError:
        return NotJson("it holds text that is not valid Unicode", "send text as UTF-8")
    except (TypeError, ValueError, OverflowError) as error:
        return NotJson(
            f"it is not JSON: {error}", "use null, true, false, numbers, text, [] and {}"
        )
    if len(encoded) > MOST_BYTES:
        reason = f"it has {len(encoded)} bytes as JSON; {MOST_BYTES} are the most"
        return NotJson(reason, "keep the content in a file and pass its path")
    return _problem(value, 0) or encoded.decode()


def _problem(value: Json, depth: int) -> NotJson | None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return None
    if kind is int:
        return None if -(2**63) <= value < 2**64 else _bad_number(value)
    if kind is float:
        return None if math.isfinite(value) else _bad_number(value)
    if kind is dict:
        parts = value.values()
    elif kind is list or kind is tuple:
        parts = value
    else:
        reason = f"it holds a {kind.__name__}, which JSON does not have"
        return NotJson(reason, "use null, true, false, numbers, text, [] and {}")
    if depth == MOST_DEPTH:
        return _too_deep()
    return next((p for part in parts if (p := _problem(part, depth + 1))), None)


def _bad_number(value: float) -> NotJson:
    what = "a whole number of more than 64 bits" if isinstance(value, int) else str(value)
    return NotJson(f"it holds {what}, which JSON cannot carry everywhere", "send it as text")


def _too_deep() -> NotJson:
    return NotJson(f"it is nested more than {MOST_DEPTH} levels deep", "make it flatter")
