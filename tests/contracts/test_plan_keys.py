"""Every key of a plan acts, or ``check`` says that it does not.

The keys are those of the model itself. Each of them is either in :data:`EFFECTS`, with a test that
shows what it does, or in :data:`anabranch.config.not_yet.NOT_YET`. A key that is added to the model
and to neither fails here.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import tomli_w
from pydantic import BaseModel

from anabranch.config import LoadedPlan, PlanErrors, parse_plan
from anabranch.config.model import PlanFile
from anabranch.config.not_yet import NOT_YET, NotYet
from anabranch.config.outline_tables import StreamOutline
from anabranch.config.problems import WarningCode

ROOT = Path(__file__).parents[2]
CORE, ENGINE, E2E = "tests/core/test_", "tests/engine/test_", "tests/e2e/test_"
GUARDIAN = f"{E2E}guardian.py::"
TIMES = f"{E2E}times.py::"

EFFECTS = {
    "version": f"{ENGINE}plan_file.py::test_every_mistake_is_named_at_its_place",
    "name": f"{ENGINE}plan_file.py::test_a_plan_without_a_name_is_called_after_its_folder",
    "coordination.convergence_type": f"{E2E}convergence_types.py"
    "::test_eight_streams_come_to_the_same_result_under_each_type",
    "coordination.checkpoint_interval": f"{E2E}convergence_types.py"
    "::test_checkpoint_streams_that_opted_in_get_the_others_work_while_they_run",
    "coordination.max_parallel": f"{CORE}scheduling.py"
    "::test_slots_are_never_exceeded_and_are_used_again",
    "coordination.balancer": f"{CORE}scheduling.py::test_plan_order_is_a_balancer_too",
    "coordination.balancer_options": f"{CORE}balancer_options.py"
    "::test_options_go_to_the_one_that_they_are_for_and_its_like",
    "coordination.protocols": f"{CORE}registration.py::test_a_plan_can_switch_protocols_off",
    "coordination.tell_conflicts": f"{CORE}radar.py"
    "::test_both_sides_are_told_when_the_plan_or_the_operator_wants_it",
    "coordination.fusion": f"{E2E}fusion.py::test_it_is_switched_off_by_one_line",
    "coordination.jobserver": f"{E2E}jobserver.py::test_makes_in_several_streams_share_one_machine",
    "coordination.speculation": f"{E2E}speculation.py"
    "::test_the_copy_of_a_straggler_wins_and_the_straggler_is_fenced",
    "coordination.isolation.workspace": f"{E2E}run.py"
    "::test_shared_streams_work_in_the_users_folder",
    "coordination.isolation.method": f"{E2E}layers.py::test_they_bring_the_same_result_as_folders",
    "coordination.isolation.file_access": f"{CORE}locks.py"
    "::test_shared_files_are_held_against_nobody",
    "coordination.isolation.include_uncommitted": f"{E2E}run.py"
    "::test_uncommitted_work_can_be_the_base",
    "coordination.isolation.include": f"{E2E}including.py"
    "::test_streams_have_what_git_ignores_and_work_needs",
    "coordination.isolation.sensitive": f"{E2E}approval.py"
    "::test_what_others_run_or_obey_is_named_before_it_is_taken_over",
    "coordination.isolation.max_disk": f"{CORE}disk.py"
    "::test_nothing_new_starts_above_the_budget_and_what_runs_goes_on",
    **dict.fromkeys(
        ("coordination.keep_runs.converged", "coordination.keep_runs.failed"),
        f"{E2E}keeping_runs.py::test_nothing_goes_unless_it_is_asked_for_and_the_newest_stay",
    ),
    "coordination.keep_runs.stopped": f"{E2E}keeping_runs.py"
    "::test_work_that_nobody_has_reviewed_keeps_its_run",
    "coordination.keep_runs.at_least": f"{E2E}keeping_runs.py"
    "::test_nothing_goes_unless_it_is_asked_for_and_the_newest_stay",
    "coordination.state_management.type": f"{CORE}shared_state.py"
    "::test_centralized_state_merges_nothing",
    "coordination.state_management.keep_versions": f"{CORE}shared_state.py"
    "::test_versions_that_are_not_there_are_refused_in_words",
    "coordination.isolation.setup": f"{CORE}setups.py::test_a_command_waits_for_its_setup",
    "coordination.isolation.setup_inputs": f"{E2E}setup.py"
    "::test_what_a_setup_made_is_used_again_where_its_inputs_are_the_same",
    "coordination.isolation.setup_timeout": f"{ENGINE}setups.py"
    "::test_what_is_for_all_reaches_every_stream_that_says_nothing",
    "coordination.isolation.teardown": f"{CORE}setups.py::test_a_teardown_is_owed_until_it_is_done",
    "streams.*.setup": f"{ENGINE}setups.py"
    "::test_a_stream_has_a_setup_of_its_own_in_its_own_folder_or_none",
    "streams.*.teardown": f"{ENGINE}setups.py"
    "::test_a_stream_has_a_setup_of_its_own_in_its_own_folder_or_none",
    "coordination.heartbeat.interval": f"{ENGINE}launching.py"
    "::test_a_stream_is_told_how_often_to_report",
    "coordination.heartbeat.timeout": f"{CORE}liveness.py"
    "::test_the_plan_says_how_long_an_outside_stream_may_be_silent",
    "coordination.recovery.max_retries": f"{E2E}run.py"
    "::test_a_stream_that_fails_is_tried_again_as_often_as_the_plan_says",
    "coordination.recovery.timeout": f"{CORE}guardian.py"
    "::test_a_recovery_that_takes_too_long_is_told",
    "coordination.recovery.fallback": f"{CORE}guardian.py"
    "::test_the_fallback_says_what_becomes_of_a_run_in_which_a_stream_fails_for_good",
    "coordination.recovery.soft_grace": f"{GUARDIAN}test_an_answer_calls_it_off",
    "coordination.recovery.permanent_failures": f"{GUARDIAN}"
    "test_a_failure_of_a_permanent_kind_is_not_tried_again",
    "coordination.recovery.transient_failures": f"{CORE}failures.py"
    "::test_the_plans_own_patterns_come_first",
    "coordination.resources.on_excess": f"{CORE}resources.py"
    "::test_too_much_is_shown_then_told_then_ended",
    "coordination.resources.*": f"{CORE}resources.py::test_capacity_holds_and_all_is_given_back",
    "streams.*.review": f"{CORE}reviews.py"
    "::test_a_result_that_needs_a_review_is_merged_when_it_was_taken",
    "streams.*.workspace": f"{ENGINE}templates.py"
    "::test_a_stream_or_its_template_says_where_it_works",
    "streams.*.hand_back": f"{CORE}reviews.py"
    "::test_notes_are_a_message_or_only_a_file_for_a_command_that_starts_anew",
    "convergence.*.review": f"{CORE}reviews.py::test_the_last_point_has_everybody_reviewed",
    "streams.*.command": f"{E2E}run.py::test_commands_run_as_they_are_written",
    "streams.*.depends_on": f"{E2E}run.py::test_results_flow_along_the_dependencies",
    "streams.*.kind": f"{CORE}services.py"
    "::test_it_is_ended_when_nobody_needs_it_and_the_run_converges",
    "streams.*.restart": f"{CORE}services.py::test_it_is_started_again_as_the_plan_says",
    "streams.*.ready.log": f"{ENGINE}service_readiness.py"
    "::test_its_log_says_so_in_a_whole_line_or_the_beginning_of_one",
    "streams.*.ready.command": f"{ENGINE}service_readiness.py"
    "::test_its_command_succeeds_in_its_workspace_and_environment",
    "streams.*.ready.port": f"{ENGINE}service_readiness.py::test_it_listens",
    "streams.*.ready.http": f"{ENGINE}service_readiness.py::test_it_answers",
    "streams.*.ready.timeout": f"{E2E}services.py"
    "::test_one_that_is_never_ready_fails_with_what_was_seen",
    "streams.*.ready.interval": f"{E2E}services.py::test_one_that_answers_no_more_is_started_again",
    "streams.*.ready.failures": f"{CORE}services.py"
    "::test_so_many_failed_looks_in_a_row_say_that_it_answers_no_more",
    "streams.*.depends_on.*.condition": f"{E2E}run.py::test_conditions_and_windows",
    "streams.*.depends_on.*.capability": f"{CORE}registration.py"
    "::test_any_stream_with_the_capability_will_do",
    "streams.*.dependencies": f"{ENGINE}plan_file.py::test_depends_on_has_another_name",
    "streams.*.dependencies.*.condition": f"{ENGINE}plan_file.py::test_depends_on_has_another_name",
    "streams.*.dependencies.*.capability": f"{ENGINE}plan_file.py"
    "::test_depends_on_has_another_name",
    "streams.*.capabilities": f"{CORE}registration.py::test_any_stream_with_the_capability_will_do",
    "streams.*.resources": f"{CORE}resources.py::test_capacity_holds_and_all_is_given_back",
    "streams.*.limits.memory_mb": f"{E2E}ceilings.py"
    "::test_a_tree_above_its_ceiling_is_ended_and_tried_again_alone",
    "streams.*.limits.cpu_cores": f"{E2E}ceilings.py"
    "::test_a_stream_runs_on_so_many_processors_and_others_on_theirs",
    "streams.*.ports": f"{ENGINE}launching.py::test_a_stream_finds_its_ports_and_its_place",
    "streams.*.writes": f"{CORE}locks.py"
    "::test_a_write_on_a_held_path_keeps_the_result_from_the_merge",
    "streams.*.env": f"{E2E}run.py::test_commands_run_as_they_are_written",
    "streams.*.env_file": f"{E2E}run.py::test_files_of_variables_are_read_at_each_start",
    "streams.*.working_dir": f"{E2E}run.py::test_commands_run_as_they_are_written",
    "streams.*.priority": f"{CORE}scheduling.py"
    "::test_the_balancer_orders_the_queue_and_priority_comes_first",
    "streams.*.optional": f"{CORE}scheduling.py"
    "::test_a_failure_that_does_not_count_lets_the_rest_run",
    "streams.*.repeatable": f"{CORE}copies.py::test_there_is_no_copy",
    "streams.*.timeout": f"{E2E}run.py::test_a_timeout_ends_the_whole_tree",
    "streams.*.retries": f"{E2E}run.py"
    "::test_a_stream_that_fails_is_tried_again_as_often_as_the_plan_says",
    "streams.*.success_exit_codes": f"{CORE}recovery_decisions.py"
    "::test_the_plan_says_which_exit_codes_are_good",
    "streams.*.heartbeat.interval": f"{ENGINE}launching.py"
    "::test_a_stream_is_told_how_often_to_report",
    "streams.*.heartbeat.timeout": f"{CORE}liveness.py::test_the_plan_says_how_long_silence_may_be",
    "streams.*.converge": f"{E2E}run.py::test_a_conflicting_stream_can_be_left_out",
    "streams.*.sync": f"{E2E}convergence_types.py"
    "::test_checkpoint_streams_that_opted_in_get_the_others_work_while_they_run",
    "streams.*.tty": f"{E2E}run.py::test_a_terminal_stream_has_one",
    "streams.*.ask.signal": f"{GUARDIAN}test_a_stream_is_asked_in_the_way_that_its_plan_says",
    "streams.*.ask.line": f"{GUARDIAN}test_a_stream_is_asked_in_the_way_that_its_plan_says",
    "streams.*.ask.command": f"{GUARDIAN}test_a_stream_is_asked_in_the_way_that_its_plan_says",
    "streams.*.executor": f"{E2E}extensions.py"
    "::test_an_executor_says_how_a_stream_is_run_and_without_it_nothing_runs",
    "streams.*.after": f"{E2E}run.py::test_conditions_and_windows",
    "streams.*.at": f"{TIMES}test_a_stream_starts_at_its_time_of_day_and_holds_no_slot_before",
    "streams.*.zone": f"{TIMES}test_a_stream_starts_at_its_time_of_day_and_holds_no_slot_before",
    "streams.*.catch_up": f"{TIMES}test_after_a_time_that_is_skipped_it_waits_for_the_next",
    "streams.*.spread": f"{TIMES}test_a_spread_is_decided_once_and_told",
    "streams.*.rate.at_most": f"{TIMES}test_handlers_of_a_stream_keep_to_its_rate",
    "streams.*.rate.per": f"{TIMES}test_attempts_keep_to_their_rate",
    "streams.*.each": f"{E2E}handlers.py"
    "::test_results_are_read_by_dependents_in_the_order_of_the_items",
    "streams.*.each.glob": f"{E2E}handlers.py::test_a_codemod_over_files_changes_each_once",
    "streams.*.each.lines_of": f"{E2E}handlers.py::test_lines_of_a_command_are_items",
    "streams.*.each.matrix": f"{E2E}handlers.py"
    "::test_a_matrix_runs_each_combination_and_names_those_that_fail",
    "streams.*.each.exclude": f"{E2E}handlers.py"
    "::test_a_matrix_runs_each_combination_and_names_those_that_fail",
    "streams.*.each.graph": f"{E2E}handlers.py::test_a_recorded_workflow_runs_in_its_order",
    "streams.*.max_parallel": "tests/handlers/test_crowd.py"
    "::test_no_more_than_the_width_run_at_a_time",
    "streams.*.inputs": "tests/handlers/test_crowd.py::test_what_has_other_inputs_is_done_again",
    "streams.*.max_failures": f"{E2E}handlers.py"
    "::test_too_many_failures_stop_a_stream_and_a_hanging_handler_is_ended",
    "streams.*.handler_workspace": f"{E2E}handler_workspaces.py"
    "::test_handlers_that_would_be_in_each_others_way_work_side_by_side",
    "streams.*.handler_timeout": f"{E2E}handlers.py"
    "::test_too_many_failures_stop_a_stream_and_a_hanging_handler_is_ended",
    "convergence.*.type": f"{E2E}convergence_types.py"
    "::test_a_stream_meets_others_at_two_points_of_different_types",
    "convergence.*.streams": f"{E2E}convergence_types.py"
    "::test_a_stream_meets_others_at_two_points_of_different_types",
    "convergence.*.verify": f"{E2E}verify.py"
    "::test_the_guilty_stream_is_left_out_and_its_work_is_kept",
    "convergence.*.verify_retries": f"{CORE}verifying.py"
    "::test_a_check_that_fails_by_chance_is_tried_again",
    "convergence.*.on_failure": f"{CORE}verifying.py::test_a_plan_can_want_the_run_to_stop_instead",
    "convergence.*.on_conflict": f"{E2E}run.py::test_a_conflicting_stream_can_be_left_out",
    "convergence.*.resolver": f"{E2E}conflicts.py"
    "::test_the_plans_resolver_settles_a_conflict_without_anybody",
    "convergence.*.timeout": f"{CORE}guardian.py"
    "::test_who_keeps_others_waiting_for_too_long_is_asked_and_ended_only_if_it_stands_still",
    "convergence.*.options": f"{E2E}joining.py"
    "::test_values_brought_to_a_point_are_reduced_and_handed_to_everybody",
}
"""For each key the test that shows its effect."""

TEMPLATES = f"{ENGINE}templates.py::"
OF_A_TEMPLATE = f"{TEMPLATES}test_each_key_of_a_template_is_a_key_of_its_streams"
EFFECTS |= {
    "streams.*.race": f"{E2E}race.py::test_one_of_three_is_adopted_and_the_others_are_kept",
    "streams.*.paths": f"{ENGINE}cones.py::test_a_part_is_there_and_the_rest_is_not_removed",
    "streams.*.template": OF_A_TEMPLATE,
    "streams.*.prompt": OF_A_TEMPLATE,
    "streams.*.values": OF_A_TEMPLATE,
    "templates.*.values": f"{TEMPLATES}test_a_value_of_the_template_is_used"
    "_until_a_stream_has_its_own",
    "templates.*.description": f"{TEMPLATES}test_templates_are_listed_with_where_they_stand",
}

WORDS = {
    "coordination.max_parallel": "max_parallel",
    "coordination.isolation.workspace": "shared",
    "coordination.isolation.method": "LAYERS",
    "coordination.isolation.file_access": "file_access",
    "coordination.state_management.type": "centralized",
    "coordination.state_management.keep_versions": "versions_kept",
    "coordination.jobserver": "most_in_use",
    "streams.*.zone": "TOKYO",
    "streams.*.catch_up": "skip",
    "streams.*.spread": "not_before",
    "coordination.heartbeat.interval": "heartbeat_interval_seconds",
    "coordination.heartbeat.timeout": "heartbeat_timeout_seconds",
    "streams.*.heartbeat.interval": "heartbeat_interval_seconds",
    "convergence.*.timeout": "timeout_seconds",
}
"""What such a test must have in it, for some whose claim would be easy to make in vain."""


# --- the model --------------------------------------------------------------------------------


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the path of every key that a table may hold; ``*`` stands for any name or place."""
    if model.model_config.get("extra") == "allow":
        yield f"{prefix}*"
    for name, field in model.model_fields.items():
        below = list(_keys_below(field.annotation, f"{prefix}{name}."))
        if not below or not _is_only_a_table(field.annotation):
            yield f"{prefix}{name}"
        yield from dict.fromkeys(below)


