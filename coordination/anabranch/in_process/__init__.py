"""In-process handlers: a Python function for every item, so many at a time.

Theory of operation. One task takes items from their source as there is room (:mod:`.mapping`), one
task a handler calls the function and notes what became of it. A gate lets so many in at a time and
closes while everything fails (:mod:`.admission`, :mod:`.breaker`). All tasks belong to one task
group, so cancelling the caller ends them all, and nothing is left running. Plain functions run in
threads of their own (:mod:`.threads`).

What is begun and how it ends is written into the book that handlers of commands use, too
(:mod:`.recording`, :mod:`anabranch.handlers`): so a program that is started again goes on where it
was, and in a stream the counts are where everybody looks for them.
"""

from anabranch.in_process.asking import Options, map_handlers
from anabranch.in_process.outcomes import Counts, HandlersFailed

__all__ = ["Counts", "HandlersFailed", "Options", "map_handlers"]
