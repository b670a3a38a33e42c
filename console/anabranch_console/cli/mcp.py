"""``anabranch mcp``: the tools of a stream for an agent, on stdin and stdout."""

from __future__ import annotations

import click

from anabranch.client import mcp


@click.command
def command() -> None:
    """Serve the Model Context Protocol on stdin and stdout, for an agent inside a stream.

    The caller is known by ANABRANCH_SOCKET, ANABRANCH_TOKEN and ANABRANCH_SPOOL; a client that
    starts servers with an environment of its own has to pass them on.
    """
    mcp.main()