def _keys_below(shape: Any, prefix: str) -> Iterator[str]:
    origin, inner = get_origin(shape), get_args(shape)
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        yield from keys_of(shape, prefix)
    elif origin is Annotated:
        yield from _keys_below(inner[0], prefix)
    elif origin in (Union, types.UnionType):
        for one in inner:
            yield from _keys_below(one, prefix)
    elif origin is dict:
        yield from _keys_below(inner[1], f"{prefix}*.")
    elif origin is list:
        yield from _keys_below(inner[0], f"{prefix}*.")


def _is_only_a_table(shape: Any) -> bool:
    """Whether a key is nothing but the keys in it."""
    origin, inner = get_origin(shape), get_args(shape)
    if origin is Annotated:
        return _is_only_a_table(inner[0])
    if origin in (Union, types.UnionType):
        return all(_is_only_a_table(one) for one in inner if one is not type(None))
    if origin is dict:
        return inner[1] is not Any
    return isinstance(shape, type) and issubclass(shape, BaseModel)


def _is_at(row: NotYet, key: str) -> bool:
    path = ".".join(row.key)
    return key == path or key.startswith(f"{path}.")


EFFECTS |= {f"templates.*.{key}": OF_A_TEMPLATE for key in keys_of(StreamOutline)}


def test_every_key_of_the_model_acts_or_is_said_not_to() -> None:
    """No key is accepted in silence; no claim is about a key that is not there."""
    keys = set(keys_of(PlanFile))
    said = {key for key in keys if any(_is_at(row, key) for row in NOT_YET)}
    assert keys - said - set(EFFECTS) == set(), "a new key needs a test of its effect, or a warning"
    assert set(EFFECTS) - keys == set()
    only_some_values = {".".join(row.key) for row in NOT_YET if row.values}
    assert said & set(EFFECTS) <= only_some_values


