"""Command lines of GNU parallel, in a script or alone."""

from __future__ import annotations

from anabranch.extending import Imported


class GnuParallel:
    """Each command line becomes a stream; one after the other, as in a script."""

    name = "parallel"
    file_names = ("*.parallel",)

    def convert(self, text: str) -> Imported:
        """Return the plan that the command lines stand for."""
        # Here, because every run loads the importers, and few import a plan.
        from anabranch_plugins.importers.parallel_lines import plan_of

        return plan_of(text)
