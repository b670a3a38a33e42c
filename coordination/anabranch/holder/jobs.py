"""The attempt's own jobserver: a fifo of tokens that lives exactly as long as its holder.

Whoever takes a token from it may run one process more. What is written into a fifo lasts while
anybody has it open, and the holder always has: so tokens outlive the engine that put them there.
The holder never reads or writes it, so nothing that a stream does to it makes the holder wait.
"""

import os

NAME = "jobs"
READ_AT, WRITE_AT = 90, 91
"""Where a command finds the two ends, if it is to find them by number: higher than what shells
take for their own, lower than the lowest limit on descriptors that is usual."""


def opened(folder: int) -> int | None:
    """Make the fifo in an attempt's folder and keep it open; None if the machine has none to give.

    Then the command runs all the same: to a client a jobserver that is not there means one job.
    """
    try:
        remove(folder)
        os.mkfifo(NAME, 0o600, dir_fd=folder)
        return os.open(NAME, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return None


def hand_down(fifo: int) -> None:
    """Have this process, and what it becomes, find both ends of the fifo by their numbers.

    Each is opened anew: a client may have its own end wait or not, as it likes.
    """
    for flag, number in ((os.O_RDONLY, READ_AT), (os.O_WRONLY, WRITE_AT)):
        try:
            os.dup2(os.open(f"/proc/self/fd/{fifo}", flag), number)
        except OSError:
            return  # a client says that there is none, and runs one job


def remove(folder: int) -> None:
    """Take the fifo out of an attempt's folder, if it is there."""
    try:
        os.unlink(NAME, dir_fd=folder)
    except OSError:
        pass
