"""Classes by exit code and signal.

The codes are those of BSD's sysexits; a program that does not follow them seldom ends with one.
"""

from __future__ import annotations

import signal

from anabranch.core.strategies import EndedAttempt, FailureClass

_CODES = {
    64: FailureClass("bad usage", is_permanent=True),
    69: FailureClass("service unavailable"),
    75: FailureClass("temporary failure"),
    77: FailureClass("permission denied", is_permanent=True),
    78: FailureClass("bad configuration", is_permanent=True),
}
_OF_A_SIGNAL = 128
"""What a shell adds to the number of the signal that ended its command."""

_CRASHES = frozenset(
    int(s)
    for s in (
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT),
        *(signal.SIGTRAP, signal.SIGSYS),
    )
)


class ByExitCode:
    """Knows sysexits, crashes, and what the kernel kills for want of memory."""

    name = "exit-codes"

    def classify(self, view: EndedAttempt) -> FailureClass | None:
        """Return the class that the exit code or the signal stands for."""
        number = view.signal or max(0, (view.exit_code or 0) - _OF_A_SIGNAL)
        if number in _CRASHES:
            return FailureClass("crashed")
        if number == signal.SIGKILL:
            return FailureClass("killed")
        return _CODES.get(view.exit_code or 0)
