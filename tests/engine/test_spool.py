"""The spool: calls as files, for sandboxes without sockets, and what a hostile stream may leave."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.client.verbs import Reply
from anabranch.core.calls import Caller
from anabranch.core.ids import StreamId
from anabranch.engine.gateway import spool_folder, wire
from anabranch.engine.gateway.spool_folder import SpoolFolder, in_workspace
from tests.engine.knocking import Bench
from tests.engine.repositories import git, make_repository

A = Caller(StreamId("a"), 1)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Give an open gateway before two running streams."""
    bench = Bench(tmp_path, "a", "b")
    await bench.open()
    yield bench
    await bench.close()


def leave(folder: Path, name: str, content: bytes) -> None:
    """Leave a request as a client does: under another name, then renamed."""
    (folder / f"{name}.new").write_bytes(content)
    (folder / f"{name}.new").rename(folder / f"{name}.request")


async def answer(bench: Bench, folder: Path, name: str) -> Reply:
    """Wait for an answer and take it."""
    path = folder / f"{name}.answer"
    await bench.until(path.exists)
    reply = Reply(json.loads(path.read_bytes()))
    path.unlink()
    return reply


async def ask(bench: Bench, stream: str, name: str, **frame: Any) -> Reply:
    """Ask through a stream's own spool with its own token."""
    whole = {"token": bench.token(stream), **frame}
    leave(bench.spool(stream), name, json.dumps(whole).encode())
    return await answer(bench, bench.spool(stream), name)


async def test_the_verbs_work_through_files(bench: Bench) -> None:
    """Locks and state go through the spool as through the socket, and requests are taken away."""
    granted = await ask(bench, "a", "one", verb="lock", path="x")
    assert granted.outcome == "granted"
    assert (await ask(bench, "a", "two", verb="state_set", key="k", value=1))["version"] == 1
    refused = await ask(bench, "b", "three", verb="lock", path="x")
    assert (refused.ok, refused["holders"][0]["stream"]) == (False, "a")
    assert sorted(os.listdir(bench.spool("a"))) == [".gitignore"]


async def test_a_wait_in_the_spool_is_answered_when_granted(bench: Bench) -> None:
    """A request that waits stays until it is granted; one that is taken back is given up."""
    granted = await ask(bench, "a", "one", verb="lock", path="x")
    frame = {"verb": "lock", "path": "x", "token": bench.token("b"), "wait_seconds": 40}
    leave(bench.spool("b"), "wait", json.dumps(frame).encode())
    await bench.until(lambda: bench.state.locks.holders.get(StreamId("b")))
    assert (bench.spool("b") / "wait.request").exists()
    await ask(bench, "a", "two", verb="unlock", fence=granted["fence"])
    assert (await answer(bench, bench.spool("b"), "wait")).outcome == "granted"


async def test_the_name_of_a_request_makes_it_happen_once(bench: Bench) -> None:
    """The next host may hear a request again; it happens once."""
    for _ in range(2):
        assert (await ask(bench, "a", "same", verb="state_set", key="k", value=1))["version"] == 1
    assert bench.state.shared.head == 1


async def test_only_its_own_stream_may_use_a_spool(bench: Bench) -> None:
    """Another stream's token in a spool, and no or a wrong one, are refused."""
    for number, token in enumerate((bench.token("b"), bench.token("operator"), "", "a.1.x")):
        reply = await ask(bench, "a", f"n{number}", verb="state_set", key="k", value=1, token=token)
        assert not reply.ok, token
    assert bench.state.shared.head == 0


async def test_a_partial_file_is_heard_when_it_is_whole(bench: Bench) -> None:
    """A client that writes in place is waited for; one that never ends its file is told so."""
    frame = json.dumps({"verb": "heartbeat", "token": bench.token("a")}).encode()
    path = bench.spool("a") / "slow.request"
    with path.open("wb") as file:
        file.write(frame[:20])
        file.flush()
        seen = bench.gateway._spools._spools[A]
        seen.look(bench.now())
        assert not (bench.spool("a") / "slow.answer").exists()
        file.write(frame[20:])
    assert (await answer(bench, bench.spool("a"), "slow")).ok
    (bench.spool("a") / "never.request").write_bytes(b'{"verb":')
    os.utime(bench.spool("a") / "never.request", (1, 1))
    assert (await answer(bench, bench.spool("a"), "never"))["error"] == "bad_json"


async def test_a_file_too_large_is_not_read(bench: Bench) -> None:
    """A gigabyte in a request costs nothing: it is sparse here, and refused by its size."""
    fresh = bench.spool("a") / "huge.new"
    with fresh.open("wb") as file:
        file.truncate(1 << 30)
    fresh.rename(bench.spool("a") / "huge.request")
    assert (await answer(bench, bench.spool("a"), "huge"))["error"] == "too_large"
    assert wire.LARGEST_FRAME_BYTES < 1 << 30
    assert (await ask(bench, "a", "next", verb="heartbeat")).ok


