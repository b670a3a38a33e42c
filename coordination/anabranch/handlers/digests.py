"""The hash that items are known by, without all the others.

``hashlib`` loads OpenSSL, which takes longer than starting six handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import blake2b
else:
    try:
        from _blake2 import blake2b
    except ImportError:  # a Python that has it elsewhere
        from hashlib import blake2b

__all__ = ["blake2b"]
