"""What a person asks of handlers, in a file that handlers can get at as well."""

from __future__ import annotations

from pathlib import Path

from anabranch.handlers import asked


def test_each_wish_is_heard_once_and_what_makes_no_sense_never(tmp_path: Path) -> None:
    made_up = ["7", "{}", "[1]", "[1,[2],3]", "[1,2,[3]]", "[" * 20_000]
    wishes = asked.line(1, 5, 30) * 2 + asked.line(2, 6, 31) + asked.line(1, 7, 32)
    (tmp_path / asked.NAME).write_text("\n".join(made_up) + "\n" + wishes)
    heard = asked.Asked(str(tmp_path), attempt=1)
    assert list(heard.news()) == [(5, 30), (7, 32)]
    assert list(heard.news()) == []
