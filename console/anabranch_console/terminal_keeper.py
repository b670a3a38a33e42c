"""Giving the terminal back when the console cannot: killed outright, it can do nothing itself.

A small shell waits at the other end of a pipe. The console says over it whether it has the
terminal; when the pipe closes while it has, the console is gone, and the shell does what it would
have done: the modes as they were, the normal screen, and a word on how to come back.
"""

from __future__ import annotations

import contextlib
import os
import subprocess

_MODES_OFF = "".join(
    f"\x1b[?{mode}"
    for mode in (
        *("1000l", "1003l", "1015l", "1006l", "1016l"),  # mouse
        *("2004l", "2048l", "1004l", "2026l"),  # pasting, resizing, focus, batches of output
        *("7h", "1049l", "25h"),  # wrapping, the normal screen, the cursor
    )
)
GIVE_BACK = f"\x1b[<u{_MODES_OFF}\x1b[0m"

_SCRIPT = """
trap '' INT QUIT TERM HUP TSTP TTOU TTIN
has=no
while IFS= read -r line; do
    case "$line" in
    has) has=yes ;;
    rests) has=no ;;
    *) words=$line ;;
    esac
done
[ "$has" = yes ] || exit 0
stty "$1" <&3
printf '%s\\r\\n%s\\r\\n' "$2" "$words" >&3
"""


class TerminalKeeper:
    """Keeps what a terminal was like.

    Args:
        terminal: a descriptor of the terminal for its modes.
        output: where the terminal is written to.
    """

    def __init__(self, terminal: int, output: int) -> None:
        self._pipe: int | None = None
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self._begin(terminal, output)

    def _begin(self, terminal: int, output: int) -> None:
        asked = ["stty", "-g"]
        modes = subprocess.run(asked, stdin=terminal, capture_output=True, check=True, text=True)
        read, self._pipe = os.pipe()
        script = ["/bin/sh", "-c", "exec 3>&1 >/dev/null; " + _SCRIPT, "anabranch-keeper"]
        try:
            subprocess.Popen(
                [*script, modes.stdout.strip(), GIVE_BACK],
                stdin=read,
                stdout=output,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        finally:
            os.close(read)

    def watch(self, words: str) -> None:
        """Note that the console has the terminal; ``words`` say how to come back to the run."""
        self._say(f"{' '.join(words.split()) or 'the console was killed'}\nhas")

    def rest(self) -> None:
        """Note that the terminal has been given back."""
        self._say("rests")

    def close(self) -> None:
        """Let the one who waits go: nobody will be watched over any more."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def _say(self, line: str) -> None:
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.write(self._pipe, f"{line}\n".encode())
