"""The entry point of ``anabranch``: what must start fast goes before anything else is loaded.

An agent starts ``anabranch mcp`` for every session and waits for it; the rest of the command line
costs several times what the server itself does.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program and exit with the contract's code."""
    if sys.argv[1:] == ["mcp"]:
        from anabranch.client.mcp import main as serve

        serve()
        return
    try:
        from anabranch_console.loading import loading

        with loading():
            from anabranch_console.cli.main import main as run

        run()
    except KeyboardInterrupt:  # before there was anything that could have said so
        from anabranch.exit_codes import INTERRUPTED

        sys.exit(INTERRUPTED)
