"""What a user wants of notices: ``notices.toml`` in the settings; without it, the usual."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from anabranch.paths import notices_file
from anabranch_console.notices.deciding import DELAY_SECONDS
from anabranch_console.notices.signals import Desktop, desktop_for

BLANKS = ("title", "text", "name", "run", "count")
"""What stands for what in the command of a user."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How notices are made known.

    ``desktop`` is how the terminal is told to show one on the desktop; ``command`` is run by
    ``sh -c`` for each, with placeholders. ``mute`` are globs of streams that never ring.
    """

    delay: Any = DELAY_SECONDS
    bell: bool = True
    desktop: Literal["auto", "osc9", "osc777", "osc99", "none"] = "auto"
    title: bool = True
    mute: tuple[str, ...] = ()
    command: str = ""

    @property
    def delay_seconds(self) -> float:
        """How long a need has to stand before it rings."""
        return float(self.delay)

    def desktop_in(self, environ: Mapping[str, str]) -> Desktop:
        """Return how notices are shown on the desktop from this terminal."""
        return desktop_for(environ) if self.desktop == "auto" else self.desktop


def read_settings(path: Path | None = None) -> tuple[Settings, str]:
    """Return the user's settings, and what is wrong with their file; then the usual ones hold."""
    path = path or notices_file()
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Settings(), ""
    except (OSError, UnicodeDecodeError) as error:
        return Settings(), f"{path} cannot be read: {error}"
    try:
        return _parsed(text), ""
    except Exception as error:  # whatever it is, the console opens
        return Settings(), f"{path} is left out: {error}"


def _parsed(text: str) -> Settings:
    import tomllib

    from anabranch.config.values import duration_seconds  # here: it loads much

    found = tomllib.loads(text)
    if "delay" in found:
        found["delay"] = duration_seconds(found["delay"])
    settings = msgspec.convert(found, Settings)
    if settings.command:
        _check(settings.command)
    return settings


def _check(command: str) -> None:
    from anabranch.handlers.placeholders import blanks_in

    unknown = blanks_in(command).fields - set(BLANKS)
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in BLANKS)
        raise ValueError(f"`command` has {{{min(unknown)}}}, and there are only {known}")
