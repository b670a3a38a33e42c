"""The quick reference's YAML template: how streams are coordinated, and which streams there are."""

from __future__ import annotations

from anabranch.extending import Imported


class QuickReference:
    """``coordination:`` as it is, and ``streams:`` if there are any."""

    name = "quick-reference"
    file_names = ("*.yaml", "*.yml")

    def convert(self, text: str) -> Imported:
        """Return the plan that the template stands for."""
        # Here, because the plan's model takes long to load, and few commands read a plan.
        from anabranch_plugins.importers.coordination_template import plan_of

        return plan_of(text)
