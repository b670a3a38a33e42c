"""The gateway: every verb's way in, who may ask, waiting, and what hostile clients cannot do."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.client import AsyncClient
from anabranch.core import calls
from anabranch.core.calls import OPERATOR, Caller
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.locks import grant_at
from anabranch.engine.gateway import socket_server, wire
from anabranch.engine.gateway.addresses import socket_folder
from anabranch.engine.gateway.rates import LONGEST_OVERDRAFT_SECONDS, SHARE, Bucket
from anabranch.engine.gateway.tokens import Tokens
from anabranch.engine.stopwatch import NOTABLE_SECONDS
from anabranch.errors import WorldError
from anabranch.paths import RunFolder
from tests.engine.knocking import DEADLINE_SECONDS, Bench, Knock, plain_socket


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Give an open gateway before three running streams."""
    bench = Bench(tmp_path, "a", "b", "c")
    await bench.open()
    yield bench
    await bench.close()


@pytest.fixture
async def knock(bench: Bench) -> AsyncIterator[Knock]:
    """Give a connection."""
    knock = await Knock.open(bench.socket_path)
    yield knock
    knock.close()


# --- asking --------------------------------------------------------------------------------------


async def test_a_reply_names_the_question_and_counts_the_mail(bench: Bench, knock: Knock) -> None:
    """``i`` comes back as it was, and messages_waiting rides on every reply."""
    token = bench.token("a")
    for i in (7, "seven", None):
        reply = await knock.ask(i=i, verb="heartbeat", token=token)
        assert (reply["i"], reply.ok, reply.outcome, reply.messages_waiting) == (i, True, "done", 0)
    await bench.ask("b", "send", to="a", body={"text": "hello"})
    assert (await knock.ask(verb="heartbeat", token=token)).messages_waiting == 1


async def test_frames_of_one_packet_are_one_turn_and_answered_in_order(
    bench: Bench, knock: Knock
) -> None:
    """Whatever arrives together is one transaction; nobody has to wait for a reply first."""
    token = bench.token("a")
    frames = [
        {"i": i, "verb": "state_set", "token": token, "key": "n", "value": i} for i in range(100)
    ]
    knock.send(b"".join(json.dumps(frame).encode() + b"\n" for frame in frames))
    replies = [await knock.reply() for _ in frames]
    assert [reply["i"] for reply in replies] == list(range(100))
    assert [reply["version"] for reply in replies] == list(range(1, 101))


async def test_a_request_asked_twice_happens_once(bench: Bench) -> None:
    """A client that lost its connection asks again under the same name."""
    first = await bench.ask("a", "state_set", key="k", value=1, request="once")
    again = await bench.ask("a", "state_set", key="k", value=1, request="once")
    assert first["version"] == again["version"] == bench.state.shared.head == 1


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (("lock", {"path": "x"}), ("unlock", {"path": "x"})),
        (("lock", {"path": "x"}), ("lock", {"path": "y"})),
        (("lock", {"path": "x"}), ("lock", {"path": "x", "mode": "read"})),
        (("state_set", {"key": "k", "value": 1}), ("state_update", {"key": "k", "value": {}})),
        (("state_set", {"key": "k", "value": 1}), ("state_set", {"key": "k", "value": 2})),
        (("send", {"to": "b", "body": 1}), ("broadcast", {"body": 1})),
    ],
)
async def test_a_request_stands_for_one_question(bench: Bench, first: Any, then: Any) -> None:
    """Another question under the same name is not answered with what the first came to."""
    (verb, arguments), (other_verb, others) = first, then
    assert (await bench.ask("a", verb, request="r", **arguments)).ok
    found = await bench.ask("a", other_verb, request="r", **others)
    assert (found["error"], found.outcome) == ("request_reused", "refused")
    assert (await bench.ask("a", verb, request="r", **arguments)).ok, "the first still stands"
    another = await bench.ask("c", other_verb, request="r", **others)
    assert another.get("error") != "request_reused", "names are a caller's own"


