"""docs/hooks.md: every hook, what it brings, where it is used, and which test proves it."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any

from anabranch import extending
from anabranch.hookspecs import HOOKS_VERSION, EngineHooks
from anabranch_console import console_hooks

HEAD = f"""# Hooks

Every hook that a plugin can implement; this is version {HOOKS_VERSION}. `make docs` writes this
from `anabranch/hookspecs.py`. None has arguments. A plugin is a module behind an entry point of the
group `anabranch`; it marks its functions with `@hookimpl`:

```python
from anabranch.hookspecs import hookimpl


@hookimpl
def anabranch_load_balancers():
    return [MyBalancer()]
```

Strategies (the first five) decide something about a run, are pure, and are told of in
[strategies](strategies.md). The others stand at the edge: an importer, a report format, an observer
or a probe that fails costs only its own work. Hooks are called once, when the program starts; a
plugin that does not answer within 5 s, or fails, is set aside by name, and `--safe-mode` on any
command does without.

What a plugin brings is called `DISTRIBUTION:NAME`; the bare name will do where nobody else has it.
"""

PROOFS = {
    "anabranch_convergence_types": "tests/plugins/test_loading.py",
    "anabranch_load_balancers": "tests/plugins/test_loading.py",
    "anabranch_recovery_strategies": "tests/e2e/test_plugin_commands.py",
    "anabranch_remedies": "tests/e2e/test_plugin_commands.py",
    "anabranch_failure_classifiers": "tests/e2e/test_plugin_commands.py",
    "anabranch_importers": "tests/e2e/test_extensions.py",
    "anabranch_report_formats": "tests/e2e/test_extensions.py",
    "anabranch_observers": "tests/e2e/test_extensions.py",
    "anabranch_resource_probes": "tests/e2e/test_extensions.py",
    "anabranch_executors": "tests/e2e/test_extensions.py",
}
"""Where each hook is tested."""


CONSOLE_HEAD = """# The console's hooks

A group of entry points of their own, `anabranch.console`, marked by
`anabranch_console.console_hooks.hookimpl`. All are shown the run as `anabranch status --json` tells
it, in a thread beside the console, for at most a second each; who raises, hangs or answers with
something else than text is told by name, and after three times asked no more. What they say is
escaped before it is shown.
"""

PANE_PARTS = (
    console_hooks.PaneColumn,
    console_hooks.PaneRow,
    console_hooks.PaneVerb,
    console_hooks.RunCommand,
)
"""What a pane with columns and verbs is made of."""

CONSOLE_PROOF = "tests/console/test_console_plugins.py"


def hook_names(hooks: type = EngineHooks) -> list[str]:
    return [name for name in vars(hooks) if name.startswith("anabranch_")]


def hooks() -> str:
    """Return docs/hooks.md."""
    lines = [HEAD]
    for name in hook_names():
        lines += _hook(getattr(EngineHooks, name), extending, PROOFS[name])
    lines += _struct(extending.Imported) + _struct(extending.Launch)
    lines.append(CONSOLE_HEAD)
    for name in hook_names(console_hooks.ConsoleHooks):
        lines += _hook(getattr(console_hooks.ConsoleHooks, name), console_hooks, CONSOLE_PROOF)
        if name == "anabranch_console_panes":
            lines += [line for part in PANE_PARTS for line in _struct(part)]
    return "\n".join(lines).rstrip() + "\n"


def _hook(function: Any, module: ModuleType, proof: str) -> list[str]:
    text, _, added = (inspect.getdoc(function) or "").partition(".. versionadded::")
    brought = _brought(function)
    protocols = [getattr(module, name, None) for name in brought]
    return [
        f"## `{function.__name__}`",
        "",
        " ".join(text.split()).replace("``", "`"),
        "",
        f"Returns any number of {_or(brought)}. Since {added.strip()}.",
        "",
        *(line for protocol in protocols if protocol is not None for line in _protocol(protocol)),
        f"Tested in `{proof}`.",
        "",
    ]


def _or(names: list[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _brought(function: Any) -> list[str]:
    returned = str(inspect.get_annotations(function)["return"])
    found = re.search(r"\[(.*)\]", returned)
    assert found is not None, returned
    return [name.rpartition(".")[2].strip() for name in found[1].split("|")]


def _protocol(protocol: Any) -> list[str]:
    lines = [f"**`{protocol.__name__}`**: {_text(protocol)}", "", "```text"]
    for name, member in vars(protocol).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            assert member.fget is not None
            found = inspect.get_annotations(member.fget)["return"]
            lines.append(f"{name}: {found}")
        elif inspect.isfunction(member):
            signature = str(inspect.signature(member)).replace("'", "")
            lines += [f"def {name}{signature}:", f'    """{_text(member)}"""']
    return [*lines, "```", ""]


def _struct(kind: Any) -> list[str]:
    fields = ", ".join(f"`{name}`" for name in kind.__struct_fields__)
    return [f"**`{kind.__name__}`** ({fields}): {_text(kind)}", ""]


def _text(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").replace("``", "`").split())
