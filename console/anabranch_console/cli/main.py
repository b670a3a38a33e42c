"""The program ``anabranch``: finds the command, turns every error into words and an exit code.

Commands are imported when they are called, so that a small one starts fast. Whatever goes wrong,
the user sees a sentence with the next step; under ``--json`` it is an object on stdout. What nobody
foresaw is kept in a file under the state folder, with all a maintainer needs.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import sys
from pathlib import Path

import click

from anabranch import __version__, exit_codes
from anabranch.errors import AnabranchError, MachineShort, UsageError, WorldError
from anabranch.hostile_text import escape_for_terminal, utf8_text
from anabranch.safe_mode import enter_safe_mode
from anabranch.shortage import shortage_of
from anabranch_console.cli import sinks
from anabranch_console.cli.meaning import KnownCommands
from anabranch_console.cli.output import print_json_line, say
from anabranch_console.cli.terminal import can_show_console, wants_colour
from anabranch_console.faults import keep_fault, last_words
from anabranch_console.loading import loading

COMMANDS = {
    "demo": "A show on a scratch repository: a dozen streams, one result.",
    "init": "Write a small commented plan to begin with.",
    "race": "Run one task several times, compare the results, adopt one.",
    "adopt": "Of several attempts at one task, let one count; the others are kept.",
    "templates": "List the outlines that streams can be made of, and where each is from.",
    "import": "Print the plan that another tool's file stands for.",
    "check": "Check a plan: its waves, its critical path, what is wrong with it.",
    "run": "Run a plan, or commands given after --.",
    "add": "Add a stream to the run that goes on, or begin an open run with it.",
    "close": "Add nothing more to an open run: it converges once its streams are over.",
    "plan": "Print the plan of a run as it is by now.",
    "resume": "Go on with a run whose console is gone, or that waits for you.",
    "console": "Open the console on a run.",
    "runs": "List this project's runs; runs rm removes some that are over.",
    "status": "Show how a run stands.",
    "streams": "List a run's streams.",
    "locks": "List who holds what, who waits for whom, deadlocks and violations.",
    "convergence": "List where streams meet, who has come and who is waited for.",
    "diff": "Show what a stream has changed, also while it runs.",
    "review": "List what waits for your review; take it, or hand it back.",
    "conflicts": "List what does not merge, and show both sides.",
    "resolve": "Decide what becomes of conflicted files; the run goes on.",
    "state": "Read the state that streams share: its history, any version of a key.",
    "messages": "List the messages between streams and what became of them.",
    "attention": "List who needs you, why and since when; --wait blocks until somebody does.",
    "send": "Type a line into a stream's terminal, and say what became of it.",
    "answer": "Answer what a stream asks, or see what that is.",
    "logs": "Print what streams have written; -f goes on.",
    "attach": "Attach to a stream's terminal; ctrl+] leaves it running.",
    "enter": "Enter a stream's workspace: a shell there.",
    "events": "List what happened in a run; --follow goes on.",
    "report": "Report what a run did, cost and brought.",
    "approve": "Bring a run's result to your branch.",
    "allow": "Allow what a stream wrote against the locks to be merged.",
    "recover": "Recover a stream by hand, or see what that would do.",
    "choose": "Have another strategy asked from now on, in a run that goes on.",
    "breakers": "List the circuit breakers, and close one by hand.",
    "drill": "Rehearse recovery: inject faults into a run on a scratch copy.",
    "stop": "Stop a run gracefully; its work is kept.",
    "gc": "Reclaim workspaces, with proof that nothing is lost.",
    "plugins": "Install, check and write plugins; works also while one is broken.",
    "env": "Print how a program outside speaks to a run: its socket, a token.",
    "mcp": "Serve a stream's tools to an agent, on stdin and stdout (MCP).",
    "doctor": "Check this machine, and say how to mend what is wrong.",
    "schema": "Print the JSON Schema of plan files.",
}
READING = {
    "env",
    "templates",
    "import",
    "check",
    "runs",
    "plan",
    "status",
    "streams",
    "locks",
    "convergence",
    "diff",
    "conflicts",
    "state",
    "messages",
    "attention",
    "logs",
    "events",
    "report",
    "doctor",
    "schema",
}
"""Commands that bring nothing but what they print: one that cannot print it has failed. All others
do what they are for, and end as that ends, whoever listens."""
GONE = "anabranch.folder_is_gone"
SAFE_MODE = "--safe-mode"


class LazyCommands(KnownCommands):
    """A group whose commands are modules, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with loading():
            module = importlib.import_module(f"anabranch_console.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyCommands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-C", "folder", metavar="DIR", help="Run as if started in DIR.")
@click.option(SAFE_MODE, is_flag=True, help="Do without plugins; works on any command.")
@click.version_option(__version__, prog_name="anabranch")
@click.pass_context
def cli(ctx: click.Context, folder: str | None, safe_mode: bool) -> None:
    """Run streams of work side by side, each in its own workspace, and join their results.

    Without a command, on a terminal: the console on the run that goes on here, or the question what
    to begin with; else this help.
    """
    if isinstance(ctx.obj, sinks.Streams):
        ctx.obj.out.is_essential = ctx.invoked_subcommand in READING
    ctx.color = wants_colour() or None
    if folder is not None:
        try:
            os.chdir(folder)
        except OSError as error:
            raise click.UsageError(f"cannot go to {folder!r}: {error.strerror}") from None
    ctx.meta[GONE] = _leave_gone_folder()
    if ctx.invoked_subcommand is None:
        _without_command(ctx)


