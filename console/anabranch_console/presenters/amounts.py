"""Amounts of what streams claim, in words."""

from __future__ import annotations

from collections.abc import Mapping

from anabranch.core.model.resources import CPU, MEMORY
from anabranch_console.presenters.wording import memory


def amount(name: str, value: float) -> str:
    """Return an amount with its unit: ``512M``, ``1.5``."""
    return memory(int(value * 2**20)) if name == MEMORY else f"{value:g}"


def amounts_text(amounts: Mapping[str, float]) -> str:
    """Return amounts in one phrase."""
    return ", ".join(f"{amount(n, a)} {short_name(n)}" for n, a in sorted(amounts.items()))


def short_name(name: str) -> str:
    """Return what people call a resource."""
    return {CPU: "cores", MEMORY: "memory"}.get(name, name)
