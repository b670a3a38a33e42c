"""Command lines of GNU parallel as streams: they do what parallel does, or are named with a reason.

What is expected was printed by GNU parallel (2022-11-22) for the same lines, in the same order.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.config import LoadedPlan, parse_plan
from anabranch.extending import Imported, NotThisFormat
from anabranch.handlers.placeholders import parse
from anabranch.handlers.sources import items_of
from anabranch_plugins.importers.parallel_lines import plan_of


def imported(text: str) -> Imported:
    return plan_of(text)


def stream(text: str) -> dict[str, Any]:
    """Return the only stream of a text."""
    (only,) = imported(text).plan["streams"].values()
    assert isinstance(only, dict)
    return only


def left_out(text: str) -> str:
    return "\n".join(imported(text).left_out)


def printed(text: str, folder: Path) -> str:
    """Return what the handlers of a text print, one after the other."""
    plan = parse_plan(tomli_w.dumps({"version": 1, **imported(text).plan}))
    assert isinstance(plan, LoadedPlan)
    out = []
    for found in plan.plan.streams:
        assert found.fan is not None
        assert found.fan.command is not None
        template = parse(found.fan.command)
        for index, item in enumerate(items_of(found.fan.source, str(folder))):
            env = {**os.environ, "ANABRANCH_INDEX": str(index), **found.env}
            argv = template.argv(item, index)
            done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True)
            out.append(done.stdout)
    return "".join(out)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        # signs
        ("parallel echo {} {.} {/} {//} {/.} ::: a/b.c x", "a/b.c a/b b.c a b\nx x x . x\n"),
        ("parallel echo {.} ::: .bashrc a.d/b a/.b a.", "\na.d/b\na/\na\n"),
        ("parallel echo {//} {/} ::: a/b/ /x /", "a \n/ x\n/ \n"),
        ("parallel echo {#} {-1} {-2/} ::: a/b ::: c/d", "1 c/d b\n"),
        ("parallel \"echo 'n{#}'\" ::: a b", "n1\nn2\n"),
        ("parallel -I ,, echo ,, {.} {} ::: a.b", "a.b a {}\n"),
        ("parallel echo --flag={} -x ::: a 'b c'", "--flag=a -x\n--flag=b c -x\n"),
        # several sources
        ("parallel echo ::: a b ::: c d", "a c\na d\nb c\nb d\n"),
        ("parallel echo {2}-{1} ::: a b ::: c d", "c-a\nd-a\nc-b\nd-b\n"),
        ("parallel echo ::: a b c :::+ 1 2", "a 1\nb 2\n"),
        ("parallel echo ::: a b :::+ 1 2 ::: x y", "a 1 x\na 1 y\nb 2 x\nb 2 y\n"),
        ("parallel --link echo ::: a b c ::: 1 2", "a 1\nb 2\nc 1\n"),
        ("parallel --header : echo {n}{m} {n/} ::: n a b ::: m 1 2", "a1 a\na2 a\nb1 b\nb2 b\n"),
        ("parallel echo {1} {1.} {2/} ::: a.b c ::: d/e", "a.b a e\nc c e\n"),
        # columns
        ("parallel --colsep , echo {2}-{1} / {} ::: a,b c,d", "b-a / a b\nd-c / c d\n"),
        ("parallel -N2 echo {2} {1} / {} ::: a b c d", "b a / a b\nd c / c d\n"),
        ("parallel -N0 echo hi ::: 1 2", "hi\nhi\n"),
        # quoting
        ("parallel -q echo '{}  x' '$HOME' ::: 'a  b'", "a  b  x $HOME\n"),
        ("parallel -q echo '{{}} }}' {} ::: a", "{a} }} a\n"),
        ("parallel \"awk 'BEGIN {if (1) {{print 5}}}'; echo {}\" ::: a b", "5\na\n5\nb\n"),
        ("parallel echo '{{}} {foo}' ::: a", "{a} {foo}\n"),
        ("parallel 'echo {} \"a  b\"' ::: '$x' \"it's\" 'a;b'", "$x a  b\nit's a  b\na;b a  b\n"),
        ("A=5 parallel 'echo $A {}' ::: x", "5 x\n"),
        ("parallel 'echo {} \\\n {/}' ::: a/b", "a/b b\n"),
        ("parallel ::: 'echo a;echo b' 'echo c'", "a\nb\nc\n"),
        # what the shell makes of words
        ("parallel echo ::: {1..3} {a,b}{c,d} {01..03} {e..c}", "1 2 3 ac ad bc bd 01 02 03 e d c"),
        ("parallel echo ::: $(seq 3)", "1\n2\n3\n"),
        ("parallel wc -c {} ::: *.txt", "2 a.txt\n2 b c.txt\n"),
        ("parallel echo ::: *.txt *.gz", "a.txt\nb c.txt\nx.gz\n"),
        # files and pipes
        ("parallel echo x :::: list", "x one\nx two words\nx it's\n"),
        ("parallel -a list echo", "one\ntwo words\nit's\n"),
        ("parallel echo < list", "one\ntwo words\nit's\n"),
        ("cat list | sort | parallel echo {} {/}", "it's it's\none one\ntwo words two words\n"),
        ("find . -name '*.txt' -print0 | sort -z | parallel -0 echo", "./a.txt\n./b c.txt\n"),
    ],
)
def test_a_command_line_does_what_parallel_does(tmp_path: Path, line: str, wanted: str) -> None:
    for name in ("a.txt", "b c.txt", "x.gz"):
        (tmp_path / name).write_text("1\n")
    (tmp_path / "list").write_text("one\ntwo words\nit's\n")
    found = printed(line, tmp_path)
    assert found == wanted or found.split() == wanted.split() == wanted.rstrip().split(" ")


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ("-j4", {"max_parallel": 4}),
        ("-kP 8", {"max_parallel": 8}),
        ("--jobs=3", {"max_parallel": 3}),
        ("-j 100%", {}),
        ("--timeout 30", {"handler_timeout": 30}),
        ("--timeout 1.5m", {"handler_timeout": 90}),
        ("--retries 3", {"retries": 2}),
        ("--halt soon,fail=1", {"max_failures": 0}),
        ("--halt 1", {"max_failures": 0}),
        ("--halt soon,fail=5", {"max_failures": 4}),
        ("--halt soon,fail=10%", {"max_failures": "10%"}),
        ("--halt never", {}),
    ],
)
def test_what_an_option_says_is_a_key_of_the_stream(options: str, keys: dict[str, object]) -> None:
    """Without one, nothing is tried again: parallel does not either."""
    found = stream(f"parallel {options} echo ::: a")
    assert found == {"each": ["a"], "command": "echo {item}", "retries": 0, **keys}


def test_the_simplest_words_are_used_that_say_it() -> None:
    assert stream("parallel echo {/} ::: a/b")["command"] == "echo {name}"
    assert stream("parallel wc ::: src/*.py")["each"] == {"glob": "src/*.py"}
    assert stream("parallel wc :::: list")["each"] == {"lines_of": "cat list"}
    crossed = stream("parallel echo {2} {1} ::: a b ::: c d")
    assert crossed["each"] == {"matrix": {"1": ["a", "b"], "2": ["c", "d"]}}
    assert crossed["command"] == "echo {item.2} {item.1}"
    assert stream("parallel ::: 'a; b'")["command"] == ["sh", "-c", "{item}"]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("parallel --joblog log -k echo ::: a", "--joblog log: "),
        ("parallel --joblog log -k echo ::: a", "-k: "),
        ("parallel -j 200% echo ::: a", "--jobs 200%"),
        ("parallel -j $N echo ::: a", "-j $N: "),
        ("parallel --timeout 200% echo ::: a", "--timeout 200%"),
        ("parallel --halt now,fail=1 echo ::: a", "what runs is not ended"),
        ("parallel --halt soon,success=1 echo ::: a", "--halt soon,success=1"),
        ("parallel --resume --joblog x echo ::: a", "--resume: `anabranch resume`"),
        ("parallel -S host echo ::: a", "-S host: "),
        ("parallel echo $HOME ::: a", "`$HOME`: it is expanded where"),
        ("parallel 'echo $PARALLEL_SEQ' ::: a", "a variable of parallel's own"),
        ("parallel '[[ -e {} ]]' ::: a", "`[[` is for bash"),
        ("parallel echo {.} :::: list", "`{.}` is {dir}/{stem}"),
        ("parallel echo ::: a > out 2>&1", "> out: "),
        ("parallel echo ::: a | sort", "what its output is piped into"),
        ("N=$X parallel echo ::: a", "N=$X: "),
        ("cd x && parallel echo ::: a", "line 1: `cd x` is not a command of parallel"),
        ("parallel echo ::: a || echo b", "|| "),
        ("for i in a; do parallel echo ::: $i; done\nparallel echo ::: a", "line 1: `do parallel"),
    ],
)
def test_what_is_not_carried_is_named_with_its_line(line: str, named: str) -> None:
    found = left_out(line)
    assert named in found
    assert all(text.startswith("line ") for text in found.splitlines())


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("parallel echo {%} ::: a", "`{%}` has nothing like it"),
        ("parallel echo '{= s/a/b/ =}' ::: a", "`{= … =}` has nothing like it"),
        ("parallel --plus echo {..} ::: a", "`{..}` has nothing like it"),
        ("parallel -q echo {#} ::: a", "$ANABRANCH_INDEX counts from 0"),
        ("parallel echo {3} ::: a ::: b", "there are only 2 arguments"),
        ("parallel 'echo `ls {}`' ::: a", "within backticks"),
        ("parallel --pipe wc ::: a", "--pipe"),
        ("parallel -X echo ::: a", "as many arguments as fit"),
        ("parallel -L2 echo ::: a", "-L 2"),
        ("parallel --frob echo ::: a", "--frob is an option that is not known"),
        ("parallel -jZ9 --colsep '(' echo ::: a", "not a pattern"),
        ("parallel -Nx echo ::: a", "`x` is not a number"),
        ("parallel --header : echo ::: 'a b' c", "are not names"),
        ("parallel -N2 echo ::: a b c", "not every command would get as many"),
        ("parallel --colsep , echo ::: a,b c", "not every command would get as many"),
        ("parallel --colsep , echo {1} :::: list", "known only when it runs"),
        ("parallel -N2 echo :::: list", "several lines for one command"),
        ("parallel echo ::: a :::: list", "crossed with something else"),
        ("parallel echo :::", "it has no items"),
        ("parallel echo", "anabranch run --each -"),
        ("parallel echo :::: <(ls)", "put it into a pipe"),
        ("parallel echo <<< a", "name a file"),
        ("parallel echo {a,b} ::: c", "which bash expands"),
        ("parallel -q echo {} ::: a ::: b", "with --quote"),
        ("parallel echo ::: {1..999999}", "too many words"),
        ("parallel echo {1/} ::: {1..999} ::: {1..999}", "998001 combinations"),
        ("parallel -j", "its value is missing"),
        ("parallel echo ::: 'a", "line 1: a ' that is not closed"),
        ("echo hello", "not a command of parallel"),
        ("", "no command line of parallel"),
    ],
)
def test_a_line_that_no_plan_can_say_is_refused_with_the_reason(line: str, why: str) -> None:
    with pytest.raises(NotThisFormat) as refused:
        imported(line)
    assert why in str(refused.value)


def test_lines_of_a_script_are_streams_in_its_order() -> None:
    """A line that failed does not keep the next from running, unless the script says so."""
    script = """#!/bin/sh
    # comment
    parallel --will-cite gzip ::: a b   # two of them
    parallel echo {%} ::: a; parallel gunzip ::: \\
        a b && parallel gzip ::: c
    parallel touch ::: x & parallel sync ::: y
    """
    streams = imported(script).plan["streams"]
    assert list(streams) == ["gzip", "gunzip", "gzip-2", "touch", "sync"]
    needs = [one.get("depends_on") for one in streams.values()]
    assert needs == [
        None,
        {"gzip": {"condition": "completed"}},
        {"gunzip": {"condition": "succeeded"}},
        {"gzip-2": {"condition": "completed"}},
        None,
    ]
    assert "line 4: `parallel echo {%} ::: a` cannot be a stream" in left_out(script)


@given(st.text(st.sampled_from("parlel {}#%/.,$`'\"\\\n|&;:<>()+-jNqk0123ab*"), max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_valid_plan_or_refused_in_words(text: str) -> None:
    try:
        found = imported(f"parallel {text} ::: a b")
    except NotThisFormat:
        return
    plan = parse_plan(tomli_w.dumps({"version": 1, **found.plan}))
    assert isinstance(plan, LoadedPlan), plan


@given(
    st.lists(
        st.text(st.characters(codec="ascii", exclude_characters="\0\n"), min_size=1), min_size=1
    )
)
@settings(max_examples=100, deadline=None)
def test_quoted_items_are_carried_as_they_are(items: list[str]) -> None:
    found = stream(f"parallel echo {{}} ::: {' '.join(shlex.quote(item) for item in items)}")
    assert found["each"] == items
