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


class Age(Duration):
    """As a duration, and ``14d``, ``2w``."""

    name = "age"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value)
        days = {"d": 86_400.0, "w": 604_800.0}.get(text[-1:])
        if days is None:
            return super().convert(value, param, ctx)
        count = text[:-1]
        if not count.isdecimal() or not count.isascii() or not 0 < int(count) < 100_000:
            self.fail(f"{value!r} is not an age; write 14d, 2w or 36h", param, ctx)
        return int(count) * days