def _without_command(ctx: click.Context) -> None:
    """Open the console where there is a terminal, as ``anabranch console`` does; else help."""
    if can_show_console() and not ctx.meta[GONE]:
        console = ctx.command.get_command(ctx, "console")  # type: ignore[attr-defined]
        ctx.invoke(console, run=None)
    else:
        click.echo(ctx.get_help())


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit with the contract's code.

    Without ``arguments`` this process is the program: its standard streams are taken over.
    """
    streams = None
    if arguments is None:
        sinks.use_utf8_names()
        arguments, streams = sys.argv[1:], sinks.take_over()
    arguments = _without_safe_mode(arguments)
    code = _code_of(arguments, streams)
    sys.exit(code if streams is None else _told_losses(streams, code))


def _code_of(arguments: list[str], streams: sinks.Streams | None) -> int:
    """Carry a command out and return its exit code."""
    try:
        code = cli.main(args=arguments, prog_name="anabranch", standalone_mode=False, obj=streams)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except click.ClickException as error:
        code = _told_usage(error, arguments)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        code = exit_codes.INTERRUPTED
    except AnabranchError as error:
        code = tell_error(error, arguments)
    except sinks.Unheard as unheard:
        code = 0 if unheard.reader_has_left else WorldError.exit_code
    except Exception as error:
        code = tell_error(_unforeseen(error), arguments)
    return code if isinstance(code, int) else 0


def _told_losses(streams: sinks.Streams, code: int) -> int:
    """Say that not everything could be said, if so, and return the exit code."""
    fault = streams.out.fault
    if fault is None or (streams.out.is_essential and fault.errno == errno.EPIPE):
        return code
    say(f"anabranch: not all of the output reached stdout: {fault.strerror}")
    return code


def _without_safe_mode(arguments: list[str]) -> list[str]:
    """Take ``--safe-mode`` out, wherever it stands: every command understands it."""
    own, rest = arguments, list[str]()
    if "--" in arguments:
        cut = arguments.index("--")
        own, rest = arguments[:cut], arguments[cut:]
    if SAFE_MODE in own:
        enter_safe_mode()
    return [argument for argument in own if argument != SAFE_MODE] + rest


def wants_json(arguments: list[str]) -> bool:
    """Return whether errors are printed as JSON."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in own


def tell_error(error: AnabranchError, arguments: list[str]) -> int:
    """Report an error the way the command was asked to speak, and return its exit code."""
    _tell(error.code, error.message, error.hint, arguments)
    return error.exit_code


def _told_usage(error: click.ClickException, arguments: list[str]) -> int:
    in_text = not wants_json(arguments)
    if in_text and isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message())
        return 2
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"see: {context.command_path} --help" if context and in_text else "see --help"
    _tell("usage", error.format_message(), "" if in_text and not context else hint, arguments)
    return 2


_ESCAPED_BYTE = re.compile(r"\\udc([89a-f][0-9a-f])")
"""How Python quotes a byte of an argument that is not UTF-8."""


def _tell(code: str, message: str, hint: str, arguments: list[str]) -> None:
    message = _ESCAPED_BYTE.sub(r"\\x\1", utf8_text(message))
    if wants_json(arguments):
        error = {"code": code, "message": message, "hint": hint}
        with contextlib.suppress(sinks.Unheard):
            print_json_line({"schema": 1, "error": error})
        return
    say(f"anabranch: {_in_lines(message)}")
    if hint:
        say(f"  {_in_lines(hint)}")


def _in_lines(text: str) -> str:
    return "\n".join(escape_for_terminal(line) for line in text.split("\n"))


def _unforeseen(error: Exception) -> AnabranchError:
    """Keep what nobody foresaw in a file, and return what to say."""
    kept = keep_fault(error)
    lack = shortage_of(error)
    if lack is not None:
        return MachineShort(f"this machine cannot do it just now: {lack}", "it passes; try again")
    hint = f"the details are in {kept}" if kept else ""
    return AnabranchError(f"this should not have happened: {last_words(error)}", hint)


def here() -> Path:
    """Return the folder that commands work in. Raises UsageError if it is gone."""
    context = click.get_current_context(silent=True)
    reason = context.meta.get(GONE) if context else None
    if reason:
        raise UsageError(
            f"the current folder cannot be used: {reason}",
            "go to a folder that is there, or name one: anabranch -C DIR",
        )
    return Path.cwd()


def _leave_gone_folder() -> str | None:
    """Return why the current folder cannot be used; what needs none then works from the top."""
    try:
        os.getcwd()
    except OSError as error:
        os.chdir("/")
        return error.strerror
    return None


if __name__ == "__main__":
    main()
