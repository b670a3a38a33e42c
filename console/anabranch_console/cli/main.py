"""The program ``anabranch``: finds the command, turns every error into words and an exit code.

Commands are imported when they are called, so that a small one starts fast. Whatever goes wrong,
the user sees a sentence with the next step; under ``--json`` it is an object on stdout. What nobody
foresaw is kept in a file under the state folder, with all a maintainer needs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from difflib import get_close_matches
from pathlib import Path

import click
import msgspec

from anabranch import __version__
from anabranch.errors import AnabranchError
from anabranch_console.faults import keep_fault, last_words

COMMANDS = {
    "demo": "A show on a scratch repository: eight streams, one result.",
    "init": "Write a small commented plan to begin with.",
    "import": "Print the plan that another tool's file stands for.",
    "check": "Check a plan: its waves, its critical path, what is wrong with it.",
    "run": "Run a plan, or commands given after --.",
    "resume": "Go on with a run whose console is gone, or that waits for you.",
    "console": "Open the console on a run.",
    "runs": "List this project's runs.",
    "status": "Tell how a run stands.",
    "streams": "List a run's streams.",
    "locks": "List who holds what, who waits for whom, deadlocks and violations.",
    "convergence": "List where streams meet, who has come and who is waited for.",
    "conflicts": "List what does not merge, and show both sides.",
    "resolve": "Decide what becomes of conflicted files; the run goes on.",
    "state": "Read the state that streams share: its history, any version of a key.",
    "messages": "List the messages between streams and what became of them.",
    "events": "List what happened in a run; --follow goes on.",
    "report": "Tell what a run did, cost and brought.",
    "approve": "Bring a run's result to your branch.",
    "allow": "Let what a stream wrote against the locks be merged.",
    "recover": "Recover a stream by hand, or be told what that would do.",
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
EXIT_INTERRUPTED = 130
SAFE_MODE = "--safe-mode"
SAFE_MODE_VARIABLE = "ANABRANCH_SAFE_MODE"


class LazyCommands(click.Group):
    """A group whose commands are modules, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"anabranch_console.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "anabranch --help lists the commands"
            raise click.UsageError(f"there is no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-C", "folder", metavar="DIR", help="Run as if started in DIR.")
@click.option(SAFE_MODE, is_flag=True, help="Do without plugins; works on any command.")
@click.version_option(__version__, prog_name="anabranch")
def cli(folder: str | None, safe_mode: bool) -> None:
    """Run streams of work side by side, each in its own workspace, and join their results."""
    if folder is not None:
        try:
            os.chdir(folder)
        except OSError as error:
            raise click.UsageError(f"cannot go to {folder!r}: {error.strerror}") from None


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit with the contract's code."""
    arguments = _without_safe_mode(sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(args=arguments, prog_name="anabranch", standalone_mode=False)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except click.ClickException as error:
        code = _told_usage(error, arguments)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = EXIT_INTERRUPTED
    except AnabranchError as error:
        code = tell_error(error, arguments)
    except BrokenPipeError:
        code = _pipe_closed()
    except Exception as error:
        code = tell_error(_unforeseen(error), arguments)
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.exit(code if isinstance(code, int) else 0)


def _without_safe_mode(arguments: list[str]) -> list[str]:
    """Take ``--safe-mode`` out, wherever it stands: every command understands it."""
    own, rest = arguments, list[str]()
    if "--" in arguments:
        cut = arguments.index("--")
        own, rest = arguments[:cut], arguments[cut:]
    if SAFE_MODE in own:
        os.environ[SAFE_MODE_VARIABLE] = "1"
    return [argument for argument in own if argument != SAFE_MODE] + rest


def wants_json(arguments: list[str]) -> bool:
    """Whether errors are to be told as JSON."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in own


def tell_error(error: AnabranchError, arguments: list[str]) -> int:
    """Tell an error the way the command was asked to speak, and return its exit code."""
    if wants_json(arguments):
        told = {"code": error.code, "message": error.message, "hint": error.hint}
        click.echo(msgspec.json.encode({"schema": 1, "error": told}))
    else:
        click.echo(f"anabranch: {error.message}", err=True)
        if error.hint:
            click.echo(f"  {error.hint}", err=True)
    return error.exit_code


def _told_usage(error: click.ClickException, arguments: list[str]) -> int:
    if wants_json(arguments):
        told = {"code": "usage", "message": error.format_message(), "hint": "see --help"}
        click.echo(msgspec.json.encode({"schema": 1, "error": told}))
    else:
        click.echo(f"anabranch: {error.format_message()}", err=True)
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(f"  see: {error.ctx.command_path} --help", err=True)
    return 2


def _pipe_closed() -> int:
    """The reader of our output has gone; say nothing more to it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _unforeseen(error: Exception) -> AnabranchError:
    """Keep what nobody foresaw in a file, and return what to tell."""
    kept = keep_fault(error)
    hint = f"the details are in {kept}" if kept else ""
    return AnabranchError(f"this should not have happened: {last_words(error)}", hint)


def here() -> Path:
    """Return the folder that commands work in."""
    return Path.cwd()


if __name__ == "__main__":
    main()
