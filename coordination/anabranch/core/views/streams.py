"""What is shown of a stream's life.

The queries are those that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.deciding.streams.scheduling import comes_back_with
from anabranch.core.deciding.streams.streams import exit_in_words

__all__ = [
    "comes_back_with",
    "exit_in_words",
]
