"""``anabranch import``: a plan from another tool's file."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import click
import tomli_w

from anabranch.bounded_call import in_words
from anabranch.config import LoadedPlan, StrategyNames, check_text, parse_plan
from anabranch.errors import AnabranchError, UsageError
from anabranch.extending import Imported, Importer, NotThisFormat
from anabranch.safe_mode import is_safe_mode
from anabranch.undisturbed import Misbehaved, asked_undisturbed
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say, shown

LARGEST_BYTES = 4 << 20
LIMIT_SECONDS = 10.0


@click.command
@click.argument("file")
@click.option("--from", "form", metavar="FORMAT", help="What FILE is; else its name decides.")
def command(file: str, form: str | None) -> None:
    """Print the plan that FILE stands for, as TOML; say what no plan can carry.

    Reads Procfiles, process-compose files, a subset of compose files, the quick reference's YAML,
    and what plugins know: anabranch import Procfile > anabranch.toml
    """
    loaded = installed()
    importers = loaded.extensions.importers
    text = _read(Path(file))
    importer, found = _converted(Path(file).name, text, form, importers)
    document = {"version": 1, **found.plan}
    try:
        plan = tomli_w.dumps(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{importer.name} could not make a plan of it: {error}") from None
    text = f"# From {shown(Path(file).name)}, a {importer.name} file.\n{plan}"
    click.echo(text, nl=False)
    for line in (*found.left_out, *_read_unasked(importer, Path(file).parent)):
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


def _converted(
    name: str, text: str, form: str | None, importers: Mapping[str, Importer]
) -> tuple[Importer, Imported]:
    """Return what the first importer makes of a text that knows it."""
    objections = []
    for importer in _candidates(name, form, importers):
        did: list[str] = []
        try:
            found = asked_undisturbed(LIMIT_SECONDS, partial(importer.convert, text), did)
        except NotThisFormat as error:
            objections.append(f"as {importer.name}: {error}")
        except AnabranchError:
            raise
        except TimeoutError:
            objections.append(f"as {importer.name}: no answer within {LIMIT_SECONDS:g} s")
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
    )


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


def _read(file: Path) -> str:
    try:
        with open(file, "rb") as opened:
            data = opened.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise UsageError(f"{file} is larger than {LARGEST_BYTES >> 20} MB", "split it")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8", "save it as UTF-8") from None