@pytest.mark.parametrize("key", EFFECTS)
def test_the_effect_of_a_key_is_shown_by_a_test_that_exists(key: str) -> None:
    """The claim names a test, and the test is about it."""
    source = _tests().get(EFFECTS[key])
    assert source is not None, f"{EFFECTS[key]} is not there"
    assert WORDS.get(key, "") in source


@pytest.mark.parametrize("row", NOT_YET, ids=lambda row: f"{row.key[-1]}-{row.answer}")
def test_a_key_without_effect_is_said_to_have_none(row: NotYet) -> None:
    """With the code that scripts look for, or as an error where ignoring it would run wrongly."""
    for value in row.values or _any_value(row.key):
        loaded = parse_plan(_plan_with(row.key, value))
        if row.answer == "refuse":
            assert isinstance(loaded, PlanErrors)
            assert any("not supported by this version" in e.message for e in loaded.errors)
        else:
            assert isinstance(loaded, LoadedPlan), loaded
            (found,) = [w for w in loaded.warnings if w.code == "no-effect-yet"]
            assert ".".join(map(str, found.path)) == ".".join(row.key).replace("*", "a")


def test_a_key_of_a_new_kind_is_found() -> None:
    """The walk through the model sees tables in lists, in maps and behind unions."""
    keys = set(keys_of(PlanFile))
    assert {"streams.*.depends_on.*.capability", "streams.*.each.glob"} <= keys
    assert {"coordination.resources.*", "convergence.*.options"} <= keys
    assert len(keys) >= 60


