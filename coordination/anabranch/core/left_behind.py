"""Which files that git ignores are worth a word: what others may need, not what a tool remembers.

Dependents of a stream start from its result, and what git ignores is in no result. A folder of
installed packages is missed there; a cache is not.
"""

from __future__ import annotations

CACHES = frozenset((
    *("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox"),
    *(".cache", ".eslintcache", ".parcel-cache", ".turbo", ".gradle", ".DS_Store", ".coverage"),
    *(".anabranch", "htmlcov", ".ipynb_checkpoints", "tsconfig.tsbuildinfo"),
))  # fmt: skip
_CACHE_FILES = (".pyc", ".pyo", ".log", ".tmp", ".swp", ".tsbuildinfo")


def is_worth_naming(path: str) -> bool:
    """Return whether an ignored path (a folder with a slash at its end) may be missed by others."""
    parts = path.rstrip("/").split("/")
    return not CACHES.intersection(parts) and not parts[-1].endswith(_CACHE_FILES)
