"""``anabranch doctor``: is this machine fit, and how is what is wrong mended?"""

from __future__ import annotations

import click
import msgspec

from anabranch import exit_codes
from anabranch.core.views.projections import SCHEMA
from anabranch.engine.git_leftovers import remove_stale_worktrees
from anabranch.engine.health import Finding, examine
from anabranch.engine.opening import git_errors
from anabranch.engine.runs import run_folders
from anabranch.engine.salvaging import Salvaged, salvage
from anabranch_console.cli.hosting import finish
from anabranch_console.cli.main import here
from anabranch_console.cli.output import json_option, paint, print_json, shown

_SIGNS = {
    "ok": ("ok  ", "succeeded"),
    "warning": ("warn", "recovering"),
    "fault": ("BAD ", "failed"),
}


@click.command
@click.option("--repair", is_flag=True, help="Mend first what can be mended without a loss.")
@json_option
def command(repair: bool, as_json: bool) -> None:
    """Check this machine (git, limits, disk, terminal, plugins) and say how to mend each.

    With --repair, a journal that is damaged is replaced by what can be saved of it; what is lost
    is named, and the damaged file is kept. Worktrees that runs left locked in the repository, and
    that no run knows any more, are taken out, and their commits kept.
    """
    salvaged = [s for s in map(salvage, run_folders(here())) if s] if repair else []
    with git_errors():
        removed = remove_stale_worktrees(here()) if repair else []
    findings = examine(here())
    if as_json:
        report = {"schema": SCHEMA, "findings": msgspec.to_builtins(findings)}
        mended = {"repaired": msgspec.to_builtins(salvaged), "removed": removed}
        print_json({**report, **(mended if repair else {})})
    else:
        for worktree in removed:
            click.echo(f"{paint(*_SIGNS['ok'])}  {'repair':<12} {shown(worktree)}")
        for done in salvaged:
            _tell_salvaged(done)
        for finding in findings:
            _tell(finding)
    is_faulty = any(f.verdict == "fault" for f in findings)
    finish(exit_codes.FAULT if is_faulty else exit_codes.DONE)


def _tell_salvaged(done: Salvaged) -> None:
    word, state = _SIGNS["warning" if done.damaged else "fault"]
    kept = f"{done.events} events saved; resume it with: anabranch resume {done.run}"
    what = kept if done.damaged else "nothing could be saved; its workspaces and logs are there"
    click.echo(f"{paint(word, state)}  {'repair':<12} run {shown(done.run)}: {what}")
    for lost in done.lost:
        click.echo(f"{'':<19}lost: {shown(lost)}")
    if done.damaged:
        click.echo(f"{'':<19}the damaged journal is kept: {shown(done.damaged)}")


def _tell(finding: Finding) -> None:
    word, state = _SIGNS[finding.verdict]
    click.echo(f"{paint(word, state)}  {finding.subject:<12} {shown(finding.message)}")
    if finding.mend:
        click.echo(f"{'':<19}{shown(finding.mend)}")
