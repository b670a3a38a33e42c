"""JSON without ``json``, by the functions in C that it is a shell for.

The shell loads regular expressions and enumerations, which take longer than all that a zygote does.
"""

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Plainly:
    """How the scanner is to read: control characters are an error, and no type is special."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


_scan = _json.make_scanner(_Plainly())  # type: ignore[arg-type]  # anything with these attributes
quoted = _json.encode_basestring_ascii
"""Returns a text as JSON."""


def parse(text: str) -> "dict[str, Any]":
    """Read an object that takes the whole text. Raises ValueError if it is not that."""
    try:
        value, end = _scan(text, 0)
    except (StopIteration, SystemError):  # the latter for want of the error that ``json`` defines
        raise ValueError("not JSON") from None
    if end != len(text) or not isinstance(value, dict):
        raise ValueError("not one object")
    return value
