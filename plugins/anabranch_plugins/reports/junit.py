"""JUnit XML, as continuous integration reads it: what a plugin has to say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class JUnit:
    """One ``testsuite`` of a run."""

    name = "junit"

    def render(self, report: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
        """Return the XML."""
        # Here, because every run loads the formats, and Python's XML loads much of its network.
        from anabranch_plugins.reports.junit_suite import suite_of

        return suite_of(report, events)