async def test_a_request_may_wait_longer_the_second_time(bench: Bench) -> None:
    """It is the same question, with more patience."""
    await bench.ask("a", "lock", path="x")
    first = await bench.ask("b", "lock", path="x", request="r", wait_seconds=0.01)
    again = await bench.ask("b", "lock", path="x", request="r", wait_seconds=0.02)
    assert first["ticket"] == again["ticket"]


async def test_what_only_reads_is_answered(bench: Bench) -> None:
    """Locks, streams, a key and the log are read from the published state."""
    await bench.ask("a", "state_set", key="k", value=[1])
    await bench.ask("a", "lock", path="x")
    assert (await bench.ask("b", "state_get", key="k"))["value"] == [1]
    assert [c["key"] for c in (await bench.ask("b", "state_log"))["changes"]] == ["k"]
    assert [lock["path"] for lock in (await bench.ask("b", "locks"))["locks"]] == ["x"]
    found = (await bench.ask("b", "streams"))["streams"]
    assert sorted((s["stream"], s["state"]) for s in found) == [
        ("a", "running"),
        ("b", "running"),
        ("c", "running"),
    ]


@pytest.mark.parametrize(
    ("frame", "error", "words"),
    [
        ({"verb": "lock"}, "bad_arguments", "argument 'path' is missing"),
        ({"verb": "lock", "path": 3}, "bad_arguments", "argument 'path': expected str"),
        ({"verb": "lock", "path": "x", "mode": "own"}, "bad_arguments", "argument 'mode': invalid"),
        ({"verb": "lock", "path": "x", "pth": 1}, "bad_arguments", "argument 'pth' is unknown"),
        ({"verb": "lock", "path": "x", "wait_seconds": -1}, "bad_arguments", "'wait_seconds'"),
        ({"verb": "lock", "path": "x", "wait": True}, "bad_arguments", "'wait' is unknown"),
        ({"verb": "lock", "path": "x", "cause": 1}, "bad_arguments", "'cause' is unknown"),
        ({"verb": "lock", "path": "x", "caller": {}}, "bad_arguments", "'caller' is unknown"),
        ({"verb": "lock", "ticket": "9", "pth": 1}, "bad_arguments", "argument 'pth' is unknown"),
        ({"verb": "lock", "ticket": ""}, "bad_arguments", "argument 'ticket': expected str"),
        (
            {"verb": "withdraw", "ticket": "9", "is_abandoned": True},
            "bad_arguments",
            "'is_abandoned' is unknown",
        ),
        ({"verb": "unlock"}, "bad_arguments", "by 'path' or by 'fence'"),
        ({"verb": "state_set", "key": "k"}, "bad_arguments", "argument 'value' is missing"),
        ({"verb": "heartbeat", "progress": 2}, "bad_arguments", "argument 'progress'"),
        ({"verb": "request", "resources": {"cpu": -1}}, "bad_arguments", "argument 'resources"),
        ({"verb": "dance"}, "unknown_verb", "there is no verb 'dance'"),
        ({"verb": "heartbeat", "i": {}}, "bad_arguments", "argument 'i'"),
        ({"verb": "heartbeat", "v": 2}, "bad_version", "argument 'v'"),
        ({"verb": ["heartbeat"]}, "bad_arguments", "argument 'verb'"),
    ],
)
async def test_a_bad_argument_is_named(
    bench: Bench, knock: Knock, frame: dict[str, Any], error: str, words: str
) -> None:
    """Whatever is wrong with a frame, the reply says which argument, and the connection lives."""
    token = bench.token("a")
    reply = await knock.ask(token=token, **frame)
    assert (reply.ok, reply["error"]) == (False, error)
    assert words in reply["reason"]
    assert (await knock.ask(verb="heartbeat", token=token)).ok


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"verb":"state_set","key":"k","value":NaN}',
        b'{"verb":"state_set","key":"k","value":Infinity}',
        b'{"verb":"state_set","key":"k","value":1e999}',
        b'{"verb":"state_set","key":"k","value":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"verb":"state_set","key":"k","value":' + b"[" * 400_000 + b"]" * 400_000 + b"}",
    ],
)
async def test_what_is_no_json_is_refused(bench: Bench, knock: Knock, line: bytes) -> None:
    """No JSON, NaN, infinities and deep nesting are refused; the connection lives on."""
    knock.send(line + b"\n")
    reply = await knock.reply()
    assert (reply.ok, reply["error"]) == (False, "bad_json")
    assert (await knock.ask(verb="heartbeat", token=bench.token("a"))).ok


