"""A plan of commands that were given on the command line, made without the model of the plan file.

Loading that model takes longer than anything else at the start of a run, and few of the mistakes it
finds can be in a bare command: it is empty, or holds what a program cannot be given as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anabranch.config.context import PlanContext
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.plans.plan import USUAL_RETRIES, FanPlan, Plan, PointPlan, StreamPlan


def needs_no_model(name: str, commands: Sequence[str], items: Sequence[str]) -> bool:
    """Return whether the model of the plan file would find nothing wrong with these words."""
    return (
        bool(commands)
        and name.isprintable()
        and 0 < len(name.strip()) <= len(name) <= 100
        and all(command.strip() and _is_sound(command) for command in commands)
        and all(map(_is_sound, items))
    )


def _is_sound(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8
        return False


def command_plan(
    name: str, commands: Mapping[str, str], items: Sequence[str], context: PlanContext
) -> Plan:
    """Return a plan of independent streams: what a file with these commands alone would say.

    Args:
        name: what the plan is called.
        commands: each stream's command by its name.
        items: what every command is run for; once, in a stream without handlers, if there are none.
        context: what a plan depends on besides.
    """
    streams = tuple(
        StreamPlan(
            id=StreamId(stream),
            command=("/bin/sh", "-c", command),
            command_text=command,
            max_retries=USUAL_RETRIES,
            estimate_seconds=context.estimated_seconds(name, stream, command),
            fan=FanPlan({"items": list(items)}, command) if items else None,
        )
        for stream, command in commands.items()
    )
    able = context.known.able(PointPlan(FINAL_POINT).type)
    final = PointPlan(
        FINAL_POINT,
        streams=tuple(stream.id for stream in streams),
        merges_early=able.merges_early,
        takes_checkpoints=able.takes_checkpoints,
    )
    return Plan(name, streams, (final,), max_parallel=max(context.auto_parallel, 1))
