"""``anabranch diff``: what a stream has changed, while it runs and after it."""

from __future__ import annotations

from typing import Any

import click

from anabranch.core.ids import StreamId
from anabranch.core.views.projections import SCHEMA
from anabranch.core.wording import counted
from anabranch.engine.differences import Against, DifferenceReader, FileDifference, StreamDifference
from anabranch.engine.reaching_layers import reach_layers_of
from anabranch_console.cli.output import json_option, print_json, say, shown
from anabranch_console.cli.reading import found_run, known_streams
from anabranch_console.cli.terminal import wants_colour

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_BAR_CELLS = 40
LINE_CELLS = 4_096


@click.command
@click.argument("stream")
@click.argument("run", required=False)
@click.option("--stat", "only_stat", is_flag=True, help="Only how much of which files.")
@click.option("--attempt", type=click.IntRange(1), help="An attempt before; the newest by default.")
@click.option(
    "--against",
    type=click.Choice(["base", "result"]),
    default="base",
    show_default=True,
    help="What it started from, or what the run has merged by now.",
)
@json_option
def command(
    stream: str,
    run: str | None,
    only_stat: bool,
    attempt: int | None,
    against: Against,
    as_json: bool,
) -> None:
    """Show what STREAM has changed: as its files are now, or as they were kept at its end.

    Against the result it is what merging the stream would change there.
    """
    found, state = found_run("diff", run, stream)
    reach_layers_of(found.folder)
    (name,) = known_streams(state, [stream])
    if name not in state.streams:
        raise click.UsageError(f"{stream} was started outside: it has no workspace here")
    with DifferenceReader(state) as reader:
        seen = reader.read(state, StreamId(name), attempt, against, with_lines=not only_stat)
    if as_json:
        print_json({"schema": SCHEMA, "run": state.run, **as_json_object(seen, not only_stat)})
        return
    say(_whose(seen))
    if only_stat:
        print_stat(seen)
    else:
        _print_patch(seen)
    for remark in (seen.found.cut, *(f"{path} would not merge" for path in seen.conflicts)):
        if remark:
            say(shown(remark))


def as_json_object(seen: StreamDifference, with_lines: bool) -> dict[str, Any]:
    """Return what a stream has changed as scripts get it."""
    return {
        "stream": seen.stream,
        "attempt": seen.attempt,
        "source": seen.source,
        "against": seen.against,
        "commit": seen.commit or None,
        "added": seen.found.added,
        "removed": seen.found.removed,
        "files": [_file_as_json(file, with_lines) for file in seen.found.files],
        "conflicts": list(seen.conflicts),
        "cut": seen.found.cut,
    }


def _file_as_json(file: FileDifference, with_lines: bool) -> dict[str, Any]:
    facts = {
        "path": file.path,
        "before_path": file.before_path,
        "status": file.status,
        "before_mode": file.before_mode,
        "after_mode": file.after_mode,
        "binary": file.is_binary,
        "added": file.added,
        "removed": file.removed,
        "cut": file.cut,
    }
    return {**facts, "hunks": list(file.hunks)} if with_lines else facts


def _whose(seen: StreamDifference) -> str:
    what = {"workspace": "as it is now", "result": "its result", "partial": "its partial work"}
    against = "what it started from" if seen.against == "base" else "what has merged by now"
    return f"{shown(seen.stream)}, attempt {seen.attempt}, {what[seen.source]}, against {against}"


def print_stat(seen: StreamDifference) -> None:
    """Print how much of which files has changed, and the sum."""
    most = max((_size(file) for file in seen.found.files), default=0)
    for file in seen.found.files:
        counts = "binary" if file.is_binary else f"+{file.added} -{file.removed}"
        click.echo(f"{counts:>14}  {_bar(file, most)}  {shown(_named(file))}{_note(file)}")
    added, removed = seen.found.added, seen.found.removed
    click.echo(f"{counted(len(seen.found.files), 'file')} changed, +{added} -{removed}")


def _size(file: FileDifference) -> int:
    return (file.added or 0) + (file.removed or 0)


def _bar(file: FileDifference, most: int) -> str:
    """Return signs for the added and the removed lines, shorter where there are too many."""
    scale = min(1.0, _BAR_CELLS / most) if most else 1.0
    plus, minus = (round((n or 0) * scale) or bool(n) for n in (file.added, file.removed))
    room = " " * (min(most, _BAR_CELLS) - plus - minus)
    return f"{_painted('+' * plus, '+')}{_painted('-' * minus, '-')}{room}"


def _named(file: FileDifference) -> str:
    return file.path if file.before_path == file.path else f"{file.before_path} -> {file.path}"


def _note(file: FileDifference) -> str:
    """Return what else became of a file, in words."""
    if file.status in ("added", "deleted", "copied"):
        return f"  ({file.status})"
    if file.before_mode != file.after_mode:
        return f"  (mode {file.before_mode} -> {file.after_mode})"
    return ""


def _print_patch(seen: StreamDifference) -> None:
    for file in seen.found.files:
        old, new = (_side(p, m, s) for p, m, s in (
            (file.before_path, file.before_mode, "a/"), (file.path, file.after_mode, "b/")
        ))  # fmt: skip
        note = _note(file)
        if file.before_path != file.path:
            note += "  (renamed)" if file.status == "renamed" else ""
        click.echo(_bold(f"--- {old}"))
        click.echo(_bold(f"+++ {new}{note}"))
        if file.cut or file.is_binary:
            click.echo(file.cut or "binary, or too large to be shown")
        for hunk in file.hunks:
            before = f"{hunk.before_start},{hunk.before_count}"
            after = f"{hunk.after_start},{hunk.after_count}"
            click.echo(_painted(f"@@ -{before} +{after} @@ {shown(hunk.heading)}".rstrip(), "@"))
            for line in hunk.lines:
                click.echo(_painted(f"{line[:1]}{shown(line[1:], LINE_CELLS)}", line[:1]))


def _side(path: str, mode: str, prefix: str) -> str:
    return "/dev/null" if mode == "000000" else f"{prefix}{shown(path)}"


def _bold(text: str) -> str:
    return click.style(text, bold=True) if wants_colour() else text


def _painted(text: str, sign: str) -> str:
    colour = _COLOURS.get(sign)
    return click.style(text, fg=colour) if text and colour and wants_colour() else text
