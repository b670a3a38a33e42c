"""The plan file: strict TOML through one typed model, with every mistake named at its place.

The model itself (:mod:`anabranch.config.model`) is loaded when a plan file is read.
"""

from anabranch.config.added_streams import Wanted, added_stream, open_plan, proposed_name
from anabranch.config.checking import check_report, check_text
from anabranch.config.context import PlanContext
from anabranch.config.loading import (
    ON_STDIN,
    LoadedPlan,
    as_runnable,
    as_strict,
    load_plan,
    parse_plan,
    plan_from_commands,
    plan_from_template,
    race_plan,
    refused_for,
)
from anabranch.config.open_plans import open_plan_here
from anabranch.config.problems import PlanError, PlanWarning
from anabranch.config.reading import PlanErrors
from anabranch.config.strategy_names import StrategyNames
from anabranch.config.user_templates import templates_here
from anabranch.config.writing import SCHEMA_FILE, initial_plan

__all__ = [
    "ON_STDIN",
    "SCHEMA_FILE",
    "LoadedPlan",
    "PlanContext",
    "PlanError",
    "PlanErrors",
    "PlanWarning",
    "StrategyNames",
    "Wanted",
    "added_stream",
    "as_runnable",
    "as_strict",
    "check_report",
    "check_text",
    "initial_plan",
    "load_plan",
    "open_plan",
    "open_plan_here",
    "parse_plan",
    "plan_from_commands",
    "plan_from_template",
    "proposed_name",
    "race_plan",
    "refused_for",
    "templates_here",
]
