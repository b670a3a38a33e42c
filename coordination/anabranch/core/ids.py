"""The names of things. Each kind of name is a type of its own, so they cannot be mixed up."""

from typing import NewType

RunId = NewType("RunId", str)
"""One execution of a plan, for example ``20261121-220412-k3f``."""

StreamId = NewType("StreamId", str)
"""A named line of work; unique in a plan, safe as a file name."""

PointId = NewType("PointId", str)
"""The name of a convergence point; the run's last one is :data:`FINAL_POINT`."""

Attempt = int
"""One incarnation of a stream's process, counted from 1. It is also the stream's fencing token."""

Seq = int
"""The number of an event in the journal, counted from 1 without gaps."""

FINAL_POINT = PointId("final")