def test_every_warning_of_check_is_documented() -> None:
    """By the code that scripts look for."""
    document = (ROOT / "docs" / "plan.md").read_text("utf-8")
    assert [code for code in get_args(WarningCode) if f"`{code}`" not in document] == []


# --- examples ---------------------------------------------------------------------------------


def _any_value(key: tuple[str, ...]) -> tuple[object, ...]:
    values: dict[str, object] = {
        "each": ["x"],
        "sync_interval": 60,
        "max_parallel": 2,
    }
    return (values[key[-1]],)


def _plan_with(key: tuple[str, ...], value: object) -> str:
    document: dict[str, Any] = {"version": 1, "streams": {"a": {"command": "true"}}}
    if key[0] == "templates":
        document["templates"] = {"a": {"command": "true"}}
    table = document
    for part in key[:-1]:
        table = table.setdefault("a" if part == "*" else part, {})
    table[key[-1]] = value
    return tomli_w.dumps(document)


@cache
def _tests() -> dict[str, str]:
    """The source of each test that is named here, by its file and name."""
    found = {}
    for path in {claim.partition("::")[0] for claim in EFFECTS.values()}:
        text = (ROOT / path).read_text("utf-8") if (ROOT / path).exists() else ""
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                source = ast.get_source_segment(text, node) or ""
                found[f"{path}::{node.name}"] = source
    return found
