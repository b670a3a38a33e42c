"""The execution report in words, as text and as Markdown, from the same object as the JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anabranch.core.views.copies import speculation_in_words
from anabranch.core.views.learning import LEAST_SHARE, Gain
from anabranch.core.views.memory import overrun_in_words
from anabranch.core.views.samples import factor_between
from anabranch.core.wording import counted, duration, instant, length
from anabranch_console.cli.output import glyph, paint, shown
from anabranch_console.cli.report_handlers import handler_figures

Report = dict[str, Any]
MOST_ESTIMATES = 4
FAR_OFF = 1.2
"""Estimates that were off by a smaller factor are nothing to be told one by one."""


def report_lines(report: Report) -> Iterator[str]:
    """Yield the report as lines of text."""
    yield ""
    yield paint(_headline(report), report["state"])
    if report["reason"]:
        yield f"  {shown(report['reason'])}"
    yield ""
    yield from _stream_lines(report)
    yield ""
    for name, text in summary(report):
        yield f"  {name:<14}{text}"
    for line in left_out_lines(report["convergence"]):
        yield f"  {line}"
    for line in plugin_lines(report.get("plugins", [])):
        yield f"  {line}"
    yield from _kept_lines(report)


def plugin_lines(faults: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what plugins did wrong, and what was done instead."""
    for found in faults:
        source = "" if found["plugin"] == found["strategy"] else f" ({found['plugin']})"
        times = f", {found['count']} times" if found["count"] > 1 else ""
        aside = "; it was set aside" if found["set_aside"] else ""
        text = f"{found['strategy']}{source}: {found['fault']}{times}; {found['instead']}{aside}"
        yield f"{'plugin':<14}{shown(text)}"


def left_out_lines(points: list[dict[str, Any]]) -> Iterator[str]:
    """Yield whose results are not in what was merged, and why; each stream once a reason."""
    named: set[tuple[str, str]] = set()
    for point in points:
        for out in point.get("left_out", ()):  # reports of earlier versions do not have it
            if (out["stream"], out["reason"]) not in named:
                named.add((out["stream"], out["reason"]))
                where = f"{out['stream']} at {point['point']}"
                yield f"{'left out':<14}{shown(where)}: {shown(out['reason'])}"


def _headline(report: Report) -> str:
    state = report["state"].replace("_", " ")
    return f"{glyph(report['state'])} {shown(report['plan'])} {state} · run {report['run']}"


def _stream_lines(report: Report) -> Iterator[str]:
    width = max((len(s["stream"]) for s in report["streams"]), default=0)
    for stream in report["streams"]:
        state = stream["state"]
        sign = paint(f"{glyph(state)} {state.replace('_', ' '):<11}", state)
        seconds = duration(report["seconds"].get(stream["stream"]))
        changed = _files(stream["files_changed"])
        again = f" (attempt {stream['attempt']})" if stream["attempt"] > 1 else ""
        reason = shown(stream["reason"], 90)
        yield f"  {sign} {stream['stream']:<{width}}  {seconds:>7}  {changed:>9}  {reason}{again}"
        for warning in stream["warnings"]:
            yield f"    ! {shown(warning)}"


def _files(count: int | None) -> str:
    return counted(count, "file") if count else ""


