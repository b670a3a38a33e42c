"""Templates: a stream made of one is the stream that its author would have written."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace

from anabranch.config import (
    LoadedPlan,
    PlanContext,
    PlanErrors,
    Wanted,
    added_stream,
    parse_plan,
    plan_from_template,
    templates_here,
)
from anabranch.config.model import plan_schema
from anabranch.config.outline_tables import StreamOutline
from anabranch.config.templates import BUILT_IN, BadValues, LacksValues, Template, stream_table
from anabranch.config.written_plans import plan_document
from anabranch.core.plans.plan import StreamPlan
from anabranch.handlers.placeholders import blanks_in, parse

SCHEMA = jsonschema.Draft202012Validator(plan_schema())

OUTLINE: dict[str, Any] = {
    "command": ["tool", "{prompt}", "--in", "{file}"],
    "capabilities": ["writing"],
    "resources": {"cpu_cores": 1},
    "limits": {"memory_mb": 4096},
    "ports": ["web", "db"],
    "paths": ["docs"],
    "setup": "make ready",
    "teardown": ["make", "clean"],
    "writes": ["docs/**"],
    "env": {"FILE": "{file}", "MODE": "fast"},
    "env_file": [".env"],
    "workspace": "clone",
    "working_dir": "docs",
    "priority": 3,
    "optional": True,
    "repeatable": True,
    "timeout": "10m",
    "retries": 1,
    "success_exit_codes": [0, 3],
    "heartbeat": {"timeout": "15m"},
    "sync": True,
    "tty": True,
    "ask": {"line": "?"},
    "executor": "",
    "review": True,
    "hand_back": "input",
}
"""A template with every key that one may have."""


def loaded(document: dict[str, Any]) -> LoadedPlan:
    found = parse_plan(tomli_w.dumps(document))
    assert isinstance(found, LoadedPlan), found
    return found


def stream_of(table: dict[str, Any], templates: dict[str, Any] | None = None) -> StreamPlan:
    document = {"version": 1, "templates": templates or {}, "streams": {"s": table}}
    (stream,) = loaded(document).plan.streams
    return stream


def template(**table: Any) -> Template:
    return Template("t", {"command": "x", **table}, "plan")


@pytest.mark.parametrize("key", [key for key in OUTLINE if key != "executor"])
def test_each_key_of_a_template_is_a_key_of_its_streams(key: str) -> None:
    """The two plans are the same but for the name of the template."""
    outline = {"command": OUTLINE["command"], key: OUTLINE[key]}
    if key == "ask":
        outline["tty"] = True
    made = {"template": "t", "prompt": "go", "values": {"file": "a b"}}
    written = {**outline, "command": ["tool", "go", "--in", "a b"]}
    if key == "env":
        written["env"] = {"FILE": "a b", "MODE": "fast"}
    found = stream_of(made, {"t": outline})
    assert (found.template, found.prompt) == ("t", "go")
    assert replace(found, template="", prompt="") == stream_of(written)
    assert key in StreamOutline.model_fields


def test_the_outline_above_has_every_key() -> None:
    assert OUTLINE.keys() == StreamOutline.model_fields.keys()


def test_own_keys_go_before_those_of_the_template_and_tables_are_put_together() -> None:
    found = stream_of(
        {
            "template": "t",
            "prompt": "go",
            "values": {"file": "f"},
            "env": {"MODE": "slow", "MORE": "1"},
            "retries": 0,
            "hand_back": "restart",
        },
        {"t": {key: value for key, value in OUTLINE.items() if key not in ("executor", "sync")}},
    )
    assert found.env == {"FILE": "f", "MODE": "slow", "MORE": "1"}
    assert (found.max_retries, found.hand_back, found.priority) == (0, "restart", 3)


def test_a_value_of_the_template_is_used_until_a_stream_has_its_own() -> None:
    outline = {
        "command": "tool {prompt} --model {model}",
        "values": {"model": "small", "prompt": "all"},
    }
    assert stream_of({"template": "t"}, {"t": outline}).command_text == "tool all --model small"
    own = {"template": "t", "values": {"model": 4}, "prompt": "one thing"}
    assert stream_of(own, {"t": outline}).command_text == "tool 'one thing' --model 4"


@settings(max_examples=25, deadline=None)
@given(
    prompt=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    command=st.sampled_from(
        [
            "printf %s {prompt}",
            'printf %s "{prompt}"',
            "printf %s '{prompt}'",
            'x={prompt}; printf %s "$x"',
        ]
    ),
)
def test_a_prompt_is_one_word_and_never_a_sign_of_the_shells(prompt: str, command: str) -> None:
    """Whatever stands in it; and a stream with items sees the same."""
    for own in ({}, {"each": ["1"]}):
        table = stream_table(template(command=command), {"prompt": prompt}, own)
        text = table["command"]
        argv = parse(text).argv("1", 0) if own else ["/bin/sh", "-c", text]
        done = subprocess.run(argv, capture_output=True, check=True, timeout=20)
        assert done.stdout.decode() == prompt


def test_a_stream_with_items_has_placeholders_of_both_kinds() -> None:
    table = stream_table(
        template(command="tool {prompt} {item}"), {"prompt": "a {b}"}, {"each": [1]}
    )
    assert table["command"] == "tool 'a {{b}}' '{item}'"
    made = {"template": "t", "prompt": "mend", "each": ["x y", "z"]}
    fan = stream_of(made, {"t": {"command": "tool {prompt} {item}"}}).fan
    assert fan is not None
    assert fan.command == "tool mend '{item}'"


def test_values_and_blanks_that_do_not_go_together_are_named() -> None:
    with pytest.raises(BadValues) as bad:
        stream_table(template(command="x {prompt} {file}"), {})
    assert bad.value.blanks == ("prompt", "file")
    with pytest.raises(BadValues) as bad:
        stream_table(template(command="x {prompt}"), {"promt": "y", "prompt": "z"})
    assert (bad.value.stranger, bad.value.hint) == ("promt", "did you mean `prompt`?")


def test_a_fault_of_a_template_is_named_once_and_where_it_stands() -> None:
    text = """\