# --- who -----------------------------------------------------------------------------------------


async def test_tokens_are_of_one_attempt_of_one_stream(bench: Bench, knock: Knock) -> None:
    """No token, a forged one, one of another run, and one whose attempt is over are refused."""
    own = bench.token("a")
    forged = [own[:-1] + ("0" if own[-1] != "0" else "1"), own.replace("a.1", "b.1"), "a.1."]
    forged += ["operator.", "operator." + own[-64:], "x" * 5000, "a.1.ä", "a.١." + own[-64:]]
    forged += [Tokens(b"another run's secret").of_attempt(StreamId("a"), 1)]
    assert (await knock.ask(verb="heartbeat"))["error"] == "no_token"
    for token in forged:
        assert not (await knock.ask(verb="heartbeat", token=token)).ok, token
    old = bench.gateway.endpoint.tokens.of_attempt(StreamId("a"), 2)
    assert "stale attempt" in (await knock.ask(verb="heartbeat", token=old))["reason"]
    await bench.exit("a")
    for verb in ({"verb": "heartbeat"}, {"verb": "streams"}, {"verb": "lock", "path": "x"}):
        reply = await knock.ask(token=own, **verb)
        assert not reply.ok
        assert "stale attempt" in reply["reason"], verb


async def test_a_stream_cannot_do_what_the_operator_can(bench: Bench) -> None:
    """Operator's verbs are refused to streams, and the streams' own to the operator."""
    assert (await bench.ask("a", "requeue", id=1))["error"] == "not_allowed"
    assert (await bench.ask("a", "register", id="z"))["error"] == "not_allowed"
    assert (await bench.ask("operator", "heartbeat"))["error"] == "not_a_stream"
    assert (await bench.ask("operator", "send", to="a", body="hello")).ok


async def test_a_stream_cannot_give_back_what_another_holds(bench: Bench) -> None:
    """A fence is worth nothing with another stream's token; an old one nothing at all."""
    fence = (await bench.ask("a", "lock", path="x"))["fence"]
    assert not (await bench.ask("b", "unlock", fence=fence)).ok
    assert not (await bench.ask("b", "unlock", path="x")).ok
    assert (await bench.ask("a", "unlock", fence=fence)).ok
    assert (await bench.ask("b", "lock", path="x")).outcome == "granted"
    assert "stale fence" in (await bench.ask("a", "unlock", fence=fence))["reason"]


async def test_an_outsider_joins_with_the_operators_token(bench: Bench) -> None:
    """A process that was started outside gets a token of its own and calls with it."""
    joined = await bench.ask("operator", "register", id="guest", capabilities=["analysis"])
    assert joined.outcome == "done", joined
    knock = await Knock.open(bench.socket_path)
    assert (await knock.ask(verb="heartbeat", token=joined["token"])).ok
    assert (await knock.ask(verb="lock", path="g", token=joined["token"])).outcome == "granted"
    assert (await knock.ask(verb="leave", token=joined["token"])).ok
    assert not (await knock.ask(verb="heartbeat", token=joined["token"])).ok
    knock.close()


