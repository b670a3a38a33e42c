"""The options of GNU parallel: which of them a plan can say, and what to say of the others."""

from __future__ import annotations

import re
from typing import NamedTuple

from anabranch_plugins.importers.shell_words import VALUE, Word

_OUTPUT = "what handlers write is kept for each by itself (`anabranch logs STREAM --handler N`)"
_SHOWN = "the console shows how far it is; without one, lines of progress do"
_ELSEWHERE = "handlers run on this machine"
_BLOCKS = "handlers get an item each, no blocks of what is piped in"
_NONE = "plans have nothing like it"

_NOTED_FLAGS = {
    **dict.fromkeys(("k", "keep-order", "group", "u", "ungroup"), _OUTPUT),
    **dict.fromkeys(("lb", "line-buffer", "linebuffer", "tag", "files"), _OUTPUT),
    **dict.fromkeys(("bar", "eta", "progress", "v", "t", "verbose", "will-cite"), _SHOWN),
    **dict.fromkeys(("silent", "no-notice", "citation", "bg", "fg", "color"), _SHOWN),
    **dict.fromkeys(("resume", "resume-failed", "retry-failed"), "`anabranch resume` goes on"),
    **dict.fromkeys(("dry-run", "dryrun"), "`anabranch check` shows commands; the plan runs them"),
    **dict.fromkeys(("shuf", "compress", "cleanup", "controlmaster", "M"), _NONE),
}
_NOTED_VALUES = {
    "joblog": "`anabranch report` tells what ran when, and `status` how it went",
    **dict.fromkeys(("results", "outputasfiles", "tagstring"), _OUTPUT),
    **dict.fromkeys(("S", "sshlogin", "sshloginfile", "slf", "return", "trc"), _ELSEWHERE),
    **dict.fromkeys(("basefile", "bf", "transferfile", "tf", "ssh"), _ELSEWHERE),
    **dict.fromkeys(("env", "nice", "delay", "load", "memfree", "memsuspend"), _NONE),
    **dict.fromkeys(("limit", "tmpdir", "tempdir", "workdir", "wd", "profile", "J"), _NONE),
    **dict.fromkeys(("compress-program", "termseq", "shellcompletion", "filter-hosts"), _NONE),
}
_UNFIT_FLAGS = {
    **dict.fromkeys(("pipe", "spreadstdin", "roundrobin", "round-robin", "tee"), _BLOCKS),
    **dict.fromkeys(("X", "m", "xargs"), "as many arguments as fit into a line"),
    **dict.fromkeys(("tmux", "nonall", "onall", "fifo", "cat", "semaphore", "pipe-part"), _NONE),
}
_UNFIT_VALUES = {
    **dict.fromkeys(("pipepart", "block", "block-size", "recstart", "recend", "regexp"), _BLOCKS),
    **dict.fromkeys(("d", "delimiter", "E", "eof"), "items that do not end with their line"),
    **dict.fromkeys(("L", "max-lines", "l", "s", "max-chars"), "lines taken together"),
    **dict.fromkeys(("U", "rpl", "arg-sep", "arg-file-sep", "C-sep"), "signs of its own"),
    **dict.fromkeys(("basenamereplace", "bnr", "dirnamereplace", "dnr"), "signs of its own"),
    **dict.fromkeys(("extensionreplace", "er", "seqreplace", "slotreplace"), "signs of its own"),
    **dict.fromkeys(("group-by", "groupby", "trim", "tmuxpane", "sqlmaster"), _NONE),
}
_MEANT_FLAGS = {
    "link": "link",
    "xapply": "link",
    "q": "quote",
    "quote": "quote",
    "0": "null",
    "null": "null",
    "plus": "plus",
    "r": "",
    "no-run-if-empty": "",
    "gnu": "",
}
_MEANT_VALUES = {
    **dict.fromkeys(("j", "P", "jobs", "max-procs"), "jobs"),
    **dict.fromkeys(("a", "arg-file"), "files"),
    **dict.fromkeys(("C", "colsep"), "colsep"),
    **dict.fromkeys(("n", "N", "max-args", "max-replace-args"), "most"),
    **dict.fromkeys(("I", "replace"), "sign"),
    **dict.fromkeys(("timeout", "retries", "halt", "header"), ""),
    "halt-on-error": "halt",
}
_HOW_ITEMS_ARE_READ = frozenset({"colsep", "most", "sign", "header"})
_NUMBER = re.compile(r"\d+")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+|\d+(?:\.\d+)?")
_HALT = re.compile(r"(soon|now),(fail)=(\d+)(%?)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Unfit(Exception):
    """A command line that no plan can stand for; says why."""


class Options:
    """What the options in front of a command say.

    Raises Unfit: one of them makes the line mean what no plan can say.
    """

    def __init__(self) -> None:
        self.said: dict[str, Word] = {}
        self.files: list[Word] = []
        self.left_out: list[str] = []

    @property
    def stream(self) -> dict[str, object]:
        """The keys of a stream that they stand for."""
        keys: dict[str, object] = {}
        keys |= self._width()
        if timeout := self._text("timeout"):
            keys |= self._timeout(timeout)
        if halt := self._text("halt"):
            keys |= self._halt(halt)
        return keys | {"retries": self._retries()}

    def most(self) -> int | None:
        """Return how many arguments a command gets, None if that is not said."""
        return self._number("most")

    def colsep(self) -> re.Pattern[str] | None:
        """Return what separates columns in an argument, if something does."""
        written = self._text("colsep")
        if written is None:
            return None
        try:
            return re.compile(written)
        except re.error:
            raise Unfit(f"--colsep {written}: it is not a pattern that is known here") from None

    def has(self, name: str) -> bool:
        """Return whether an option was given."""
        return name in self.said

    def _text(self, name: str) -> str | None:
        word = self.said.get(name)
        return None if word is None else word.text

    def _number(self, name: str) -> int | None:
        written = self._text(name)
        if written is None:
            return None
        if not _NUMBER.fullmatch(written) or len(written) > 6:
            raise Unfit(f"`{written}` is not a number")
        return int(written)

    def _width(self) -> dict[str, object]:
        jobs = self._text("jobs")
        if jobs in (None, "100%", "+0"):
            return {}
        if jobs and _NUMBER.fullmatch(jobs) and 0 < int(jobs[:7]) < 1_000_000:
            return {"max_parallel": int(jobs)}
        self.left_out.append(f"--jobs {jobs}: a number is carried; it is one a processor here")
        return {}

    def _timeout(self, written: str) -> dict[str, object]:
        if not _DURATION.fullmatch(written):
            self.left_out.append(f"--timeout {written}: a length of time is carried")
            return {}
        parts = re.findall(r"(\d+(?:\.\d+)?)([dhms]?)", written)
        seconds = sum(float(number) * _SECONDS[unit or "s"] for number, unit in parts)
        return {"handler_timeout": int(seconds) if seconds == int(seconds) else seconds}

    def _halt(self, written: str) -> dict[str, object]:
        written = {"0": "never", "1": "soon,fail=1", "2": "now,fail=1"}.get(written, written)
        found = _HALT.fullmatch(written)
        if written == "never":
            return {}
        if found is None or not int(found[3]):
            self.left_out.append(f"--halt {written}: {_NONE}")
            return {}
        if found[1] == "now":
            self.left_out.append(
                f"--halt {written}: nothing more is started; what runs is not ended"
            )
        return {"max_failures": f"{found[3]}%" if found[4] else int(found[3]) - 1}

    def _retries(self) -> int:
        """Return how often a handler is tried again; parallel counts the first time too."""
        return max(0, (self._number("retries") or 1) - 1)

    def take(self, name: str, written: str, value: Word | None) -> None:
        """Take note of an option. Raises Unfit."""
        shown = f"{written} {value.text}" if value is not None else written
        meant = (_MEANT_FLAGS if value is None else _MEANT_VALUES).get(name)
        if meant == "files" and value is not None:
            self.files.append(value)
        elif value is not None and VALUE in value.expands and meant is not None:
            shown = f"{written} {value.written}: what the shell makes of it is not known here"
            if (meant or name) in _HOW_ITEMS_ARE_READ:
                raise Unfit(shown)
            self.left_out.append(shown)
        elif meant is not None:
            self.said[meant or name] = value or Word("", "")
        elif name in _NOTED_FLAGS or name in _NOTED_VALUES:
            self.left_out.append(f"{shown}: {(_NOTED_FLAGS | _NOTED_VALUES)[name]}")
        else:
            raise Unfit(f"{shown}: {(_UNFIT_FLAGS | _UNFIT_VALUES)[name]}")


_FLAGS = _NOTED_FLAGS.keys() | _UNFIT_FLAGS.keys() | _MEANT_FLAGS.keys()
_VALUES = _NOTED_VALUES.keys() | _UNFIT_VALUES.keys() | _MEANT_VALUES.keys()


class Read(NamedTuple):
    """Options, and the words behind them."""

    options: Options
    rest: tuple[Word, ...]


def read_options(words: tuple[Word, ...]) -> Read:
    """Read the options in front of a command. Raises Unfit, also for one that is not known."""
    options = Options()
    at = 0
    while at < len(words):
        text = words[at].text
        if text == "--":
            at += 1
            break
        if not text.startswith("-") or text == "-":
            break
        value = words[at + 1] if at + 1 < len(words) else None
        takes_value = _long if text.startswith("--") else _short
        at += 2 if takes_value(options, words[at], value) else 1
    return Read(options, words[at:])


def _long(options: Options, word: Word, behind: Word | None) -> bool:
    """Take ``--name``, ``--name=value`` or ``--name value``; return whether the last was it."""
    name, equals, value = word.text[2:].partition("=")
    if len(name) < 2 or name not in _FLAGS | _VALUES:
        raise Unfit(f"--{name} is an option that is not known here")
    if name in _FLAGS and not equals:
        options.take(name, f"--{name}", None)
        return False
    given = Word(value, word.written, word.expands) if equals else behind
    if given is None or name in _FLAGS:
        raise Unfit(
            f"--{name}: its value is missing" if given is None else f"{word.text}: no value"
        )
    options.take(name, f"--{name}", given)
    return not equals


def _short(options: Options, word: Word, behind: Word | None) -> bool:
    """Take ``-kj4`` or ``-kj 4``; return whether the next word belongs to it."""
    letters = word.text[1:]
    for at, letter in enumerate(letters):
        if letter in _FLAGS:
            options.take(letter, f"-{letter}", None)
            continue
        if letter not in _VALUES:
            raise Unfit(f"-{letter} is an option that is not known here")
        attached = letters[at + 1 :]
        given = Word(attached, attached, word.expands) if attached else behind
        if given is None:
            raise Unfit(f"-{letter}: its value is missing")
        options.take(letter, f"-{letter}", given)
        return not attached
    return False
