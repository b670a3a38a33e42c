"""What there is of the machine, who has it and who waits for it.

The queries are those that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.deciding.resources import capacity, free, known_names, lacking
from anabranch.core.folds.resources import by_age

__all__ = [
    "by_age",
    "capacity",
    "free",
    "known_names",
    "lacking",
]
