"""The program that gives every handler of a stream a workspace of its own, and merges their work.

The program that runs the handlers (:mod:`anabranch.handlers.crowd`) starts it and speaks to it in
lines of JSON: a request has an ``id`` and what to ``do``, its answer has the same ``id``. Making
and capturing go side by side in threads; merges are made one after the other, in the order in which
handlers were reported to have ended, as many at once as are ready. An answer to ``take`` leaves
when a ref keeps the merge. Every request may be sent again to another process of this program, when
one was killed. It leaves when nobody speaks to it any more.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from anabranch.core.ids import Attempt
from anabranch.core.written_names import workspace_name
from anabranch.engine.git import GitError
from anabranch.engine.performers.want import want_of
from anabranch.engine.performers.workspaces import in_words, working_directory
from anabranch.engine.workspaces.handler_chain import Chain, merge_into_chain, read_chain
from anabranch.engine.workspaces.handler_delivery import begin_from, deliver
from anabranch.engine.workspaces.handler_folders import (
    Assignment,
    assignment_of,
    capture_handler,
    give_back_merged,
    last_tries,
    make_handler_workspace,
    put_away,
)
from anabranch.engine.workspaces.handler_ground import Ground, steps_folder
from anabranch.engine.workspaces.handler_settling import alone_with_handlers, clear_leftovers
from anabranch.engine.workspaces.methods import method_here
from anabranch.engine.workspaces.names import handler_name, partial_ref
from anabranch.engine.workspaces.records import read_record
from anabranch.engine.workspaces.refs import read_ref
from anabranch.engine.workspaces.values import Captured, PreparedWorkspace
from anabranch.hostile_text import utf8_text
from anabranch.paths import capitals_count
from anabranch.plain_files import SMALL_FILE_BYTES, read_plain
from anabranch.undecodable import UNDECODABLE

PATIENCE_SECONDS = 10.0
SHORTAGE_RETRY_SECONDS = 2.0
MOST_MERGED_AT_ONCE = 64

T = TypeVar("T")
Answer = dict[str, Any]


class HandlerWorkspaces:
    """The workspaces of one attempt's handlers; all methods but `merge` may be called at once."""

    def __init__(self, given: Assignment) -> None:
        """Open them. Raises GitError, OSError."""
        self._given, self._repo = given, given.repo
        stream = read_record(given.repo, given.run, given.stream, given.attempt)
        if stream is None:
            raise GitError("the note about the stream's workspace is gone")
        self._stream: PreparedWorkspace = stream
        self._chain = begin_from(self._repo, stream)
        self._written: str | None = None
        self._tries = last_tries(self._repo, given.run, given.stream)
        self._method = method_here(given.repo, given.method)
        self._steps = steps_folder(given.folder)
        frozen_tree = given.frozen_tree or self._chain.start_tree
        self._ground = Ground(
            given.repo, given.run, self._steps, self._method, frozen_tree, given.paths
        )

    @property
    def chain(self) -> Chain:
        """What is merged so far."""
        return self._chain

    def clear(self, but: list[tuple[int, int]]) -> list[str]:
        """Keep and remove what a killed program has left; return what was kept, in words."""
        given = self._given
        about = (self._repo, given.run, given.stream)
        return clear_leftovers(*about, given.folder, self._chain, but)

    def merged_in(self, attempt: Attempt) -> frozenset[int]:
        """Return the places whose work an attempt of the stream has merged."""
        given = self._given
        if attempt == given.attempt:
            return self._chain.places
        found = read_chain(self._repo, given.run, given.stream, attempt)
        return found.places if found is not None else frozenset()

    def make(self, place: int) -> Answer:
        """Make a workspace from the newest of what is merged."""
        given = self._given
        number = self._tries[place] = self._tries.get(place, 0) + 1
        name = workspace_name(str(place), number, capitals_count(given.folder))
        chain = self._chain
        with self._ground.under(chain) as ground:
            made = make_handler_workspace(
                self._repo,
                given.run,
                handler_name(given.stream, place),
                number,
                given.kind,
                given.folder / name,
                chain,
                ground,
                self._method,
                given.paths,
            )
        try:
            inside = working_directory(made.path, given.prefix, given.working_dir)
        except OSError:
            put_away(self._repo, made)
            raise
        return {"number": number, "path": str(made.path), "cwd": str(inside)}

    def capture(self, place: int, number: int) -> Captured | Answer:
        """Capture the work of a handler that has succeeded, or return what there is to answer."""
        workspace = self._workspace(place, number)
        if workspace is not None:
            try:
                return capture_handler(self._repo, workspace)
            except GitError:  # a git that was killed leaves locks, which the failure has removed
                return capture_handler(self._repo, workspace)
        if place in self._chain.places:
            return {}
        ref = partial_ref(self._given.run, handler_name(self._given.stream, place), number)
        kept = read_ref(self._repo, ref)
        fault = "it does not merge with what other handlers have done"
        return {"fault": fault, "kept": ref if kept else "", "is_conflict": True}

    def merge(self, taken: list[tuple[int, Captured]]) -> dict[int, str]:
        """Merge handlers' work in this order; return why some of it cannot be, by place."""
        given = self._given
        results = [
            (handler_name(given.stream, place), captured)
            for place, captured in taken
            if place not in self._chain.places
        ]
        if not results:
            return {}
        self._chain, refused = merge_into_chain(
            self._repo, given.run, given.stream, given.attempt, self._chain, results
        )
        self._ground.note_merged(sum(result.files_changed for _, result in results))
        names = {handler_name(given.stream, place): place for place, _ in taken}
        return {names[name]: why for name, why in refused.items()}

    def deliver(self) -> str | None:
        """Write what is merged into the stream's workspace; return a ref, as `deliver` does."""
        kept = deliver(self._repo, self._stream, self._chain, self._written)
        self._written = self._chain.tree if not self._chain.is_empty else None
        return kept

    def give_back(self, place: int, number: int) -> None:
        """Remove the workspace of a handler whose work is merged."""
        workspace = self._workspace(place, number)
        if workspace is not None:
            give_back_merged(self._repo, workspace)

    def put_away(self, place: int, number: int) -> str:
        """Remove a workspace whose work is not merged; return the ref that keeps it, if any."""
        workspace = self._workspace(place, number)
        if workspace is not None:
            return put_away(self._repo, workspace).ref or ""
        ref = partial_ref(self._given.run, handler_name(self._given.stream, place), number)
        return ref if read_ref(self._repo, ref) is not None else ""

    def _workspace(self, place: int, number: int) -> PreparedWorkspace | None:
        given = self._given
        return read_record(self._repo, given.run, handler_name(given.stream, place), number)


