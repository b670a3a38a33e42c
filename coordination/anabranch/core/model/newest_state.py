"""What is worked out once a state, because many ask for it between two events.

Remembered for the newest state only, by identity: states are values that never change, so what was
found of one stays true of it. Threads that ask at once may work it out twice, and find the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from anabranch.core.model.state import State

P = ParamSpec("P")
Found = TypeVar("Found")


def once_a_state(
    find: Callable[Concatenate[State, P], Found],
) -> Callable[Concatenate[State, P], Found]:
    """Have a function remember its answer until it is asked about another state, or something else.

    Args:
        find: takes a state, and perhaps more that can be compared.
    """
    known: tuple[State, object, Found] | None = None

    @wraps(find)
    def found(state: State, /, *args: P.args, **kwargs: P.kwargs) -> Found:
        nonlocal known
        asked, remembered = (args, kwargs), known
        if remembered is not None and remembered[0] is state and remembered[1] == asked:
            return remembered[2]
        answer = find(state, *args, **kwargs)
        known = (state, asked, answer)
        return answer

    return found
