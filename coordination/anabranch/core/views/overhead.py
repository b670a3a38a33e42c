"""What coordination costs, in words.

The queries are those that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.deciding.overhead import dearest, is_too_much

__all__ = [
    "dearest",
    "is_too_much",
]
