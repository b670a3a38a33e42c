"""``anabranch doctor``: is this machine fit, and how is what is wrong mended?"""

from __future__ import annotations

import click
import msgspec

from anabranch.core.projections import SCHEMA
from anabranch.engine.health import Finding, examine
from anabranch_console.cli.hosting import finish
from anabranch_console.cli.main import here
from anabranch_console.cli.output import json_option, paint, print_json, shown

_SIGNS = {
    "ok": ("ok  ", "succeeded"),
    "warning": ("warn", "recovering"),
    "fault": ("BAD ", "failed"),
}


@click.command
@json_option
def command(as_json: bool) -> None:
    """Check this machine (git, limits, disk, terminal, plugins) and say how to mend each."""
    findings = examine(here())
    if as_json:
        print_json({"schema": SCHEMA, "findings": msgspec.to_builtins(findings)})
    else:
        for finding in findings:
            _tell(finding)
    finish(3 if any(f.verdict == "fault" for f in findings) else 0)


def _tell(finding: Finding) -> None:
    word, state = _SIGNS[finding.verdict]
    click.echo(f"{paint(word, state)}  {finding.subject:<12} {shown(finding.message)}")
    if finding.mend:
        click.echo(f"{'':<19}{shown(finding.mend)}")
