"""``ab-stream agent``: becomes a coding agent that is tied to the run.

It gets the hooks of ``ab-stream hook``, and the verbs of the run as tools. An attempt that follows
a review goes on with the conversation of the one before, and what was said of its work is what it
is told; any other begins with its prompt. Where the agent will first ask at its terminal whether it
may work in a folder that it does not know, that is said before: it has no hook for it.
"""

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Tell = Callable[..., Facts | None]

KNOWN = ("claude",)
LONGEST_REVIEW = 100_000
ASKS_FOR_TRUST = "whether it may work in this folder"


class WrongUsage(Exception):
    """The command line makes no sense; the text says why."""


def main(arguments: list[str], settings: "Facts", transcripts: str, tell: "Tell") -> int:
    """Become the agent that a command line names; return an exit code if that cannot be.

    ``settings`` tie it to the run, under ``transcripts`` the shared state keeps conversations, and
    ``tell`` asks the engine.
    """
    try:
        command = command_for(arguments, settings, review(), lambda: transcript(transcripts, tell))
    except WrongUsage as error:
        sys.stderr.write(f"ab-stream: {error}; see ab-stream --help\n")
        return 2
    if os.isatty(0) and not {"-p", "--print"} & set(command) and not is_trusted(os.getcwd()):
        tell("prompt", text=ASKS_FOR_TRUST)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"ab-stream: cannot run {command[0]!r}: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126


def command_for(
    arguments: list[str], settings: "Facts", said: str, before: "Callable[[], str]"
) -> list[str]:
    """Return the agent's command line: its own options are in the middle, its prompt is last.

    ``said`` is what was said of its work, if that was handed back; ``before`` finds the
    conversation of the attempt before. Raises WrongUsage.
    """
    if not arguments or os.path.basename(arguments[0]) not in KNOWN:
        raise WrongUsage(f"agent takes {' or '.join(KNOWN)}, its options and its prompt")
    program, *options = arguments
    if not options or not options[-1].strip():
        raise WrongUsage(f"{program} gets no prompt")
    prompt = options.pop()
    tools = {"mcpServers": {"anabranch": {"command": "anabranch-mcp"}}}
    tied = ["--settings", json.dumps(settings), "--mcp-config", json.dumps(tools)]
    goes_on = before() if said else ""
    if goes_on:
        tied += ["--resume", goes_on]
        prompt = said
    elif said and said not in prompt:  # its template may have been filled with it
        prompt = f"{prompt}\n\n{said}"
    return [program, *tied, *options, "--", prompt]


def is_trusted(folder: str) -> bool:
    """Return whether a person has told the agent that it may work in a folder, or one above it."""
    home = os.environ.get("CLAUDE_CONFIG_DIR") or os.path.expanduser("~")
    try:
        with open(os.path.join(home, ".claude.json"), encoding="utf-8") as file:
            known = json.load(file)["projects"]
        while not known.get(folder, {}).get("hasTrustDialogAccepted"):
            above = os.path.dirname(folder)
            if above == folder:
                return False
            folder = above
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False
    return True


def review() -> str:
    """Return what was said of the work that was handed back; empty if none was."""
    path = os.environ.get("ANABRANCH_REVIEW", "")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(LONGEST_REVIEW).strip()
    except OSError:
        return ""


def transcript(place: str, tell: "Tell") -> str:
    """Return where the conversation of the attempt before is written down; empty if nowhere."""
    key = place + os.environ.get("ANABRANCH_STREAM", "")
    found = (tell("state_get", key=key) or {}).get("value")
    return found if isinstance(found, str) and os.path.isfile(found) else ""
