"""What commands end with. Scripts rely on these numbers: a code never changes its meaning."""

from __future__ import annotations

DONE = 0
"""The run converged, the command did what it is for."""
FAILED = 1
"""A stream or a merge failed, or what was looked at does not hold."""
USAGE = 2
"""What was asked for makes no sense: a plan with mistakes, a name that nobody has."""
FAULT = 3
"""The engine or the machine could not."""
NEEDS_OPERATOR = 4
"""A person has to decide before it goes on."""
WOULD_LOSE_WORK = 5
"""Going on would have lost somebody's work."""
TIME_LIMIT = 124
"""The time limit was reached, as ``timeout`` says it."""
INTERRUPTED = 130
"""It was interrupted; streams may run on, and the message says how to go on."""