def test_tokens_survive_the_console(tmp_path: Path) -> None:
    """The next host of a run knows the tokens of the streams it adopts; the files are private."""
    first, second = Tokens.of_run(RunFolder(tmp_path)), Tokens.of_run(RunFolder(tmp_path))
    token = first.of_attempt(StreamId("a.b"), 3)
    assert second.bearer(token) == Caller(StreamId("a.b"), 3)
    assert second.bearer(first.operator()) == OPERATOR
    for name in ("secret", "operator.token"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert (tmp_path / "operator.token").read_text() == first.operator()


async def test_the_socket_is_private(bench: Bench) -> None:
    """The socket can be reached by its owner alone, and its address fits into 107 bytes."""
    path = bench.socket_path
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert len(os.fsencode(path)) < 107


def test_a_long_run_folder_gets_a_short_address_that_stays(tmp_path: Path) -> None:
    """A path too long for a socket is replaced, always by the same; a planted one is not used."""
    deep = tmp_path / ("x" * 120)
    deep.mkdir(mode=0o700)
    folder = socket_folder(RunFolder(deep))
    assert folder == socket_folder(RunFolder(deep))
    assert len(os.fsencode(folder)) < 80
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(WorldError):
        socket_folder(RunFolder(deep))
    folder.unlink()


# --- waiting -------------------------------------------------------------------------------------


async def test_who_waits_is_told_when_it_is_granted(bench: Bench) -> None:
    """A lock call that waits is answered the moment the holder lets go."""
    fence = (await bench.ask("a", "lock", path="src/"))["fence"]
    waiting = asyncio.create_task(bench.ask("b", "lock", path="src/x.py", wait_seconds=30))
    await bench.until(lambda: bench.state.locks.holders.get(StreamId("b")))
    assert not waiting.done()
    await bench.ask("a", "unlock", fence=fence)
    reply = await waiting
    assert (reply.outcome, reply["fence"] > fence) == ("granted", True)


async def test_time_up_gives_a_ticket_that_goes_on_with_the_same_wait(bench: Bench) -> None:
    """After its time a client has a ticket; with it, or the same words, it keeps its place."""
    fence = (await bench.ask("a", "lock", path="x"))["fence"]
    first = await bench.ask("b", "lock", path="x", wait_seconds=0.05)
    assert (first.outcome, first["holder"], first["position"]) == ("waiting", "a", 1)
    assert first["holders"][0]["stream"] == "a"
    words = await bench.ask("b", "lock", path="x", wait_seconds=0.05)
    ticket = await bench.ask("b", "lock", ticket=first.ticket, wait_seconds=0.05)
    assert first.ticket == words.ticket == ticket.ticket
    waiting = asyncio.create_task(bench.ask("b", "lock", ticket=first.ticket, wait_seconds=30))
    await bench.ask("a", "unlock", fence=fence)
    granted = await waiting
    assert granted.outcome == "granted"
    late = await bench.ask("b", "lock", ticket=first.ticket)
    assert late["fence"] == granted["fence"]
    assert not (await bench.ask("c", "lock", ticket=first.ticket)).ok


async def test_a_client_that_leaves_gives_its_wait_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed connection leaves the queue after the grace; asking again within it does not."""
    monkeypatch.setattr(bench.gateway.endpoint._tickets, "_grace_seconds", 0.1)
    await bench.ask("a", "lock", path="x")
    knock = await Knock.open(bench.socket_path)
    frame = {"verb": "lock", "path": "x", "token": bench.token("b"), "wait_seconds": 30}
    knock.send(json.dumps(frame).encode() + b"\n")
    await bench.until(lambda: bench.state.locks.holders.get(StreamId("b")))
    knock.close()
    await bench.until(lambda: not bench.state.locks.holders.get(StreamId("b")))


async def test_a_folder_without_its_slash_means_what_is_in_it(bench: Bench) -> None:
    """Whoever names a folder of its workspace holds its content, and gives it back by that name."""
    (bench.folder / "a" / "docs").mkdir()
    granted = await bench.ask("a", "lock", path="docs")
    assert granted.outcome == "granted"
    assert not (await bench.ask("b", "lock", path="docs/one.md")).ok
    assert (await bench.ask("a", "unlock", path="docs")).ok
    assert (await bench.ask("b", "lock", path="docs/one.md")).ok


async def test_what_was_granted_to_nobody_any_more_is_given_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grant that nobody was told of goes back after the grace, unless it was asked for again."""
    monkeypatch.setattr(bench.gateway.endpoint._tickets, "_grace_seconds", 0.3)
    for path in ("x", "y"):
        await bench.ask("a", "lock", path=path)
        assert (await bench.ask("b", "lock", path=path, wait_seconds=0.02)).outcome == "waiting"
        await bench.ask("a", "unlock", path=path)
    assert (await bench.ask("b", "lock", path="y")).outcome == "granted"
    await bench.until(lambda: not grant_at(bench.state.locks, StreamId("b"), "x"))
    assert grant_at(bench.state.locks, StreamId("b"), "y")


async def test_resources_granted_to_nobody_any_more_are_given_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for amounts: what waited, was granted and never claimed goes back."""
    monkeypatch.setattr(bench.gateway.endpoint._tickets, "_grace_seconds", 0.1)
    slots = {"db": 1}
    assert (await bench.ask("a", "request", resources=slots)).outcome == "granted"
    assert (await bench.ask("b", "request", resources=slots, wait_seconds=0.02)).outcome == "queued"
    await bench.ask("a", "release", resources=slots)
    await bench.until(lambda: not bench.state.resources.held_by(StreamId("b")).get("db"))


async def test_a_wait_is_withdrawn_by_its_ticket(bench: Bench) -> None:
    """Out of the queue of a lock and away from a convergence point; others' tickets are not."""
    await bench.ask("a", "lock", path="x")
    queued = await bench.ask("b", "lock", path="x", wait_seconds=0.02)
    assert not (await bench.ask("c", "withdraw", ticket=queued.ticket)).ok
    assert (await bench.ask("b", "withdraw", ticket=queued.ticket)).ok
    assert bench.state.locks.holders.get(StreamId("b")) is None
    arrived = await bench.ask("b", "arrive", point="final", state=1, wait_seconds=0.02)
    assert arrived.outcome == "waiting"
    assert (await bench.ask("b", "withdraw", ticket=arrived.ticket)).ok
    assert bench.state.points[FINAL_POINT].gathering.arrival_of(StreamId("b")) is None


async def test_who_gave_up_waiting_at_a_point_waits_for_nobody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it brought still counts; its wait is no edge of the wait-for graph any more."""
    monkeypatch.setattr(bench.gateway.endpoint._tickets, "_grace_seconds", 0.05)

    def waits() -> bool:
        arrival = bench.state.points[FINAL_POINT].gathering.arrival_of(StreamId("b"))
        return arrival is not None and arrival.waits

    await bench.ask("b", "arrive", point="final", state=7, wait_seconds=0.02)
    await bench.until(lambda: not waits())
    waiting = asyncio.create_task(bench.ask("b", "arrive", point="final", wait_seconds=30))
    await bench.until(waits)
    for name in ("a", "c"):
        await bench.ask(name, "arrive", point="final", state=1)
    assert (await waiting)["state"]["b"] == 7


async def test_a_new_host_finds_the_waits_of_the_last_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ticket outlives the host: it goes on by its number, and is given up if nobody comes."""
    await bench.ask("a", "lock", path="x")
    await bench.ask("a", "lock", path="y")
    kept = await bench.ask("b", "lock", path="x", wait_seconds=0.02)
    left = await bench.ask("c", "lock", path="y", wait_seconds=0.02)
    await bench.gateway.close()
    bench.gateway = bench.new_gateway()
    monkeypatch.setattr(bench.gateway.endpoint._tickets, "_grace_seconds", 0.3)
    await bench.gateway.open()
    waiting = asyncio.create_task(bench.ask("b", "lock", ticket=kept.ticket, wait_seconds=30))
    await bench.until(lambda: not bench.state.locks.holders.get(StreamId("c")))
    assert not (await bench.ask("c", "lock", ticket=left.ticket)).ok
    await bench.ask("a", "unlock", path="x")
    assert (await waiting).outcome == "granted"


async def test_the_inbox_waits_for_a_message(bench: Bench) -> None:
    """A reader that waits gets the message as soon as it is sent; time up brings an empty list."""
    assert (await bench.ask("b", "inbox", wait_seconds=0.02))["messages"] == []
    reading = asyncio.create_task(bench.ask("b", "inbox", wait_seconds=30))
    await asyncio.sleep(0)
    await bench.ask("a", "send", to="b", body="hello")
    messages = (await reading)["messages"]
    assert [m["body"] for m in messages] == ["hello"]
    assert (await bench.ask("b", "ack", id=messages[0]["id"])).messages_waiting == 0


async def test_all_who_arrive_are_told_together(bench: Bench) -> None:
    """Everybody at a convergence point gets everybody's values."""
    names = ("a", "b", "c")
    replies = await asyncio.gather(
        *(bench.ask(n, "arrive", point="final", state={n: 1}, wait_seconds=30) for n in names)
    )
    assert [reply.outcome for reply in replies] == ["done"] * 3
    assert all(reply["state"] == replies[0]["state"] for reply in replies)


async def test_the_python_client_keeps_many_calls_under_way(bench: Bench) -> None:
    """One connection carries a wait and its own release by others."""
    async with (
        AsyncClient(bench.socket_path, bench.token("a")) as a,
        AsyncClient(bench.socket_path, bench.token("b")) as b,
    ):
        granted = (await a.lock("x")).expect()
        waiting = asyncio.ensure_future(b.lock("x", wait_seconds=30))
        assert (await b.heartbeat("waiting")).ok
        await a.unlock(fence=granted["fence"])
        assert (await waiting).outcome == "granted"
        assert (await a.state_set("k", None)).ok
        assert (await a.state_get("k"))["value"] is None


# --- hostile clients -----------------------------------------------------------------------------


async def test_a_line_without_an_end_is_cut_off(bench: Bench, knock: Knock) -> None:
    """Of a line of any length no more than one frame is ever kept, and others are served."""
    knock.send(b"x" * (wire.LARGEST_FRAME_BYTES + 70_000))
    reply = await knock.reply()
    assert reply["error"] == "too_large"
    assert await knock.ended()
    assert bench.gateway._socket.buffered_bytes == 0
    assert (await bench.ask("a", "heartbeat")).ok


async def test_too_many_connections_are_turned_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limit a connection is told so and closed; those that are there go on."""
    monkeypatch.setattr(bench.gateway._socket, "most_connections", 50)
    first = await Knock.open(bench.socket_path)
    assert (await first.ask(verb="heartbeat", token=bench.token("a"))).ok
    others = [await Knock.open(bench.socket_path) for _ in range(60)]
    last = await others[-1].reply()
    assert last["error"] == "too_many_connections"
    assert (await first.ask(verb="heartbeat", token=bench.token("a"))).ok
    for knock in (first, *others):
        knock.close()
    await bench.until(lambda: not bench.gateway._socket.connections)


async def test_a_thousand_connect_at_once(bench: Bench) -> None:
    """The backlog takes a thousand connections that arrive in one moment."""
    knocks = await asyncio.gather(*(Knock.open(bench.socket_path) for _ in range(400)))
    token = bench.token("a")
    replies = await asyncio.gather(*(k.ask(verb="heartbeat", token=token) for k in knocks))
    assert all(reply.ok for reply in replies)
    for knock in knocks:
        knock.close()


async def test_one_who_stops_in_mid_frame_is_dropped(
    bench: Bench, knock: Knock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that does not come to its end in time closes its connection, idle ones stay."""
    monkeypatch.setattr(socket_server, "PATIENCE_SECONDS", 0.05)
    idle = await Knock.open(bench.socket_path)
    knock.send(b'{"verb":"heart')
    assert (await knock.reply())["error"] == "too_slow"
    assert await knock.ended()
    assert (await idle.ask(verb="heartbeat", token=bench.token("a"))).ok
    idle.close()


async def test_one_who_never_reads_is_not_read_and_then_dropped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies that nobody takes stop the reading of questions, so memory stays bounded."""
    monkeypatch.setattr(socket_server, "PATIENCE_SECONDS", 0.2)
    await bench.ask("a", "state_set", key="k", value="x" * 50_000)
    frame = json.dumps({"verb": "state_get", "key": "k", "token": bench.token("a")}).encode()
    client = plain_socket(bench.socket_path)
    client.setblocking(False)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        await _pester(bench, client, (frame + b"\n") * 100)
    client.close()
    assert (await bench.ask("a", "heartbeat")).ok


async def _pester(bench: Bench, client: socket.socket, data: bytes) -> None:
    """Send and never read; what is kept for such a client must stay small all the time."""
    deadline = bench.now() + DEADLINE_SECONDS
    while bench.now() < deadline:
        try:
            client.send(data)
        except BlockingIOError:
            await asyncio.sleep(0.005)
        transports = [c._transport for c in bench.gateway._socket.connections]
        unread = sum(t.get_write_buffer_size() for t in transports if t is not None)
        assert unread < 8 * socket_server.UNREAD_HIGH_WATER_BYTES


async def test_one_that_goes_half_way_gets_its_reply(bench: Bench) -> None:
    """A client that says all and shuts its side, as ``nc -N`` does, is answered and then closed."""
    reader, writer = await asyncio.open_unix_connection(bench.socket_path)
    frame = {"verb": "state_set", "key": "k", "value": 1, "token": bench.token("a")}
    writer.write(json.dumps(frame).encode() + b"\n")
    writer.write_eof()
    said = await asyncio.wait_for(reader.read(), 20)
    assert json.loads(said)["ok"]
    writer.close()


async def test_a_flood_is_slowed_down_and_nobody_else(bench: Bench) -> None:
    """Above its rate a stream is read more slowly; another one is served at once."""
    caller = Caller(StreamId("a"), 1)
    for _ in range(30_000):
        bench.gateway.endpoint._bucket(caller).take(bench.now())
    flooder = await Knock.open(bench.socket_path)
    began = bench.now()
    frame = json.dumps({"verb": "heartbeat", "token": bench.token("a")}).encode() + b"\n"
    flooder.send(frame * 2)
    assert (await bench.ask("b", "heartbeat")).ok
    assert bench.now() - began < 0.5
    await flooder.reply()
    await flooder.reply()
    assert bench.now() - began > 0.5
    flooder.close()


async def test_a_lie_about_paths_is_no_lock(bench: Bench) -> None:
    """Paths that lead out, are absolute, empty, huge or unprintable are refused in words."""
    for path in ("../x", "/etc/passwd", "a/../../x", "", "x" * 5000, "a\0b", "~/x/../../.."):
        reply = await bench.ask("a", "lock", path=path)
        assert not reply.ok or path.startswith("~"), path
        assert reply.ok or reply["reason"]
    assert (await bench.ask("a", "lock", path="**")).outcome == "granted"
    assert not (await bench.ask("b", "lock", path="any/file")).ok


async def test_a_dead_holder_gives_back_what_it_had(bench: Bench) -> None:
    """When an attempt is over its locks are free, and its old fence and token change nothing."""
    old = bench.token("a")
    fence = (await bench.ask("a", "lock", path="x"))["fence"]
    waiting = asyncio.create_task(bench.ask("b", "lock", path="x", wait_seconds=30))
    await bench.until(lambda: bench.state.locks.holders.get(StreamId("b")))
    await bench.exit("a", 1)
    assert (await waiting).outcome == "granted"
    knock = await Knock.open(bench.socket_path)
    for verb in (
        {"verb": "unlock", "fence": fence},
        {"verb": "state_set", "key": "k", "value": 1},
        {"verb": "lock", "path": "x"},
    ):
        assert not (await knock.ask(token=old, **verb)).ok
    assert bench.state.shared.head == 0
    knock.close()


def test_only_this_user_may_connect() -> None:
    """The kernel says who is at the other end of a connection."""
    ours, theirs = socket.socketpair()
    size = struct.calcsize("3i")
    found = struct.unpack("3i", ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    assert found[1] == os.getuid()
    ours.close()
    theirs.close()


async def test_another_user_is_turned_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection of another user is closed before anything is read from it."""
    path = bench.socket_path
    monkeypatch.setattr(socket_server, "_uid_of", lambda transport: os.getuid() + 1)
    knock = await Knock.open(path)
    assert (await knock.reply())["error"] == "other_user"
    assert await knock.ended()


async def test_daemons_are_heard_as_they_speak_to_systemd(bench: Bench) -> None:
    """READY, STATUS and WATCHDOG datagrams count as heartbeats; other words do not."""
    address = bench.environment("b")["NOTIFY_SOCKET"]
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.sendto(b"FDSTORE=1\nX=\xff", address)
    sender.sendto(b"=\n\n", address)
    sender.sendto(b"READY=1\nSTATUS=ready \xff to serve", address)
    await bench.until(lambda: bench.state.streams[StreamId("b")].liveness.status)
    assert bench.state.streams[StreamId("b")].liveness.status == "ready \ufffd to serve"
    assert not bench.state.streams[StreamId("a")].liveness.status
    read, write = os.pipe()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("2i", read, write))
        sender.sendmsg([b"WATCHDOG=1"], [rights], 0, address)
    await bench.ask("a", "heartbeat")
    await bench.until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    sender.close()
    os.close(read)
    os.close(write)


