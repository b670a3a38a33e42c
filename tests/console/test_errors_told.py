"""How errors that no command foresaw are told."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from anabranch_console.cli.main import cli, main


def test_a_machine_that_is_short_of_something_is_no_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Wherever it shows: no thread, no descriptor, no memory left is told as what it is."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    lacks: list[Exception] = [
        RuntimeError("can't start new thread"),
        OSError(errno.EMFILE, "x"),
        MemoryError(),
    ]
    for lack in lacks:

        def fail(error: Exception = lack, **_: object) -> None:
            raise error

        monkeypatch.setattr(cli, "main", fail)
        with pytest.raises(SystemExit) as ended:
            main(["runs"])
        shown = capsys.readouterr().err
        assert (ended.value.code, "just now" in shown) == (3, True), shown
        assert "should not have happened" not in shown