def summary(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the figures of a report, each with its name."""
    wall, work = report["wall_seconds"], report["work_seconds"]
    speedup = f", {report['speedup']:.2f}× one after the other" if report["speedup"] else ""
    yield "wall time", f"{duration(wall)}  (work {duration(work)}{speedup})"
    yield "overhead", _overhead(report)
    if report.get("overhead_alert"):
        yield "  look at", report["overhead_alert"]
    if report.get("decision_latency"):
        yield "decisions", _decisions(report["decision_latency"])
    if report.get("coordination_failures"):
        yield "failures", _failures(report["coordination_failures"])
    if report.get("cpu_utilisation") is not None:
        yield "processors", f"{report['cpu_utilisation']:.0%} of their time used by streams"
    if report.get("utilisation") is not None:
        yield "slots", f"{report['utilisation']:.0%} of their time used"
    if report["efficiency"] is not None:
        bound = duration(report["lower_bound_seconds"])
        slots = report["max_parallel"]
        yield "lower bound", f"{bound} on {slots} slots (efficiency {report['efficiency']:.0%})"
    if report.get("predicted_seconds") is not None:
        yield "predicted", _predicted(report)
        yield from _of_estimates(report["estimates"])
    predicted, actual = report["critical_path"]["predicted"], report["critical_path"]["actual"]
    yield "critical path", " → ".join(actual) or "-"
    if predicted != actual:
        yield "  predicted", " → ".join(predicted) or "-"
    if report.get("fusion"):  # reports of earlier versions have none
        yield "fusion", _fused(report)
    if report.get("stealing", {}).get("asked"):  # reports of earlier versions have none
        yield "stealing", _stealing(report["stealing"])
    if report.get("jobserver"):  # reports of earlier versions have none
        yield "jobserver", tokens_in_words(report["jobserver"])
    if report["recoveries"]:
        yield (
            "recoveries",
            "; ".join(
                f"{r['stream']} attempt {r['attempt']}: {shown(r['reason'], 60)}"
                for r in report["recoveries"][:4]
            ),
        )
    for found in report.get("overruns", [])[:4]:  # reports of earlier versions have none
        text = overrun_in_words(found["used"], found["limit"], found["rule"])
        yield "memory", f"{found['stream']} attempt {found['attempt']} {text}"
    if report.get("speculation", {}).get("copies"):  # reports of earlier versions have none
        yield "speculation", speculation_in_words(report["speculation"])
    if report["branch"]:
        yield "result", where_it_is(report)
    yield from handler_figures(report.get("handlers", []))  # reports of others have none
    integrity = report["integrity"]
    yield "journal", f"{integrity['journal']}, {integrity['events']} events"
    whole = integrity["state"] == "ok"
    yield "state", "ok: every promise holds" if whole else f"not whole: {shown(integrity['state'])}"
    timeline = report.get("timeline")  # reports of earlier versions have none
    if timeline and timeline["check"] != "ok":
        yield "  not in order", shown(timeline["check"])


def _stealing(found: Report) -> str:
    """Return what free slots have taken out of the queues of others."""
    moved = f"{counted(found['streams'], 'stream')} in {counted(found['stolen'], 'steal')}"
    refused = f", {found['refused']} refused" if found["refused"] else ""
    return f"{moved}{refused}"


def _predicted(report: Report) -> str:
    """Return how long the run was expected to take, and what that was said from."""
    estimates, count = report["estimates"], len(report["streams"])
    factor = estimates["median_factor"]
    off = f", half of them within a factor of {factor:.1f}" if factor else ""
    learned = f"{estimates['learned']} of {count} learned{off}"
    basis = learned if estimates["learned"] else "guessed: nothing of it had run here"
    return f"{duration(report['predicted_seconds'])}  ({basis})"


def _of_estimates(estimates: Report) -> Iterator[tuple[str, str]]:
    """Yield what was learned has brought, and which learned estimates were furthest off."""
    if "gain_seconds" in estimates:  # reports of earlier versions have none
        yield "  learned", _gain(estimates)
    known = [s for s in estimates.get("streams", ()) if s["basis"] == "learned"]
    known = [s for s in known if s["actual_seconds"] and _how_far_off(s) >= FAR_OFF]
    for found in sorted(known, key=_how_far_off, reverse=True)[:MOST_ESTIMATES]:
        took, expected = duration(found["actual_seconds"]), duration(found["predicted_seconds"])
        usual, long = found["p50_seconds"], found["p95_seconds"]
        tail = f" (p50 {duration(usual)}, p95 {duration(long)})" if long is not None else ""
        yield "  stream", f"{found['stream']} took {took}, {expected} were expected{tail}"


def _how_far_off(found: Report) -> float:
    return factor_between(found["predicted_seconds"], found["actual_seconds"])


def _gain(estimates: Report) -> str:
    """Say what the order gained by learned durations, or why nobody knows."""
    gained = Gain(estimates["gain_seconds"], estimates["gain_share"], estimates["gain_reason"])
    if gained.seconds is None or gained.share is None:
        return f"no gain can be told: {gained.reason}"
    if gained.is_one:
        return (
            f"durations saved about {length(gained.seconds, 1)} ({gained.share:.0%}), by a replay"
        )
    if gained.share <= -LEAST_SHARE:
        return f"no gain: guesses would have saved about {length(-gained.seconds, 1)}, by a replay"
    return "no gain: guesses would have given an order as good, by a replay"


def _fused(report: Report) -> str:
    """Say how many streams have gone on in the workspace of another, and what that saved."""
    groups = report["fusion"]
    fused = sum(len(group["members"]) - 1 for group in groups)
    saved = length(report["fusion_saved_seconds"], 1)
    where = counted(len(groups), "workspace")
    return f"{counted(fused, 'stream')} went on in {where}: saved about {saved} of making their own"


def tokens_in_words(jobserver: dict[str, int]) -> str:
    """Say how many slots the builds of all streams have shared, and how far they were used."""
    now = f"{jobserver['in_use']} of {jobserver['lent']} in use now, " if jobserver["lent"] else ""
    lost = f", {jobserver['put_back']} lost and replaced" if jobserver["put_back"] else ""
    slots, most = counted(jobserver["slots"], "slot"), jobserver["most_in_use"]
    return f"{slots}; tokens: {now}{most} at most{lost}"


def where_it_is(report: Report) -> str:
    """Say where a run's result is; a plain folder has no branch that anybody could look at."""
    if report.get("result_folder"):
        return shown(report["result_folder"])
    return f"branch {report['branch']} at {report['commit'][:10]}"


def _overhead(report: Report) -> str:
    parts = [f"{n} {duration(s)}" for n, s in report["overhead"].items() if s >= 0.05]
    detail = f"  ({', '.join(parts)})" if parts else ""
    return f"{report['overhead_share']:.1%} of all time spent{detail}"


def _failures(known: dict[str, Any]) -> str:
    return f"{known['count'] or 'none'} of {counted(known['of'], 'effect')} of coordination"


def _decisions(latency: dict[str, Any]) -> str:
    usual, nearly_all, most = (instant(latency[f"{n}_seconds"]) for n in ("p50", "p99", "max"))
    return f"{latency['count']} in {usual} each  (99 % within {nearly_all}, the slowest {most})"


def _kept_lines(report: Report) -> Iterator[str]:
    for ref in report["partial"]:
        yield f"  kept          {ref} (partial work)"
    for ref in report["rescue"]:
        yield f"  kept          {ref} (rescued)"
    left_out = {
        out["stream"] for point in report["convergence"] for out in point.get("left_out", ())
    }
    for stream in report["streams"]:
        if stream["stream"] in left_out and stream.get("commit"):
            name = shown(stream["stream"])
            yield f"  kept          commit {stream['commit'][:10]} (what {name} made)"


def report_markdown(report: Report) -> Iterator[str]:
    """Yield the report as lines of Markdown."""
    yield f"# {_cell(report['plan'])}: {report['state'].replace('_', ' ')}"
    yield ""
    yield f"Run `{report['run']}`. {_cell(report['reason'])}".rstrip()
    yield ""
    yield "| stream | state | attempt | seconds | files | how it ended |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    for stream in report["streams"]:
        seconds = report["seconds"].get(stream["stream"])
        state = stream["state"].replace("_", " ")
        yield (
            f"| {_cell(stream['stream'])} | {state} | {stream['attempt']} "
            f"| {'' if seconds is None else format(seconds, '.2f')} "
            f"| {stream['files_changed'] or ''} | {_cell(stream['reason'])} |"
        )
    yield ""
    yield "| figure | value |"
    yield "| --- | --- |"
    for name, text in summary(report):
        yield f"| {name.strip()} | {_cell(text)} |"
    rest = [*left_out_lines(report["convergence"]), *plugin_lines(report.get("plugins", []))]
    for line in rest:
        yield f"| {line[:14].strip()} | {_cell(line[14:])} |"


def _cell(text: str) -> str:
    return shown(text).replace("\\", "\\\\").replace("|", "\\|")