async def test_links_and_pipes_are_no_requests(bench: Bench, tmp_path: Path) -> None:
    """A link to another stream's request, a pipe and a folder are refused and harm nobody."""
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"verb": "heartbeat", "token": bench.token("a")}))
    spool = bench.spool("a")
    (spool / "link.request").symlink_to(secret)
    os.mkfifo(spool / "pipe.request")
    for name in ("link", "pipe"):
        assert (await answer(bench, spool, name))["error"] == "bad_request"
    (spool / "folder.request").mkdir()
    assert (await ask(bench, "a", "next", verb="heartbeat")).ok
    assert secret.exists()


async def test_a_request_that_cannot_go_away_costs_next_to_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder where a request or its answer should be: few looks, no descriptor kept, no harm."""
    spool, seen = bench.spool("a"), bench.gateway._spools._spools[A]
    (spool / "folder.request").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        seen.look(bench.now())
    assert len(os.listdir("/proc/self/fd")) == before
    assert not (spool / "folder.answer").exists()
    (spool / "stuck.answer").mkdir()
    received: list[bytes] = []
    receive = bench.gateway.endpoint.receive

    def count(data: bytes, *rest: Any, **more: Any) -> Any:
        received.append(data)
        return receive(data, *rest, **more)

    monkeypatch.setattr(bench.gateway.endpoint, "receive", count)
    frame = {"verb": "state_set", "key": "k", "value": 1, "token": bench.token("a")}
    leave(spool, "stuck", json.dumps(frame).encode())
    await bench.until(lambda: bench.state.shared.head == 1)
    for _ in range(100):
        seen.look(bench.now())
    assert len(received) == 1
    (spool / "stuck.answer").rmdir()
    await bench.until((spool / "stuck.answer").is_file)


async def test_answers_are_never_written_through_links(bench: Bench, tmp_path: Path) -> None:
    """A link where the answer should go is replaced; what it points at stays as it is."""
    target = tmp_path / "precious"
    target.write_text("as it was")
    (bench.spool("a") / "trap.answer").symlink_to(target)
    frame = {"verb": "heartbeat", "token": bench.token("a")}
    leave(bench.spool("a"), "trap", json.dumps(frame).encode())
    path = bench.spool("a") / "trap.answer"
    await bench.until(lambda: not path.is_symlink())
    assert json.loads(path.read_bytes())["ok"]
    assert target.read_text() == "as it was"


@pytest.mark.parametrize("depth", [0, 1])
async def test_a_spool_that_is_a_link_is_not_followed(
    bench: Bench, tmp_path: Path, depth: int
) -> None:
    """A stream that points its spool elsewhere is simply not heard there; others go on."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "spool").mkdir(parents=True)
    spool = bench.spool("a")
    moved = (spool, spool.parent)[depth]
    moved.rename(tmp_path / "aside")
    moved.symlink_to((elsewhere / "spool", elsewhere)[depth])
    frame = {"verb": "state_set", "key": "k", "value": 1, "token": bench.token("a")}
    leave(elsewhere / "spool", "one", json.dumps(frame).encode())
    bench.gateway._spools._spools[A].look(bench.now())
    assert (await ask(bench, "b", "one", verb="heartbeat")).ok
    assert bench.state.shared.head == 0
    assert os.listdir(elsewhere / "spool") == ["one.request"]
    in_workspace(tmp_path / "a").remove()
    assert os.listdir(elsewhere / "spool") == ["one.request"]


async def test_a_flooded_spool_is_worked_off_and_keeps_no_rubbish(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of requests at once are all answered; answers nobody takes are thrown away."""
    monkeypatch.setattr(spool_folder, "MOST_ANSWERS", 50)
    monkeypatch.setattr(spool_folder, "ANSWER_KEPT_SECONDS", 0.0)
    frame = json.dumps({"verb": "heartbeat", "token": bench.token("a")}).encode()
    spool = bench.spool("a")
    for number in range(300):
        leave(spool, f"n{number}", frame)
    await bench.until(lambda: not list(spool.glob("*.request")))
    leave(spool, "last", frame)
    await bench.until(lambda: len(os.listdir(spool)) < 60)


async def test_the_folder_goes_with_its_attempt(bench: Bench) -> None:
    """Nobody is heard in the spool of an attempt that is over."""
    token = bench.token("a")
    await bench.exit("a")
    await bench.until(lambda: A not in bench.gateway._spools._spools)
    assert bench.gateway.endpoint.tokens.bearer(token) is not None


def test_nothing_of_a_spool_enters_a_commit(tmp_path: Path) -> None:
    """Even a stream's own ``git add -A`` leaves it out, and it goes without a trace."""
    project = make_repository(tmp_path / "project", {"a.txt": "a"})
    folder = in_workspace(project)
    folder.make()
    folder.make()
    (folder.path / "one.request").write_text("{}")
    git(project, "add", "-A")
    assert git(project, "status", "--porcelain", "-uall") == ""
    folder.remove()
    assert sorted(os.listdir(project)) == [".git", "a.txt"]
    folder.remove()


def test_a_file_where_the_folder_should_be_is_left_alone(tmp_path: Path) -> None:
    """What a project has at that place is not touched."""
    (tmp_path / ".anabranch").write_text("mine")
    folder = in_workspace(tmp_path)
    with pytest.raises(OSError):
        folder.make()
    folder.remove()
    assert (tmp_path / ".anabranch").read_text() == "mine"
    assert SpoolFolder(tmp_path, ("spools", "a.1")).path == tmp_path / "spools" / "a.1"
