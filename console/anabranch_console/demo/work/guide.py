"""Show a visitor around: say what there is to see, when there is, and which key shows it.

The other streams write to this one; what a visitor should not miss is written to the operator.
"""

import textwrap
import time

from stage import PATIENCE_SECONDS, call

LONGEST_SECONDS = 100.0
END = "that is all"
LETTER = "! "
WELCOME = """\
Welcome. A dozen streams work on a
small project, and you look on.
Move with the arrow keys, and press
  2 locks      3 history
  4 messages   5 resources
  6 conflicts  7 guardian
  8 points     P plan
  W time line  U the machine
  ! who needs you   ? every key
1 comes back here, q leaves.
What waits for you goes on by itself
after a while. Things to see:
"""
HINT = "welcome: enter on guide shows what there is to see, 1 to 8 go to where it is"
CELLS = 36


def main() -> None:
    print(WELCOME, end="", flush=True)
    call("send", "operator", HINT)
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        for message in call("inbox", "--wait", "2").get("messages", []):
            call("ack", str(message["id"]))
            text = str(message["body"])
            if text == END:
                say("all that is left is a last test of everything")
                until = min(until, time.monotonic() + PATIENCE_SECONDS)
                continue
            say(text.removeprefix(LETTER))
            if text.startswith(LETTER):
                call("send", "operator", text.removeprefix(LETTER))
    say("that is all: once the run has converged, q leaves and the report is printed")


def say(text: str) -> None:
    """Print something in lines that fit beside the list of streams."""
    lines = textwrap.wrap(text, CELLS, initial_indent="- ", subsequent_indent="  ")
    print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
