"""Classes by what the last lines of a log say, for programs whose exit code says nothing.

What is written there is the stream's word. A wrong guess costs little: at most the plan's retries
are used although they would not help, or, for the few permanent ones, are not used.
"""

from __future__ import annotations

import re
from functools import cache

from anabranch.core.strategies import EndedAttempt, FailureClass

LONGEST_EVIDENCE = 160
_LONGEST_LINE = 2_000

_PATTERNS = (
    (r"\b429\b|rate.?limit|too many requests|quota exceeded", "rate limited", False),
    (r"\b50[234]\b.*(error|unavailable|gateway)|overloaded", "service unavailable", False),
    (r"connection (reset|refused|timed out|aborted)|network is unreachable", "network", False),
    (r"temporary failure in name resolution|could not resolve host", "network", False),
    (r"no space left on device|disk quota exceeded", "disk full", False),
    (r"out of memory|cannot allocate memory|\bMemoryError\b", "out of memory", False),
    (r"(invalid|incorrect|missing) api.?key|\b401\b.*unauthorized", "not authorised", True),
)


@cache
def _compiled() -> tuple[tuple[re.Pattern[str], str, bool], ...]:
    """Compile them when something has failed, which in most runs is never."""
    return tuple((re.compile(p, re.IGNORECASE), name, last) for p, name, last in _PATTERNS)


class ByLog:
    """Reads the newest telling line of the log."""

    name = "log-patterns"

    def classify(self, view: EndedAttempt) -> FailureClass | None:
        """Return the class of the newest line that tells one."""
        for line in reversed(view.log_tail):
            for pattern, name, is_permanent in _compiled():
                if pattern.search(line[:_LONGEST_LINE]):
                    return FailureClass(name, is_permanent, line.strip()[:LONGEST_EVIDENCE])
        return None
