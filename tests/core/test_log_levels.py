"""Levels of log lines: what is recognised of how programs say them, and what goes on below."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.views.log_levels import LEVELS, Level, Levels, level_of, passes

D, I, W, E = Level.DEBUG, Level.INFO, Level.WARNING, Level.ERROR  # noqa: E741  # as logs say it


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("ERROR: no such file", E),
        ("2026-12-01 14:03:07,123 - app.db - WARNING - slow", W),
        ("INFO:     Started server process", I),
        ("DEBUG:root:x", D),
        ("2026/12/01 14:03:07 [error] 7#7: *1 open() failed", E),
        ("[Tue Dec 01 14:03:07] [core:notice] [pid 7] up", I),
        ("<warn> low", W),
        ("time=14:03 level=error msg=bad", E),
        ('ts=1 lvl="info" msg="an ERROR was mended"', I),
        ('{"time":1,"msg":"it said ERROR","level":"info"}', I),
        ('{"msg":"' + "x" * 1000 + '","severity":"ERROR"}', E),
        ('{"level":50,"msg":"bad"}', E),
        ('{"level":30,"msg":"fine"}', I),
        ("E/ActivityManager( 7): died", E),
        ("D/dalvikvm: gc", D),
        ("12-01 14:03:07.123  7  8 W Tag: low", W),
        ("E1201 14:03:07.000000 7 x.go:3] bad", E),
        ("src/x.c:3:5: error: expected ';'", E),
        ("x.c:3:5: warning: unused [-Wunused]", W),
        ("x.c:3:5: fatal error: y.h: No such file", E),
        ("error[E0308]: mismatched types", E),
        ("x.ts(3,5): error TS2322: not assignable", E),
        ("  3:5  error  'x' is not defined  no-undef", E),
        ("E       assert 1 == 2", E),
        ("FAILED tests/test_x.py::test_y - assert 1", E),
        ("ERROR tests/test_x.py", E),
        ("npm ERR! code ENOENT", E),
        ("npm warn deprecated", W),
        ("make: *** [Makefile:3: all] Error 2", E),
        ("panic: runtime error: index out of range", E),
        ("fatal: not a git repository", E),
        ("TypeError: x is not a function", E),
        ("json.decoder.JSONDecodeError: Expecting value", E),
        ("CRITICAL out of memory", E),
        ("everything is fine", None),
        ("0 errors, 0 warnings", None),
        ("GET /error?level 200", None),
        ("FAILED=0", None),
        ("passed to the error handler", None),
        ("/var/log/ERROR/x", None),
        ("", None),
    ],
)
def test_what_is_recognised(line: str, level: Level | None) -> None:
    assert level_of(line) is level


def levels(*lines: str) -> list[Level | None]:
    known = Levels()
    return [known.take(line) for line in lines]


def test_what_goes_on_keeps_the_level_of_its_head() -> None:
    """Indented and blank lines, the quotations of compilers, the causes of exceptions."""
    assert levels("ERROR bad", "  more", "", "plain", "  more") == [E, E, E, None, None]
    rust = ("warning: unused", " --> x.rs:2", "  |", "2 | let x;", "done")
    assert levels(*rust) == [W, W, W, W, None]
    java = ("WARN x.y.Z", "\tat a.b(C.java:3)", "Caused by: java.io.IOException: e", "... 3 more")
    assert levels(*java) == [W, W, W, W]


def test_a_traceback_is_an_error_whatever_stands_before_it() -> None:
    """A crash is never hidden; what its lines quote is no level of theirs; chains stay whole."""
    head = ("Traceback (most recent call last):", '  File "x.py", line 3', "    log.info('INFO x')")
    chain = ("", "During handling of the above exception, another exception occurred:", "")
    assert levels("INFO starting", *head, "lib.Boom: no", "INFO next") == [I, E, E, E, E, I]
    found = levels(*head, "KeyError: 1", *chain, *head, "subprocess.TimeoutExpired: x", "plain")
    assert found == [*[E] * 11, None]


def test_what_passes() -> None:
    """Without a recognised level a line counts as information."""
    shown = {word: [passes(level, least) for level in (D, I, W, E, None)]
             for word, least in {"all": None, **LEVELS}.items()}  # fmt: skip
    assert shown == {
        "all": [True, True, True, True, True],
        "debug": [True, True, True, True, True],
        "info": [False, True, True, True, True],
        "warning": [False, False, True, True, False],
        "error": [False, False, False, True, False],
    }


@given(st.lists(st.text(alphabet='E/[]error":= \tWARN\n12*.', max_size=80), max_size=20))
def test_any_line_has_a_level_or_none_and_looking_ahead_changes_nothing(lines: list[str]) -> None:
    """What a line would have that still grows is what it gets if it ends so."""
    known = Levels()
    for line in lines:
        ahead = known.of_next(line)
        assert known.of_next(line) is ahead
        assert known.take(line) is ahead
