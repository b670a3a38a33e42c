"""Real packages from their registries; only where ``make test-recipes`` wants them."""

from __future__ import annotations

import os

if "ANABRANCH_RECIPES" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
