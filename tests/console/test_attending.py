"""Who needs you in the console: the sum, the next one, a look, and an answer by one key."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core import calls, inputs
from anabranch.core.calls import Caller
from anabranch.core.ids import StreamId
from anabranch.core.inputs import AnswerQuestion, LookAt, SendInput
from anabranch.core.model.lifecycle import Phase
from anabranch.core.views.attention import Attention
from anabranch_console.cli.attention import sign_of
from anabranch_console.presenters.stream_row import LOUD
from anabranch_console.screens.peek import Peek
from tests.console.conftest import Console, OpenConsole, burst, settle
from tests.console.scripted_source import ScriptedSource, plan_of, stream

SIZES = [(160, 45), (120, 36), (80, 24), (60, 16)]


@pytest.fixture
def source(tmp_path: Path) -> ScriptedSource:
    """Give a run of four: one that asks, one at a prompt, one that is over, one that works."""
    streams = [stream("asks"), stream("prompt", tty=True), stream("over"), stream("works")]
    source = ScriptedSource(plan_of(streams), tmp_path)
    source.pass_time(5.0)
    source.finish("over")
    return source


def _ask(source: ScriptedSource, text: str, *choices: str) -> None:
    caller = Caller(StreamId("asks"), 1)
    request = f"q{len(source.state.questions)}{text}"
    source.feed(calls.Ask(caller=caller, request=request, question=text, choices=choices))


def _prompt(source: ScriptedSource, text: str = "Continue? [y/N]") -> None:
    source.feed(inputs.PromptSeen(stream=StreamId("prompt"), attempt=1, text=text, since=4.0))


def _row(console: Console, name: str) -> str:
    return next(line for line in console.shown().splitlines() if f"{name} " in line[:14])


async def test_the_header_sums_up_and_the_list_marks(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Nothing while nobody needs anybody; then how many, and who."""
    async with open_console(source) as console:
        assert "need" not in console.shown().splitlines()[0]
        assert "1 to look at" in console.shown().splitlines()[0]
        _ask(source, "Which?", "users", "orders")
        await console.frame()
        assert "1 needs you" in console.shown().splitlines()[0]
        assert "▲ blocked" in _row(console, "asks")
        console.screen.home.choose("asks")
        await console.frame()
        assert "asks ▲ blocked" in console.shown(), "the panel about it says the same"
        _prompt(source)
        await console.frame()
        assert "2 need you" in console.shown().splitlines()[0]
        assert "!prompt" in console.shown()
        assert LOUD == ("blocked", "conflict")


