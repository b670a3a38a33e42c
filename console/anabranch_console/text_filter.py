"""The filter of every grid: words that must all be in a row's text, ``!`` for not, ``re:`` too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anabranch.core.patterns import PatternRefused, compiled

Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class TextFilter:
    """A compiled filter; ``problem`` says which word was not understood, "" if all were."""

    text: str = ""
    tests: tuple[Test, ...] = ()
    problem: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether everything passes."""
        return not self.tests

    def matches(self, text: str) -> bool:
        """Return whether a row's text passes every word."""
        lowered = text.lower()
        return all(test(lowered) for test in self.tests)


def compile_text_filter(text: str) -> TextFilter:
    """Return the filter that ``text`` describes; never fails."""
    tests: list[Test] = []
    problems: list[str] = []
    for word in text.lower().split():
        is_negated = word.startswith("!") and len(word) > 1
        test, problem = _word(word[1:] if is_negated else word)
        tests.append(_negation(test) if is_negated else test)
        problems += [problem] if problem else []
    return TextFilter(text.strip(), tuple(tests), "; ".join(problems))


def _word(word: str) -> tuple[Test, str]:
    if word.startswith("re:"):
        try:
            pattern = compiled(word.removeprefix("re:"))
        except PatternRefused as refused:
            return _contains(word), f"{word}: {refused}"
        return pattern.is_in, ""
    return _contains(word), ""


def _contains(word: str) -> Test:
    return lambda text: word in text


def _negation(test: Test) -> Test:
    return lambda text: not test(text)
