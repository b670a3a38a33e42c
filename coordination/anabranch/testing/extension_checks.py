"""Are importers, report formats, observers, probes and executors what they have to be?

Strategies have laws of their own (:mod:`anabranch.testing.conformance`). Whatever else a plugin
brings is held to its form here: a name, the method with the right arguments, and one call with an
example of what it will be asked, whose answer has to be of the right kind.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from anabranch.bounded_call import in_words, within
from anabranch.core.ids import StreamId
from anabranch.core.views.accounting import report
from anabranch.core.views.projections import event_line, status
from anabranch.core.wording import counted
from anabranch.extending import Imported, Launch, NotThisFormat
from anabranch.testing.by_hand import ByHand
from anabranch.testing.conformance import Fault
from anabranch.testing.plans import plan_of, stream
from anabranch.testing.trying import strategies_with

SMOKE_SECONDS = 5.0
TEXTS = ("", "web: run me\n", "{", "a: [1, 2", "\0", "é\n" * 100)
"""What an importer may be shown; none of it is known to be of its format."""


class Method(msgspec.Struct, frozen=True):
    """One method of an extension: its name, how many arguments it takes, and examples of them.

    One that ``needs_the_world`` may well fail where it is tried: its file may be elsewhere.
    """

    name: str
    arguments: int
    examples: Callable[[], list[tuple[Any, ...]]]
    fault_of_answer: Callable[[Any], str]
    needs_the_world: bool = False


def faults_of_extension(kind: str, extension: Any, *, is_thorough: bool = True) -> list[Fault]:
    """Return everything found wrong with something that a plugin brings besides strategies.

    ``kind`` is a field of :class:`anabranch.extending.Extensions`. Unless it ``is_thorough``, what
    needs the world may fail: a trial is often made where that is not to be had.
    """
    name = getattr(extension, "name", None)
    about = str(name) if isinstance(name, str) and name else type(extension).__name__
    faults = [] if isinstance(name, str) and name else ["it has no name (a non-empty string)"]
    if kind == "importers":
        faults += _faults_of_file_names(extension)
    faults += faults_of_method(extension, METHODS[kind], may_fail=not is_thorough)
    return [Fault(about, fault) for fault in faults]


def _faults_of_file_names(importer: Any) -> Iterator[str]:
    names = getattr(importer, "file_names", None)
    listed = () if isinstance(names, str) or not isinstance(names, Sequence) else tuple(names)
    if not listed or not all(isinstance(name, str) and name for name in listed):
        yield f"its file_names are {names!r}, not a list of patterns of names"


def faults_of_method(extension: Any, method: Method, *, may_fail: bool = False) -> list[str]:
    """Return what is wrong with one method of something that a plugin brings."""
    call = getattr(extension, method.name, None)
    if not callable(call):
        return [f"it has no method {method.name}"]
    try:
        inspect.signature(call).bind(*[None] * method.arguments)
    except TypeError:
        count = method.arguments
        return [f"{method.name} does not take {counted(count, 'argument')}"]
    except ValueError:
        pass  # it cannot be looked at; the call will tell
    for example in method.examples():
        fault = _fault_of_call(call, method, example, may_fail and method.needs_the_world)
        if fault:
            return [fault]
    return []


def _fault_of_call(
    call: Callable[..., Any], method: Method, example: tuple[Any, ...], may_fail: bool
) -> str:
    try:
        answer = within(SMOKE_SECONDS, lambda: call(*example))
    except TimeoutError:
        return f"{method.name} did not come back within {SMOKE_SECONDS:g} s"
    except NotThisFormat:
        return ""
    except BaseException as error:  # a plugin may raise anything
        if may_fail and isinstance(error, Exception):
            return ""
        return f"{method.name} raised {in_words(error)}"
    fault = method.fault_of_answer(answer)
    return f"{method.name} {fault}" if fault else ""


# --- examples ------------------------------------------------------------------------------------


@cache
def _run() -> ByHand:
    """Return a small run that has come to its end: one stream failed, one succeeded."""
    run = ByHand(plan_of(stream("good"), stream("bad", optional=True)), strategies_with())
    run.succeed("good")
    run.fail("bad")
    run.merged()
    return run


def example_status() -> dict[str, Any]:
    """Return a run as ``status --json`` tells it."""
    return status(_run().state, False, 0.1)


def _events() -> list[dict[str, Any]]:
    return [event_line(_run().state, record) for record in _run().records]


def _reports() -> list[tuple[Any, ...]]:
    run = _run()
    integrity = {"journal": "ok", "state": "ok", "events": len(run.records), "gaps": []}
    made = {**report(run.state, run.records, run.clock(), {}), "integrity": integrity}
    return [(made, _events())]


def _launches() -> list[tuple[Any, ...]]:
    return [(Launch(StreamId("good"), 1, ("sh", "-c", "true"), "/work", {"PATH": "/bin"}),)]


# --- answers -------------------------------------------------------------------------------------


def _no_plan(answer: Any) -> str:
    if not isinstance(answer, Imported):
        return f"returned {type(answer).__name__}, not an Imported"
    if not isinstance(answer.plan, dict):
        return "gave a plan that is not a table"
    left_out = answer.left_out
    is_text = isinstance(left_out, tuple) and all(isinstance(word, str) for word in left_out)
    return "" if is_text else "gave a left_out that is not a tuple of texts"


def _no_text(answer: Any) -> str:
    return "" if isinstance(answer, str) else f"returned {type(answer).__name__}, not a text"


def _no_amount(answer: Any) -> str:
    is_number = isinstance(answer, int | float) and not isinstance(answer, bool)
    good = is_number and math.isfinite(answer) and answer >= 0
    return "" if good else f"returned {answer!r}, which is not an amount"


def _no_words(answer: Any) -> str:
    words = () if isinstance(answer, str) or not isinstance(answer, Sequence) else tuple(answer)
    good = bool(words) and all(isinstance(word, str) and "\0" not in word for word in words)
    return "" if good else f"returned {answer!r}, which is not a list of words"


METHODS: Mapping[str, Method] = {
    "importers": Method("convert", 1, lambda: [(text,) for text in TEXTS], _no_plan),
    "report_formats": Method("render", 2, _reports, _no_text),
    "observers": Method("saw", 1, lambda: [(_events()[0],)], lambda answer: "", True),
    "resource_probes": Method("amount", 0, lambda: [()], _no_amount, True),
    "executors": Method("command_line", 1, _launches, _no_words, True),
}
