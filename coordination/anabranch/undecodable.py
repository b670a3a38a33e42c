"""What reading bytes from outside as JSON can end with.

msgspec's own errors are ValueErrors; so is what it, and the standard library, raise for text that
is not UTF-8. Nesting without end is a RecursionError.
"""

from __future__ import annotations

UNDECODABLE = (ValueError, RecursionError)