async def test_one_key_goes_to_the_next_and_says_when_none_is_left(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Only who needs somebody, while there is one; then what is over, which drains by looking."""
    async with open_console(source) as console:
        _ask(source, "Which?")
        _prompt(source)
        await console.frame()
        console.screen.home.choose("works")
        seen = []
        for _ in range(3):
            await console.press("exclamation_mark")
            await console.frame()
            seen.append(console.screen.home.cursor)
        assert seen == ["prompt", "asks", "prompt"]
        assert not any(isinstance(command, LookAt) for command in source.commands)
        source.feed(AnswerQuestion(stream=StreamId("asks"), answer="x"))
        source.feed(inputs.PromptSeen(stream=StreamId("prompt"), attempt=1, text=""))
        await console.frame()
        await console.press("exclamation_mark")
        await console.frame()
        assert console.screen.home.cursor == "over"
        assert isinstance(source.commands[-1], LookAt)
        await console.press("exclamation_mark")
        assert "nobody needs you" in console.toasts()


async def test_one_that_joined_from_outside_is_gone_to_and_answered(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """It has no row: it is looked at, counts like any other, and the next one comes after it."""
    async with open_console(source) as console:
        source.feed(calls.Register(caller=calls.OPERATOR, request="j", id=StreamId("guest")))
        caller = Caller(StreamId("guest"), 1)
        source.feed(calls.Ask(caller=caller, request="k", question="Merge?", choices=("yes", "no")))
        source.pass_time(1.0)
        _prompt(source)
        await console.frame()
        assert "2 need you" in console.shown().splitlines()[0]
        console.screen.home.choose("works")
        await console.press("exclamation_mark")
        assert console.screen.home.cursor == "prompt"
        await console.press("exclamation_mark")
        assert "guest (joined from outside)" in console.shown()
        assert "Merge?" in console.shown()
        await console.press("exclamation_mark")
        assert not isinstance(console.app.screen, Peek)
        await console.press("exclamation_mark", "y")
        await console.frame()
        (answered,) = [c for c in source.commands if isinstance(c, AnswerQuestion)]
        assert (answered.stream, answered.answer) == ("guest", "yes")
        assert "1 needs you" in console.shown().splitlines()[0]


def test_what_is_done_has_the_sign_of_what_became_of_it(source: ScriptedSource) -> None:
    """Work that succeeded and waits for a review is no failure, and a failure is no success."""
    done = Attention("done", "why", 0.0, True)
    assert sign_of(source.state, "over", done) == "succeeded"
    failed = replace(source.state.streams[StreamId("works")], phase=Phase.FAILED)
    streams = source.state.streams.insert(failed.id, failed)
    assert sign_of(replace(source.state, streams=streams), "works", done) == "failed"
    assert sign_of(source.state, "the run", done) == "succeeded"
    assert sign_of(source.state, "asks", replace(done, state="blocked")) == "needs_operator"


@pytest.mark.parametrize("size", SIZES)
async def test_a_question_is_answered_from_the_list_by_one_key(
    open_console: OpenConsole, source: ScriptedSource, size: tuple[int, int]
) -> None:
    """A look shows the question and its choices at every size; a digit, y or n answers."""
    async with open_console(source, size=size) as console:
        _ask(source, "Drop the old table?", "keep", "yes", "no")
        await console.frame()
        console.screen.home.choose("works")
        await console.press("exclamation_mark", "v")
        assert "Drop the old table?" in console.shown()
        assert "1  keep" in console.shown()
        await console.press("1")
        _ask(source, "Really?", "yes", "no")
        await console.frame()
        await console.press("v", "n")
        answers = [c.answer for c in source.commands if isinstance(c, AnswerQuestion)]
        assert answers == ["keep", "no"]
        assert not source.state.questions or all(
            q.answer for asked in source.state.questions.values() for q in asked
        )


async def test_a_line_is_typed_into_a_terminal_and_its_verdict_told(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """What is typed goes where it is wanted; what became of it is said, and nothing before."""
    async with open_console(source) as console:
        _prompt(source)
        await console.frame()
        await console.press("exclamation_mark", "v", "enter", "y", "e", "s", "enter")
        (sent,) = [c for c in source.commands if isinstance(c, SendInput)]
        assert (sent.stream, sent.text) == ("prompt", "yes")
        await console.frame()
        assert console.toasts() == ["input for prompt: asked for"]
        pending = source.state.streams[StreamId("prompt")].terminal.pending
        assert pending is not None
        source.feed(
            inputs.InputTyped(
                stream=sent.stream, number=pending.number, verdict="stalled", evidence="not read"
            )
        )
        await console.frame()
        assert "stalled: not read (prompt)" in console.toasts()
        await console.press("v", "enter", "q", "escape", "escape")
        assert len([c for c in source.commands if isinstance(c, SendInput)]) == 1


async def test_what_was_refused_or_left_is_there_for_the_next_try(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """A text that did not reach its stream is not typed a second time, and goes when it has."""
    async with open_console(source) as console:
        _prompt(source)
        await console.frame()
        await console.command("reply prompt")
        await console.press(*"yes", "escape", "enter", "!", "enter")
        (sent,) = [c for c in source.commands if isinstance(c, SendInput)]
        assert sent.text == "yes!"
        pending = source.state.streams[StreamId("prompt")].terminal.pending
        assert pending is not None
        source.feed(
            inputs.InputTyped(
                stream=sent.stream, number=pending.number, verdict="refused", evidence="a draft"
            )
        )
        await console.frame()
        await console.command("reply prompt")
        assert "type and enter: yes!" in console.shown()
        await console.press("enter")
        assert [c.text for c in source.commands if isinstance(c, SendInput)] == ["yes!", "yes!"]
        await console.command("reply prompt")
        assert "type and enter: _" in console.shown()


async def test_a_burst_goes_where_it_was_typed_for(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Into a look at a stream that is not there yet, and into the bar, with what is taken back."""
    async with open_console(source) as console:
        _prompt(source)
        await console.frame()
        burst(console.app, "!", "v", "enter", "yesx", "backspace", "enter")
        await settle(console.pilot)
        burst(console.app, ":", "reply prompt nox", "backspace", "enter", "v")
        await settle(console.pilot)
        texts = [c.text for c in source.commands if isinstance(c, SendInput)]
        assert texts[0] == "yes"
        assert isinstance(console.app.screen, Peek)
        assert "no" in [getattr(c, "body", "") or getattr(c, "text", "") for c in source.commands]


async def test_a_reply_is_typed_in_the_bar_too(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """To a question it is the answer, to others a message, which acknowledges theirs."""
    async with open_console(source) as console:
        _ask(source, "Which?", "users", "orders")
        caller = Caller(StreamId("works"), 1)
        source.feed(calls.Send(caller=caller, request="m", to=StreamId("operator"), body="help"))
        await console.frame()
        await console.command("reply asks ord")
        await console.command("reply works look into the log")
        await console.frame()
        kinds = [type(c).__name__ for c in source.commands]
        assert kinds == ["AnswerQuestion", "Send", "Acknowledge"]
        assert "orders" in str(source.commands[0])
        assert "need" not in console.shown().splitlines()[0]


async def test_a_text_does_not_reach_what_it_was_not_typed_for(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Another has answered meanwhile, and the next thing is asked: that is looked at first."""
    async with open_console(source) as console:
        _ask(source, "Delete the copy?")
        await console.frame()
        await console.command("reply asks")
        await console.press(*"yes")
        source.feed(AnswerQuestion(stream=StreamId("asks"), answer="no"))
        _ask(source, "Delete all?")
        await console.frame()
        await console.press("enter")
        assert not any(isinstance(command, AnswerQuestion) for command in source.commands)
        assert "it waits for something else" in " ".join(console.toasts())
        await console.press("escape", "escape")
        _prompt(source, "Overwrite? [y/N]")
        await console.frame()
        await console.command("reply prompt")
        await console.press(*"yes")
        source.feed(SendInput(stream=StreamId("prompt"), text="n", request="elsewhere"))
        await console.press("enter")
        assert not any(isinstance(command, SendInput) for command in source.commands)
        await console.press("enter")
        assert [c.text for c in source.commands if isinstance(c, SendInput)] == ["yes"]


async def test_a_reply_to_one_that_ends_meanwhile_says_that_nothing_was_sent(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """And is no reply any more: enter would do nothing."""
    async with open_console(source) as console:
        _ask(source, "Which?")
        await console.frame()
        await console.command("reply asks")
        await console.press(*"users")
        assert "answer: users" in console.shown()
        source.finish("asks")
        dialog = console.app.screen
        assert isinstance(dialog, Peek)
        dialog.draw()
        await console.frame()
        assert "it is over; nothing was sent: users" in " ".join(console.toasts())
        assert "enter send" not in console.shown()


async def test_opening_what_is_over_is_looking_at_it_once(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    async with open_console(source) as console:
        console.screen.home.choose("over")
        await console.press("enter")
        await console.frame()
        await console.press("escape", "enter")
        assert [type(c) for c in source.commands] == [LookAt]
        assert "to look at" not in console.shown().splitlines()[0]


async def test_to_see_what_a_stream_has_changed_is_to_look_at_it(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    async with open_console(source) as console:
        await console.command("diff over")
        assert [type(c) for c in source.commands] == [LookAt]


async def test_where_nobody_hosts_the_run_looking_changes_nothing(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    source._hosting = "nobody"
    async with open_console(source) as console:
        console.screen.home.choose("over")
        await console.press("enter")
        assert source.commands == []
