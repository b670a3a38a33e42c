"""What goes wrong in a simulated world."""

from __future__ import annotations

import msgspec


class Faults(msgspec.Struct, frozen=True):
    """How likely each fault is (0..1), each time it could happen."""

    workspace_fails: float = 0.0
    workspace_waits_for_room: float = 0.0
    capture_fails: float = 0.0
    capture_waits_for_room: float = 0.0
    merge_fails: float = 0.0
    check_is_flaky: float = 0.0
    base_fails: float = 0.0
    approval_refused: float = 0.0
    setup_fails: float = 0.0
    process_fails: float = 0.0
    process_never_begins: float = 0.0
    holder_killed: float = 0.0
    process_stalls: float = 0.0
    stop_ignored: float = 0.0
    report_twice: float = 0.0
    edits_collide: float = 0.0
    memory_short: float = 0.0


NO_FAULTS = Faults()
