"""Keeping what nobody foresaw: the whole story in a file, one sentence for the person."""

from __future__ import annotations

import sys
import traceback
from datetime import datetime
from pathlib import Path

from anabranch import __version__
from anabranch.paths import state_home


def keep_fault(error: BaseException) -> Path | None:
    """Write how an error came about into a file, and return where; None if it cannot be kept."""
    story = "".join(traceback.format_exception(error))
    text = f"anabranch {__version__}\n{sys.argv}\n\n{story}"
    now = datetime.now()
    try:
        folder = state_home() / "faults"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{now:%Y%m%d-%H%M%S-%f}.txt"
        path.write_text(text, "utf-8", "backslashreplace")
    except OSError:
        return None
    return path


def last_words(error: BaseException) -> str:
    """Return an error as one line."""
    return traceback.format_exception_only(error)[-1].strip().splitlines()[-1]
