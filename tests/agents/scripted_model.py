"""A model on loopback that says what a script has it say: a real agent runs without a network.

It speaks as much of the Messages API as the agent needs, streaming and not. A script has turns for
each line that a person may say (:data:`Script`); a conversation is where the newest line that the
script knows, and the results of tools since then, have brought it. After the last turn it is done.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

Turn = Mapping[str, Any]
"""A use of a tool, ``{"tool": NAME, "input": {}}``, or words: ``{"text": ""}``."""

Script = Mapping[str, Sequence[Turn]]
"""What is done after a line that a person says: its turns by a part of the line."""

DONE: Turn = {"text": "done"}
IDLING: Turn = {"tool": "Glob", "input": {"pattern": "nothing"}}
"""What is done while a tool is not there yet: servers of tools come in the background."""
PAUSE_SECONDS = 0.5
STEP = "step_"
"""How the use of a tool begins that the script wants, in its id."""
_number = count(1)


class ScriptedModel:
    """Serves until it is closed.

    Args:
        script: what it says.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[tuple[str, ...]] = []
        """Of each request the lines of the script that its conversation holds, oldest first."""
        self.lacking: list[str] = []
        """Tools of the script that the agent did not offer when they were to be used."""
        self.results: list[str] = []
        """What tools have answered last, request by request."""
        model = self

        class Handler(_Handler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
                if "count_tokens" in self.path:
                    self.answer(b'{"input_tokens": 10}')
                else:
                    self.reply(asked, _block(model.turn(asked)))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._server.server_close()

    def turn(self, asked: Mapping[str, Any]) -> Turn:
        """Return what comes next in a conversation."""
        offered = {tool["name"] for tool in asked.get("tools", ())}
        if not offered:
            return DONE  # it only wants a title, or the like
        lines, results = [], list[str]()
        for block in _said(asked.get("messages", ())):
            if str(block.get("tool_use_id")).startswith(STEP):
                results.append(json.dumps(block.get("content")))
            found = [line for line in self.script if line in str(block.get("text", ""))]
            if found:
                lines += found
                results = []
        self.heard.append(tuple(lines))
        self.results += results[-1:]
        turns = self.script[lines[-1]] if lines else ()
        turn = turns[len(results)] if len(results) < len(turns) else DONE
        if "tool" in turn and turn["tool"] not in offered:
            self.lacking.append(turn["tool"])
            time.sleep(PAUSE_SECONDS)
            return IDLING
        return turn


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, body: bytes, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.answer(b"")

    def do_GET(self) -> None:
        self.answer(b"{}")

    def reply(self, asked: Mapping[str, Any], block: dict[str, Any]) -> None:
        """Answer with one block, in the way that is asked for."""
        message: dict[str, Any] = {
            "id": f"msg_{next(_number)}",
            "type": "message",
            "role": "assistant",
            "model": asked.get("model"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 1},
        }
        reason = "tool_use" if block["type"] == "tool_use" else "end_turn"
        if asked.get("stream"):
            events = _events(message, block, reason)
            lines = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
            self.answer(lines.encode(), "text/event-stream")
        else:
            whole = {**message, "content": [block], "stop_reason": reason}
            self.answer(json.dumps(whole).encode())


def _said(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield what came from the person's side, block by block."""
    for message in messages:
        if message["role"] == "user":
            content = message["content"]
            yield from [{"text": content}] if isinstance(content, str) else content


def _block(turn: Turn) -> dict[str, Any]:
    if "tool" not in turn:
        return {"type": "text", "text": turn["text"]}
    kind = "idle_" if turn is IDLING else STEP
    made = {"type": "tool_use", "id": f"{kind}{next(_number)}"}
    return {**made, "name": turn["tool"], "input": turn.get("input", {})}


def _events(
    message: dict[str, Any], block: dict[str, Any], reason: str
) -> Iterator[dict[str, Any]]:
    is_tool = block["type"] == "tool_use"
    begun = {**block, "input": {}} if is_tool else {"type": "text", "text": ""}
    delta = (
        {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        if is_tool
        else {"type": "text_delta", "text": block["text"]}
    )
    ended = {"stop_reason": reason, "stop_sequence": None}
    yield {"type": "message_start", "message": message}
    yield {"type": "content_block_start", "index": 0, "content_block": begun}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}
