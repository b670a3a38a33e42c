"""``anabranch import``: a plan from another tool's file."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import click
import tomli_w

from anabranch.bounded_call import in_words
from anabranch.config import LoadedPlan, StrategyNames, check_text, parse_plan
from anabranch.errors import AnabranchError, UsageError
from anabranch.extending import Imported, Importer, NotThisFormat
from anabranch.files import write_fresh
from anabranch.plain_files import NotPlain, read_if_there
from anabranch.safe_mode import is_safe_mode
from anabranch.undisturbed import Misbehaved, asked_undisturbed
from anabranch_console.cli.after_dashes import WithWords
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say, shown
from anabranch_console.cli.planning import DEFAULT_PLAN

LARGEST_BYTES = 4 << 20
LARGEST_OF_ALL_BYTES = 1 << 30
LIMIT_SECONDS = 10.0
SECONDS_PER_MB = 1.0


class FileOrWords(WithWords):
    """A command that knows ``import FILE`` from ``import -- WORD …``."""

    asked_for = "command line"

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] FILE\n[OPTIONS] -- parallel WORD ...")


@click.command(cls=FileOrWords)
@click.argument("file", required=False)
@click.option("--from", "form", metavar="FORMAT", help="What FILE is; else its name decides.")
def command(file: str | None, words: tuple[str, ...], form: str | None) -> None:
    """Print the plan that FILE stands for, as TOML; say what no plan can carry.

    Reads Procfiles, process-compose files, a subset of compose files, the quick reference's YAML,
    recorded workflows of WfCommons, scripts and command lines of GNU parallel, and what plugins
    know: anabranch import Procfile > anabranch.toml. What belongs beside a plan is written into
    this folder.
    """
    if bool(file) == bool(words):
        raise click.UsageError("give either a file or a command line after --")
    loaded = installed()
    importers = loaded.extensions.importers
    name = Path(file).name if file else os.path.basename(words[0])
    candidates = _candidates(name, form if file else form or name, importers)
    text = _read(Path(file), candidates) if file else shlex.join(words)
    importer, found = _converted(name, text, candidates)
    document = {"version": 1, **found.plan}
    try:
        plan = tomli_w.dumps(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{importer.name} could not make a plan of it: {error}") from None
    origin = f"{name}, a {importer.name} file" if file else f"a command line of {name}"
    text = f"# From {shown(origin)}.\n{plan}"
    _write_beside(found.files)
    click.echo(text, nl=False)
    for line in (*found.left_out, *(_read_unasked(importer, Path(file).parent) if file else ())):
        say(f"left out: {shown(line)}")
    known = StrategyNames.of(loaded.strategies, loaded.extensions.executors)
    checked = parse_plan(text, file="the plan", known=known, folder=here())
    if not isinstance(checked, LoadedPlan):
        say("this is not a valid plan yet:")
        say(check_text(checked).rstrip())
        raise click.exceptions.Exit(2)
    for warning in checked.warnings:
        say(f"{warning.code}: {shown(warning.message)}")


def _read_unasked(importer: Importer, folder: Path) -> list[str]:
    """Say what the tool of a file reads besides it, if that is there: no plan does so unasked."""
    name = getattr(importer, "reads_beside", None)
    if not isinstance(name, str) or not (folder / name).is_file():
        return []
    return [
        f"{name}, which is read there unasked: a stream that needs it has env_file = [{name!r}]"
    ]


def _write_beside(files: Mapping[str, str]) -> None:
    """Write what belongs beside a plan into this folder, in the place of nothing else.

    Raises UsageError if something else is there.
    """
    for name, text in files.items():
        content = text.encode("utf-8", "surrogateescape")
        try:
            if read_if_there(here() / name, len(content)) == content:
                continue
            write_fresh(here() / name, content, mode=0o666)
        except (FileExistsError, NotPlain):
            raise UsageError(f"{name} is there already", "move it away") from None
        except OSError as error:
            raise UsageError(f"cannot write {name}: {error.strerror}") from None
        say(f"written: {name}, which belongs to the plan; commit it: workspaces have what is")


def _converted(name: str, text: str, candidates: Sequence[Importer]) -> tuple[Importer, Imported]:
    """Return what the first importer makes of a text that knows it."""
    objections = []
    limit_seconds = LIMIT_SECONDS + SECONDS_PER_MB * len(text) / 1e6
    for importer in candidates:
        did: list[str] = []
        try:
            found = asked_undisturbed(limit_seconds, partial(importer.convert, text), did)
        except NotThisFormat as error:
            objections.append(f"as {importer.name}: {error}")
        except AnabranchError:
            raise
        except TimeoutError:
            objections.append(f"as {importer.name}: no answer within {limit_seconds:.0f} s")
        except Misbehaved as error:
            objections.append(f"as {importer.name}: {error}")
        except Exception as error:  # an importer may be a plugin's
            objections.append(f"as {importer.name}: {in_words(error)}")
        else:
            if _is_whole(found):
                return importer, found
            objections.append(f"as {importer.name}: what it answered is not a plan")
        finally:
            for what in did:
                say(f"importer {importer.name}: {shown(what)}")
    reasons = "; ".join(objections)
    raise UsageError(f"{name} cannot be imported: {reasons}", "--from FORMAT says what it is")


def _is_whole(found: object) -> bool:
    """Return whether an answer is what it has to be, in its parts too."""
    return (
        isinstance(found, Imported)
        and isinstance(found.plan, Mapping)
        and isinstance(found.left_out, list | tuple)
        and all(isinstance(line, str) for line in found.left_out)
        and isinstance(found.files, Mapping)
        and all(_is_beside(name) and isinstance(t, str) for name, t in found.files.items())
    )


def _is_beside(name: object) -> bool:
    """Return whether a name is that of a file in the same folder, and not of the plan or hidden."""
    is_plain = isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name)
    return bool(is_plain) and name != DEFAULT_PLAN


def _candidates(name: str, form: str | None, importers: Mapping[str, Importer]) -> list[Importer]:
    if form is not None:
        if form not in importers:
            safe = " (safe mode: no plugins)" if is_safe_mode() else ""
            known = ", ".join(importers)
            raise UsageError(f"there is no importer {form!r}{safe}", f"formats: {known}")
        return [importers[form]]
    found = [i for i in importers.values() if any(fnmatch(name, p) for p in i.file_names)]
    if not found:
        known = ", ".join(importers)
        raise UsageError(f"no importer knows a file named {name}", f"--from one of: {known}")
    return found


def _largest_bytes(importer: Importer) -> int:
    """Return how large a file an importer takes; one that says nothing takes what others do."""
    most = getattr(importer, "largest_bytes", None)
    return min(most, LARGEST_OF_ALL_BYTES) if isinstance(most, int) else LARGEST_BYTES


def _read(file: Path, candidates: Sequence[Importer]) -> str:
    most = max(map(_largest_bytes, candidates))
    try:
        with open(file, "rb") as opened:
            data = opened.read(most + 1)
        if len(data) > most:
            raise UsageError(f"{file} is larger than {most >> 20} MB", "split it")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8", "save it as UTF-8") from None
