"""The entry point of ``anabranch``: what must start fast goes before anything else is loaded.

An agent starts ``anabranch mcp`` for every session and waits for it; the rest of the command line
costs several times what the server itself does.
"""

from __future__ import annotations

import atexit
import os
import sys


class End:
    """The end of the process without taking apart, object by object, what is gone with it anyway.

    It comes when threads have been waited for and everything else that was to be done at the exit
    is done: who asks first to be called at the exit is called last.
    """

    def __init__(self) -> None:
        self.code: object = None
        atexit.register(self._come)

    def _come(self) -> None:
        if not isinstance(self.code, int):
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):
            return  # let Python say so
        os._exit(self.code)


def main() -> None:
    """Run the program and exit with the contract's code."""
    if sys.argv[1:] == ["mcp"]:
        from anabranch.client.mcp import main as serve

        serve()
        return
    end = End()
    try:
        from anabranch_console.loading import loading

        with loading():
            from anabranch_console.cli.main import main as run

        run()
    except SystemExit as ended:
        end.code = ended.code
        raise
    except KeyboardInterrupt:  # before there was anything that could have said so
        from anabranch.exit_codes import INTERRUPTED

        sys.exit(INTERRUPTED)
