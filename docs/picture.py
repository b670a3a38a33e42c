"""Take the picture in the README from the running product: ``make picture``.

Runs the demonstration for real, looks at it through the console, and turns the screen into a PNG.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from anabranch.core.ids import StreamId
from anabranch.engine.host import RunHost
from anabranch.engine.starting import start_run
from anabranch.plugins import load_plugins
from anabranch_console import demo
from anabranch_console.app import ConsoleApp

TARGET = Path(__file__).parent / "console.png"
SIZE = (120, 36)
SHOWN = StreamId("test-totals")
PATIENCE_SECONDS = 60.0
SHARP = "1.4"


def main() -> None:
    """Take the picture and write docs/console.png."""
    os.environ |= {"COLORTERM": "truecolor", "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    strategies = load_plugins().strategies
    host = start_run(
        demo.make_project(),
        demo.bundled_plan(strategies),
        strategies,
        plan_path=str(demo.PLAN),
        environment=demo.environment(),
    )
    try:
        svg = asyncio.run(look(host))
    finally:
        host.wait(60)
        host.close()
    TARGET.write_bytes(as_png(svg))
    print(f"wrote {TARGET}", file=sys.stderr)


async def look(host: RunHost) -> str:
    """Return the console's screen as SVG, at the moment when the stream that is shown has ended."""
    app = ConsoleApp(host)
    async with app.run_test(size=SIZE) as pilot:
        rows = [stream.id for stream in host.state.plan.streams]
        await pilot.press(*["down"] * rows.index(SHOWN))
        while not host.state.streams[SHOWN].has_ended and host.now() < PATIENCE_SECONDS:
            await pilot.pause(0.1)
        await pilot.pause(0.5)
        return app.export_screenshot(title="anabranch demo")


def as_png(svg: str) -> bytes:
    """Return a terminal picture as PNG, with a font that Debian has and cells that meet exactly."""
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "DejaVu Sans Mono")
    svg = svg.replace("font-size: 20px", "font-size: 20.266px")
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)
    done = subprocess.run(
        ["rsvg-convert", "--zoom", SHARP], input=svg.encode(), capture_output=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    main()
