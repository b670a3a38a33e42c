"""Is what a plugin brings to the console what it has to be? Asked by its trial and its check.

Panes and columns are asked once about an example of a run, themes are read; an action is only
looked at, as whatever it does it would really do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from typing import Any

from anabranch.plugin_store.store import PluginStore
from anabranch.testing.extension_checks import Method, example_status, faults_of_method
from anabranch_console.console_hooks import PaneRow, load_console_plugins
from anabranch_console.theme_files import load_themes, with_texts


def own_store() -> PluginStore:
    """Return the installed plugins, whose trial looks at those of the console too."""
    return PluginStore(console_checks=__name__)


def faults_of_console_plugin(point: EntryPoint) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one plugin of the console: about what, and what."""
    loaded = load_console_plugins([point])
    for aside in loaded.set_aside:
        yield aside.plugin, aside.reason
    found: Mapping[str, Mapping[str, Any]] = {
        "panes": loaded.panes,
        "columns": loaded.columns,
        "actions": loaded.actions,
    }
    for kind, brought in found.items():
        for name, one in brought.items():
            for fault in faults_of_method(one, _method_of(kind, one)):
                yield name, fault
    for problem in with_texts(load_themes([]), loaded.themes).problems:
        yield point.name, problem
    if not any((*found.values(), loaded.themes, loaded.set_aside)):
        yield point.name, "it brings nothing: no hook of this version returned anything"


def _method_of(kind: str, one: object) -> Method:
    return _TABLE if kind == "panes" and hasattr(one, "rows") else METHODS[kind]


def _no_rows(answer: Any) -> str:
    rows = () if isinstance(answer, str) else tuple(answer)
    is_good = not isinstance(answer, str) and all(isinstance(row, PaneRow) for row in rows)
    return "" if is_good else f"returned {type(answer).__name__}, not a list of PaneRow"


def _no_lines(answer: Any) -> str:
    lines = () if isinstance(answer, str) else tuple(answer)
    is_good = not isinstance(answer, str) and all(isinstance(line, str) for line in lines)
    return "" if is_good else f"returned {type(answer).__name__}, not a list of lines"


def _no_text(answer: Any) -> str:
    return "" if isinstance(answer, str) else f"returned {type(answer).__name__}, not a text"


def _streams() -> list[tuple[Any, ...]]:
    return [(stream,) for stream in example_status()["streams"]]


_TABLE = Method("rows", 1, lambda: [(example_status(),)], _no_rows)
METHODS: Mapping[str, Method] = {
    "panes": Method("lines", 1, lambda: [(example_status(),)], _no_lines),
    "columns": Method("text", 1, _streams, _no_text),
    "actions": Method("run", 2, list, _no_text),
}