version = 1
[templates.t]
command = "x"
timeout = "soon"
[streams.a]
template = "t"
[streams.b]
template = "t"
"""
    found = parse_plan(text)
    assert isinstance(found, PlanErrors)
    assert [(e.line, e.key) for e in found.errors] == [(4, "templates.t.timeout")]


@pytest.mark.parametrize(
    ("stream", "is_valid"),
    [
        ({"template": "shell", "prompt": "x"}, True),
        ({"command": "x"}, True),
        ({"priority": 1}, False),
    ],
)
def test_the_schema_wants_a_command_or_what_brings_one(
    stream: dict[str, Any], is_valid: bool
) -> None:
    assert SCHEMA.is_valid({"version": 1, "streams": {"a": stream}}) is is_valid


# --- where they come from ----------------------------------------------------------------------


@pytest.fixture
def settings_of_mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "config" / "anabranch" / "templates.toml"
    path.parent.mkdir(parents=True)
    return path


def test_the_nearer_template_hides_the_others_of_its_name(
    settings_of_mine: Path, tmp_path: Path
) -> None:
    settings_of_mine.write_text(
        '[templates.shell]\ncommand = "mine"\n[templates.own]\ncommand = "own"\n'
    )
    plan = 'version = 1\n\n[templates.shell]\ncommand = "the plans"\n[streams.a]\nnonsense = 1\n'
    (tmp_path / "anabranch.toml").write_text(plan)
    found = templates_here(tmp_path)
    assert not isinstance(found, PlanErrors)
    of_a_file = {name: one for name, one in found.items() if one.file}
    assert {name: (one.command, one.origin, one.line) for name, one in of_a_file.items()} == {
        "shell": ("the plans", "plan", 3),
        "own": ("own", "user", 3),
    }
    assert found["shell"].hides == ("user", "built-in")
    made = parse_plan('version = 1\n[streams.a]\ntemplate = "own"\n')
    assert isinstance(made, LoadedPlan)
    assert made.plan.streams[0].command_text == "own"


def test_a_fault_in_the_users_file_is_named_there_and_only_if_it_is_needed(
    settings_of_mine: Path,
) -> None:
    settings_of_mine.write_text("[templates.own]\ncomand = 'x'\n")
    found = parse_plan('version = 1\n[streams.a]\ntemplate = "own"\n')
    assert isinstance(found, PlanErrors)
    assert [(e.file, e.line, e.key) for e in found.errors][-1] == (
        str(settings_of_mine),
        2,
        "templates.own.comand",
    )
    assert isinstance(parse_plan('version = 1\n[streams]\na = "x"\n'), LoadedPlan)
    prompted = 'version = 1\n[streams.a]\ntemplate = "shell"\nprompt = "ls"\n'
    assert isinstance(parse_plan(prompted), LoadedPlan)


def test_templates_are_listed_with_where_they_stand(settings_of_mine: Path, tmp_path: Path) -> None:
    """For people in a table, for programs with everything that is known of each."""
    settings_of_mine.write_text(
        '[templates.writer]\ndescription = "writes"\ncommand = "w {prompt} {to}"\nvalues.to = "x"\n'
    )
    program = [sys.executable, "-m", "anabranch", "templates"]
    text = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert f"{settings_of_mine}:1" in text
    shown = subprocess.run(
        [*program, "--json"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    writer = next(one for one in json.loads(shown)["templates"] if one["template"] == "writer")
    assert (writer["origin"], writer["line"], writer["description"]) == ("user", 1, "writes")
    blanks = [{"name": "prompt", "default": None}, {"name": "to", "default": "x"}]
    assert writer["blanks"] == blanks


def test_one_more_stream_can_be_made_of_a_template() -> None:
    """As a command, or a form in the console, makes one."""
    made = plan_from_template(
        BUILT_IN["shell"], {"prompt": "ls | wc"}, "count", own={"priority": 2}
    )
    assert isinstance(made, LoadedPlan)
    (stream,) = made.plan.streams
    assert (stream.id, stream.command) == ("count", ("/bin/sh", "-c", "ls | wc"))
    assert (stream.template, stream.prompt, stream.priority) == ("shell", "ls | wc", 2)
    with pytest.raises(LacksValues, match=r"asks for \{prompt\}"):
        plan_from_template(BUILT_IN["shell"], {}, "count")
    wrong = plan_from_template(BUILT_IN["shell"], {"prompt": "x"}, "count", own={"retries": -1})
    assert isinstance(wrong, PlanErrors)
    assert wrong.errors[0].key == "streams.count.retries"


def test_a_stream_or_its_template_says_where_it_works() -> None:
    """Itself first, then its template, then the plan for all; what is shared has no race."""
    made = {"template": "t", "prompt": "x"}
    document = {
        "version": 1,
        "coordination": {"isolation": {"workspace": "clone"}},
        "templates": {"t": {"command": "x {prompt}", "workspace": "shared"}},
        "streams": {"c": "true", "a": made, "b": {**made, "workspace": "isolated"}},
    }
    found = loaded(document).plan
    assert [s.workspace for s in found.streams] == ["clone", "shared", "isolated"]
    again = loaded(plan_document(found)).plan
    assert [s.workspace for s in again.streams] == ["clone", "shared", "isolated"]
    shared = Template("t", document["templates"]["t"], "plan")  # type: ignore[index]
    wanted = Wanted(template="t", values={"prompt": "y"})
    for said, works in ((None, "shared"), ("clone", "clone")):
        asked = structs.replace(wanted, workspace=said, name="d")
        added = added_stream(found, asked, PlanContext(), {"t": shared})
        assert added.workspace == works
    raced = {**document, "streams": {"a": {**made, "race": 2}}}
    refused = parse_plan(tomli_w.dumps(raced))
    assert isinstance(refused, PlanErrors)
    assert any("would write over each other" in error.message for error in refused.errors)


@pytest.mark.parametrize(
    "command", ["tool --in {file} {prompt}", ["tool", "{file}", "{{{prompt}"], 'x "a {prompt}"']
)
def test_a_prompt_that_is_filled_anew_leaves_the_rest_as_it_was(command: Any) -> None:
    """Only where notes of a review reach a stream by a new start."""
    made = {"template": "t", "prompt": "it's {file}", "values": {"file": "a {prompt}"}}
    if "file" not in str(command):
        del made["values"]
    found = stream_of(made, {"t": {"command": command, "hand_back": "restart"}})
    again = blanks_in(found.outline).filled(lambda name: {"prompt": found.prompt}[name])
    words = found.command[2:] if isinstance(command, str) else found.command
    assert shlex.split(again[-1] if isinstance(command, str) else shlex.join(again)) == shlex.split(
        words[-1] if isinstance(command, str) else shlex.join(words)
    )
    assert stream_of(made, {"t": {"command": command}}).outline == ""