# --- what calls cost -----------------------------------------------------------------------------


def test_a_token_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call carries one; what is not genuine is looked at each time."""
    tokens = Tokens(b"secret")
    genuine, forged = tokens.of_attempt(StreamId("a"), 1), "a.1.forged"
    assert tokens.bearer(genuine) == Caller(StreamId("a"), 1)
    assert tokens.bearer(forged) is None
    worked_out: list[str] = []

    def note(self: Tokens, subject: str) -> str:
        worked_out.append(subject)
        return ""

    monkeypatch.setattr(Tokens, "_hash", note)
    assert tokens.bearer(genuine) == Caller(StreamId("a"), 1)
    assert worked_out == []
    assert tokens.bearer(forged) is None
    assert worked_out == ["a/1"]


async def test_who_asks_for_too_much_is_refused_for_a_while_and_nobody_else(bench: Bench) -> None:
    """What its calls have cost counts against a stream, whatever it asked for."""
    call = calls.Lock(caller=Caller(StreamId("a"), 1), request="dear", path="x")
    bench.gateway.spent([call], {0: 30.0})
    found = await bench.ask("a", "state_get", key="k")
    assert (found["error"], found.outcome) == ("too_much", "refused")
    assert "longer than its share" in found["reason"]
    assert (await bench.ask("b", "state_get", key="k")).ok


async def test_a_turn_says_which_decisions_were_dear(bench: Bench) -> None:
    """The engine measures them itself, on its own clock."""
    held = [f"**/{n}*" for n in range(100)]
    caller, other = Caller(StreamId("a"), 1), Caller(StreamId("b"), 1)
    given = [calls.Lock(caller=caller, request=path, path=path) for path in held]
    waits = [calls.Lock(caller=other, request=path, path=path) for path in held]
    turn = bench.engine.turn([*given, *waits])
    assert turn.seconds
    assert all(0 <= place < len(given) + len(waits) for place in turn.seconds)
    assert all(seconds > NOTABLE_SECONDS for seconds in turn.seconds.values())


def test_a_bucket_pays_back_what_was_overdrawn() -> None:
    """A caller may take a share of the engine's time, and waits no longer than a minute for it."""
    bucket = Bucket(0.0)
    bucket.charge(1.0)
    assert bucket.take(0.0) == pytest.approx(1 / SHARE - 2.0, abs=0.01)
    bucket.charge(1e9)
    assert bucket.take(0.0) == pytest.approx(LONGEST_OVERDRAFT_SECONDS, abs=0.01)
    assert bucket.take(LONGEST_OVERDRAFT_SECONDS + 1.0) == 0.0
