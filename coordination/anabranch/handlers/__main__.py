"""Runs the handlers that a job describes: ``python -I -S handlers/__main__.py JOB``.

As little as can be, as a program that is run by name is compiled at each start, and what it imports
is not. What :mod:`.crowd` does is written and durable when it returns, so nothing is torn down.
"""

from __future__ import annotations

import gc
import os
import sys

if __name__ == "__main__":
    gc.disable()  # what is loaded now stays: it is not looked through while more is loaded
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    crowd = __import__("handlers.crowd", fromlist=["main"])
    os._exit(crowd.main(sys.argv[1]))