class Service:
    """Answers requests, each in its time."""

    def __init__(self, workspaces: HandlerWorkspaces, given: Assignment, output: int) -> None:
        self._workspaces, self._output = workspaces, output
        self._places = (given.repo.git_dir, given.repo.store, given.folder)
        self._writing = threading.Lock()
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="handler")
        self._taken: queue.SimpleQueue[Taken | None] = queue.SimpleQueue()
        self._held: Taken | None = None
        self._leaving = threading.Event()
        self._merger = threading.Thread(target=self._merge_forever, daemon=True)
        self._merger.start()

    def serve(self, lines: Iterator[bytes]) -> None:
        """Do what is asked until nobody asks any more."""
        for line in lines:
            self._take_in(msgspec.json.decode(line))
        self._leaving.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _take_in(self, asked: Answer) -> None:
        works = self._workspaces
        match asked["do"]:
            case "open":
                self._answer(asked["id"], partial(self._opened, asked))
            case "make":
                self._pool.submit(self._answer, asked["id"], partial(works.make, asked["place"]))
            case "take":
                at = (asked["place"], asked["number"])
                captured = self._pool.submit(self._patiently, partial(works.capture, *at))
                self._taken.put(Taken(asked["id"], *at, captured))
            case "drop":
                self._pool.submit(self._answer, asked["id"], partial(self._dropped, asked))
            case "close":
                self._taken.put(None)
                self._merger.join()
                self._pool.shutdown()
                self._answer(asked["id"], self._closed)

    def _opened(self, asked: Answer) -> Answer:
        kept = self._workspaces.clear([(place, number) for place, number in asked["keep"]])
        merged = [
            (place, attempt)
            for place, attempt in asked["doubts"]
            if place in self._workspaces.merged_in(attempt)
        ]
        return {"merged": merged, "said": kept}

    def _dropped(self, asked: Answer) -> Answer:
        return {"kept": self._workspaces.put_away(asked["place"], asked["number"])}

    def _closed(self) -> Answer:
        kept = self._workspaces.deliver()
        said = [f"what stood in the way of what handlers have done is kept by {kept}"]
        return {"said": said if kept else []}

    # --- merges ---------------------------------------------------------------------------------

    def _merge_forever(self) -> None:
        while batch := self._next_batch():
            self._merge(batch)
            if self._taken.empty() and self._held is None:
                with contextlib.suppress(GitError, OSError):  # at the end it is done, or told
                    self._workspaces.deliver()

    def _next_batch(self) -> list[Taken]:
        """Return what is merged next, in the order of ends: all that is captured by now.

        The first is waited for. Nothing is returned when nothing comes any more.
        """
        first = self._held or self._taken.get()
        self._held = None
        if first is None:
            return []
        first.captured.exception()
        batch = [first]
        while len(batch) < MOST_MERGED_AT_ONCE and not self._taken.empty():
            following = self._taken.get()
            if following is None:
                self._taken.put(None)
                break
            if not following.captured.done():
                self._held = following
                break
            batch.append(following)
        return batch

    def _merge(self, batch: list[Taken]) -> None:
        ready: list[tuple[int, Captured]] = []
        for taken in batch:
            error = taken.captured.exception()
            if error is not None:
                taken.answer = {"fault": f"its work cannot be captured: {_words_of(error)}"}
            elif isinstance(found := taken.captured.result(), Captured):
                ready.append((taken.place, found))
            else:
                taken.answer = found
        try:
            refused = self._patiently(partial(self._workspaces.merge, ready)) if ready else {}
        except Exception as error:
            refused = {place: f"it cannot be merged: {_words_of(error)}" for place, _ in ready}
        for taken in batch:
            self._conclude(taken, refused.get(taken.place))

    def _conclude(self, taken: Taken, refused: str | None) -> None:
        at = (taken.place, taken.number)
        if taken.answer is not None:
            self._write({"id": taken.id, **taken.answer})
        elif refused is None:
            self._write({"id": taken.id})
            self._pool.submit(self._give_back, *at)
        else:
            self._pool.submit(self._answer, taken.id, partial(self._refused, *at, refused))

    def _give_back(self, place: int, number: int) -> None:
        with contextlib.suppress(GitError, OSError):  # it stays, and is found later
            self._workspaces.give_back(place, number)

    def _refused(self, place: int, number: int, why: str) -> Answer:
        kept = self._workspaces.put_away(place, number)
        return {"fault": why, "kept": kept, "is_conflict": True}

    # --- answers --------------------------------------------------------------------------------

    def _patiently(self, work: Callable[[], T]) -> T:
        """Do it, as often as the machine is short of something."""
        has_said = False
        while True:
            try:
                return work()
            except Exception as error:
                want = want_of(error, self._places, self._places[-1])
                if want is None or not want.is_certain or self._leaving.is_set():
                    raise
                if not has_said:
                    _say(f"handlers' workspaces wait: {want.what}")
                    has_said = True
            self._leaving.wait(SHORTAGE_RETRY_SECONDS)

    def _answer(self, number: int, work: Callable[[], Answer]) -> None:
        try:
            answer = self._patiently(work)
        except Exception as error:
            answer = {"fault": _words_of(error)}
        self._write({"id": number, **answer})

    def _write(self, answer: Answer) -> None:
        line = msgspec.json.encode(answer) + b"\n"
        with self._writing, contextlib.suppress(OSError):  # nobody listens any more
            while line:
                line = line[os.write(self._output, line) :]


class Taken:
    """A handler's work on its way into the chain."""

    def __init__(
        self, number_of_request: int, place: int, number: int, captured: Future[Captured | Answer]
    ) -> None:
        self.id, self.place, self.number = number_of_request, place, number
        self.captured = captured
        self.answer: Answer | None = None


def _words_of(error: BaseException) -> str:
    return utf8_text(in_words(error)) if isinstance(error, Exception) else str(error)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode("utf-8", "backslashreplace"))


def main(path: str) -> int:
    """Serve who started this program, on its standard input and output."""
    for number in (signal.SIGTERM, signal.SIGINT):  # it leaves when it is left, with all done
        signal.signal(number, lambda *_: None)
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        given = assignment_of(read_plain(Path(path), SMALL_FILE_BYTES))
        given.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = (given.repo, given.run, given.stream, given.attempt)
        with alone_with_handlers(*about, PATIENCE_SECONDS):
            Service(HandlerWorkspaces(given), given, output).serve(iter(sys.stdin.buffer))
    except (GitError, OSError, *UNDECODABLE) as error:
        _say(f"handlers' workspaces cannot be had: {_words_of(error)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
