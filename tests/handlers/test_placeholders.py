"""How an item gets into a command: whole in a vector, quoted wherever it stands for a shell."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anabranch.handlers.placeholders import BadCommand, parse

HOSTILE = "a b'c\"d$HOME`id`\\;|&<>(){}*?~#!\n\t-é\u202e"
PLACES = (
    "printf %s {item}",
    "printf %s '{item}'",
    'printf %s "{item}"',
    'printf %s "$(printf %s {item})"',
    "printf %s \"$(printf %s '{item}')\"",
    'printf %s "a"{item}"" | sed "s/^a//"',
    'x={item}; printf %s "$x"',
    "{ printf %s {item}; }",
    "if true; then printf %s {item}; fi # no placeholder here",
    "printf %s \\\\{{ > /dev/null; printf %s {item}",
)
"""Where a placeholder may stand; each prints the item, and nothing else."""

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


def output(command: str, item: str) -> str:
    argv = parse(command).argv(item, 3)
    return subprocess.run(argv, capture_output=True, check=True, timeout=20).stdout.decode()


@pytest.mark.parametrize("command", PLACES)
@pytest.mark.parametrize("item", [HOSTILE, "", "'", '"', "\\", "$(touch x)", "-n", "a\\'b"])
def test_the_shell_gets_what_the_item_is(command: str, item: str) -> None:
    assert output(command, item).rstrip("\n") == item.rstrip("\n")


@settings(max_examples=150, deadline=None)
@given(texts, st.sampled_from(PLACES[:3] + PLACES[6:7]))
@example("%s\\n", PLACES[2])
def test_no_text_means_anything_to_the_shell(item: str, command: str) -> None:
    assert output(command, item) == item


def test_a_vector_takes_values_whole() -> None:
    template = parse(["x", "{item}", "a{index}-{item}", "{{item}}", "{name}|{stem}|{dir}"])
    argv = template.argv("docs/a b.tar.gz", 7)
    assert argv == [
        "x",
        "docs/a b.tar.gz",
        "a7-docs/a b.tar.gz",
        "{item}",
        "a b.tar.gz|a b.tar|docs",
    ]
    assert template.fields == {"item", "index", "name", "stem", "dir"}


@pytest.mark.parametrize(
    "command",
    [
        "cat {item}",
        "cat -n  ./{item}.txt",
        "make -j2 {name}",
        "python3 -m a.b:c --x {index},{stem}",
    ],
)
def test_plain_words_need_no_shell(command: str) -> None:
    """And the program gets what it would get from one."""
    by_shell = parse(f"printf '%s\\n' {command}").argv("it's", 3)
    words = subprocess.run(by_shell, capture_output=True, check=True, text=True).stdout
    assert parse(command).argv("it's", 3) == words.splitlines()


@pytest.mark.parametrize(
    "command",
    [
        *(
            "true",
            "cd x",
            "echo {item}",
            "exec ls",
            ". x",
            "{item} a",
            "",
            "A=1 ls",
            "ls *",
            "ls a?",
        ),
        *("ls ~", "ls a;b", "ls {a,b}", "ls {{item}}", "ls 'a'", "a|b", "ls [a]", "! ls", "ls #x"),
        *("ls\nid", "ls\tx", "ls \u2026", "ls $x", "ls >x", "ls &", "(ls)", "ls a\\ b", "ls a=b"),
    ],
)
def test_all_else_is_for_the_shell(command: str) -> None:
    assert parse(command).argv("x", 0)[:2] == ["/bin/sh", "-c"]


def test_a_table_is_taken_by_its_keys() -> None:
    item = {"os": "linux", "py": 3.12, "deep": {"a": True}}
    argv = parse(["{item.os}", "{item.py}", "{item.deep.a}", "{item}"]).argv(item, 0)
    assert argv[:3] == ["linux", "3.12", "true"]
    assert json.loads(argv[3]) == item
    with pytest.raises(BadCommand, match="an item without 'arch'"):
        parse(["{item.arch}"]).argv(item, 0)


@pytest.mark.parametrize(
    "text",
    ['{"key": 1}', "{ ls; }", "awk {print $1}", "a{b", "}", "{}", "find . -exec x {} ;", "{1..3}"],
)
def test_a_brace_that_names_nothing_is_a_brace(text: str) -> None:
    assert parse([text]).argv("x", 0) == [text]
    assert parse(text).argv("x", 0) == ["/bin/sh", "-c", text]


def test_two_braces_are_one() -> None:
    assert parse("echo ${{HOME}} {{item}}").argv("x", 0)[2] == "echo ${HOME} {item}"


@pytest.mark.parametrize(
    ("command", "at", "reason"),
    [
        ("echo {itme}", 5, "unknown placeholder {itme}"),
        ("ls  {itme}", 4, "unknown placeholder {itme}"),
        ("echo {HOME}", 5, "unknown placeholder {HOME}"),
        ("echo ${item}", 6, "after \\$"),
        ("echo \\{item}", 5, "after a backslash"),
        ("echo `echo {item}`", 11, "within backticks"),
        ("cat <<END\n{item}\nEND", 10, "after <<"),
        ("true # {item}", 7, "in a comment"),
        ("echo $((1 + {item}))", 12, "within"),
    ],
)
def test_what_cannot_be_quoted_is_refused_with_its_place(
    command: str, at: int, reason: str
) -> None:
    with pytest.raises(BadCommand, match=reason) as refused:
        parse(command)
    assert refused.value.at == at
    assert refused.value.hint


@pytest.mark.parametrize(
    "command", ["echo $(({index} + 1))", "echo `echo {index}`", "cat <<E\n{index}\nE", "# {index}"]
)
def test_a_number_is_safe_wherever_it_stands(command: str) -> None:
    assert parse(command).argv("x", 7)[2] == command.replace("{index}", "7")


@pytest.mark.parametrize("written", ["{item[0]}", "{item.two words}", "{item.}", "{item:x}"])
def test_what_was_meant_for_a_placeholder_is_not_passed_on(written: str) -> None:
    with pytest.raises(BadCommand, match="unknown placeholder"):
        parse(f"echo {written}")


def test_a_variable_of_the_shell_is_told_how_to_be_written() -> None:
    with pytest.raises(BadCommand) as refused:
        parse("echo ${HOME}")
    assert refused.value.hint == "write ${{HOME}} for a variable"
    assert parse("echo ${{HOME}} {item}").argv("x", 0)[2] == "echo ${HOME} x"


@pytest.mark.parametrize(
    "command",
    ["echo '1<<2' {item}", 'echo "1<<2" {item}', "echo \\<\\< {item}"],
)
def test_two_arrows_that_begin_no_document_are_nothing_to_a_placeholder(command: str) -> None:
    assert output(command, HOSTILE).endswith(f"{HOSTILE}\n")


@pytest.mark.parametrize(
    "command", ["cat <<E\n{item}\nE", 'x="$(cat <<E\n{item}\nE\n)"', "x=$((cat) <<E )\n{item}\nE"]
)
def test_a_here_document_takes_no_item(command: str) -> None:
    with pytest.raises(BadCommand, match="after <<"):
        parse(command)
