"""Plan order: streams run as the plan lists them, when they are ready."""

from __future__ import annotations

from anabranch.core.strategies import QueuedStream


class PlanOrder:
    """Orders the queue by priority, then by the order of the plan."""

    name = "plan-order"

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        """Return the stream's place; smaller runs earlier."""
        return (-float(view.priority), float(view.position))
