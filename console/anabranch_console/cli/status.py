"""``anabranch status``: how a run stands."""

from __future__ import annotations

from typing import Any

import click

from anabranch.core.model.state import State
from anabranch.core.views.included import included_in_words
from anabranch.core.views.outlook import with_outlook
from anabranch.core.views.projections import is_plain_folder, status
from anabranch.core.wording import duration
from anabranch.engine.token_ledger import figures
from anabranch_console.cli.output import (
    glyph,
    json_option,
    paint,
    print_json,
    run_argument,
    say,
    shown,
)
from anabranch_console.cli.reading import (
    found_run,
    last_moment,
    overhead_share,
    silence_in_words,
)
from anabranch_console.cli.report_text import plugin_lines, tokens_in_words, where_it_is
from anabranch_console.cli.streams import print_streams


@click.command
@run_argument
@json_option
def command(run: str | None, as_json: bool) -> None:
    """Show how RUN (that goes on) stands, each stream and each convergence point."""
    found, state = found_run("status", run, tells_silence=False)
    now = last_moment(found, state)
    standing = status(state, found.is_hosted, overhead_share(found, state), found.silent_since)
    report = with_outlook(standing, state, now)
    report["result_missing"] = bool(report["commit"]) and _is_missing(state)
    report["jobserver"] = figures(found.folder, state.has_ended)
    report["result_folder"] = str(found.folder.result) if _is_in_folder(report, state) else None
    if found.folder.of_handlers.exists() or any(stream.fan for stream in state.plan.streams):
        from anabranch.engine.handlers import with_counts  # few runs have handlers

        with_counts(report["streams"], state, found.folder)
    if as_json:
        print_json(report)
        return
    is_at_rest = report["is_open"] and not state.has_ended and not state.counts.active
    word = "open" if is_at_rest else report["state"].replace("_", " ")
    sign = "waiting" if is_at_rest else report["state"]
    head = f"{glyph(sign)} {shown(report['plan'])} {word}"
    click.echo(paint(head, sign) + f" · run {report['run']}")
    if found.silent_since is not None:
        click.echo(paint(f"  {silence_in_words(found.silent_since)}", "stalled"))
    for line in (report["reason"], report["hint"], report["approval"]):
        if line:
            click.echo(f"  {shown(line)}")
    if state.base is not None and state.base.included.files:
        click.echo(
            f"  ignored files in each workspace: {shown(included_in_words(state.base.included))}"
        )
    if any((row.get("workspace_made") or {}).get("enter") for row in report["streams"]):
        click.echo("  workspaces are in a namespace: anabranch enter STREAM goes inside")
    click.echo()
    print_streams(state, report["streams"], now)
    if report["state"] == "running" and report["expected_rest_seconds"] is not None:
        click.echo(f"\n  {_expected(report)}")
    click.echo()
    for point in report["convergence"]:
        waiting = len(point["waiting_for"])
        rest = f", waiting for {waiting}" if waiting else ""
        click.echo(f"  {point['point']}: {point['type']}, {point['state']}{rest}")
        for warning in point["warnings"]:
            click.echo(f"    warning: {shown(warning)}")
        for out in point["left_out"]:
            click.echo(f"    left out: {shown(out['stream'])}: {shown(out['reason'])}")
        for conflict in point["conflicts"]:
            between = " and ".join(conflict["streams"])
            click.echo(f"    conflict between {between} in {shown(', '.join(conflict['paths']))}")
    for found in report["foreseen"]:
        between, paths = " and ".join(found["streams"]), [p["path"] for p in found["paths"]]
        click.echo(f"  radar: {between} would conflict in {shown(', '.join(paths))}")
    for row in report["breakers"]:
        state_of_it = row["state"].replace("_", " ")
        click.echo(f"  breaker of {shown(row['breaker'])} {state_of_it}: {shown(row['reason'])}")
    for letter in report["dead_letters"]:
        name = letter["stream"]
        again = f"anabranch recover {shown(name)} hard --run {report['run']} tries it again"
        click.echo(f"  dead letter: {shown(name)}, {shown(letter['reason'])}; {again}")
    if report["jobserver"]:
        click.echo(f"  jobserver: {tokens_in_words(report['jobserver'])}")
    for line in plugin_lines(report["plugins"]):
        click.echo(f"  {line}")
    if report["branch"]:
        click.echo(f"  result: {where_it_is(report)}")
    if report["result_missing"]:
        say("that commit is not in the repository that is here now; anabranch doctor says more")
    if report["state"] == "interrupted" and report["is_open"]:
        say("it is open, and nobody hosts it; anabranch add goes on, anabranch close ends it")
    elif report["state"] == "interrupted":
        say(f"nobody hosts it; go on with: anabranch resume {report['run']}")


def _expected(report: dict[str, Any]) -> str:
    """Return how long the rest is expected to take, what decides it, and how much is guessed."""
    left = [stream for stream in report["streams"] if stream.get("expected")]
    path = " → ".join(map(shown, report["critical_path"]))
    guessed = f" (guessed for {report['guessed']} of {len(left)})" if report["guessed"] else ""
    decides = f": {path} decides" if path else ""
    return f"about {duration(report['expected_rest_seconds'])} left{decides}{guessed}"


def _is_in_folder(report: dict[str, Any], state: State) -> bool:
    return bool(report["branch"]) and is_plain_folder(state)


def _is_missing(state: State) -> bool:
    from anabranch.engine.result_presence import result_is_missing  # only a result is looked for

    return result_is_missing(state)
