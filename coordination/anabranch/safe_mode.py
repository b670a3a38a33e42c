"""Doing without plugins: for this process, and for those that it starts."""

from __future__ import annotations

import os

SAFE_MODE_VARIABLE = "ANABRANCH_SAFE_MODE"


def is_safe_mode() -> bool:
    """Return whether this process was told to do without plugins."""
    return bool(os.environ.get(SAFE_MODE_VARIABLE))


def enter_safe_mode() -> None:
    """Do without plugins from now on."""
    os.environ[SAFE_MODE_VARIABLE] = "1"
