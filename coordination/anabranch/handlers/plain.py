"""Opening files where handlers can get at them: a link, a pipe or a folder may be there instead."""

from __future__ import annotations

import errno
import os
import stat

_WAITS_FOR_NOBODY = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def plain(path: str, flags: int) -> int:
    """Return a descriptor of a plain file, a new one for its owner only; an ``opener`` of ``open``.

    Raises OSError if something else is there.
    """
    descriptor = os.open(path, flags | _WAITS_FOR_NOBODY, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a plain file", path)
    return descriptor
