"""Anabranch: run several streams of work side by side, each in its own workspace, and join them.

This package is the engine. It never imports a terminal library: the console and the command line
live in ``anabranch_console`` and see the engine through :mod:`anabranch.engine.source`.
"""

__version__ = "0.1.0"
