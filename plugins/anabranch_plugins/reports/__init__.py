"""The built-in report formats for other programs."""

from __future__ import annotations

from anabranch.extending import ReportFormat
from anabranch.hookspecs import hookimpl
from anabranch_plugins.reports.junit import JUnit
from anabranch_plugins.reports.trace import Trace


@hookimpl
def anabranch_report_formats() -> list[ReportFormat]:
    return [JUnit(), Trace()]
