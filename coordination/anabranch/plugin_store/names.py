"""Names of distributions, compared the way package indexes compare them (PEP 503)."""

from __future__ import annotations

import re


def canonical(name: str) -> str:
    """Return a distribution's name in its one spelling; what follows a colon stays as it is."""
    distribution, colon, plugin = name.partition(":")
    return re.sub(r"[-_.]+", "-", distribution).lower() + colon + plugin
