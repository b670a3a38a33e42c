"""Durations as options take them: as a plan writes them."""

from __future__ import annotations

import click


class Duration(click.ParamType[float]):
    """Seconds, or ``90s``, ``10m``, ``2h``."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from anabranch.config.values import duration_seconds

        try:
            text = str(value)
            seconds = float(text) if text.replace(".", "", 1).isdigit() else duration_seconds(text)
        except ValueError:
            self.fail(f"{value!r} is not a duration; write 90s, 10m or 2h", param, ctx)
        if seconds <= 0:
            self.fail("it must be longer than 0 seconds", param, ctx)
        return seconds
