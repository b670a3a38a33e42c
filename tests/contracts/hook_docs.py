"""docs/hooks.md: every hook, what it brings, where it is used, and which test proves it."""

from __future__ import annotations

import inspect
import re
from typing import Any

from anabranch import extending
from anabranch.hookspecs import HOOKS_VERSION, EngineHooks

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


def hook_names() -> list[str]:
    return [name for name in vars(EngineHooks) if name.startswith("anabranch_")]


def hooks() -> str:
    """Return docs/hooks.md."""
    lines = [HEAD]
    for name in hook_names():
        function = getattr(EngineHooks, name)
        text, _, added = (inspect.getdoc(function) or "").partition(".. versionadded::")
        brought = _brought(function)
        lines += [f"## `{name}`", "", " ".join(text.split()).replace("``", "`"), ""]
        lines += [f"Returns any number of `{brought}`. Since {added.strip()}.", ""]
        protocol = getattr(extending, brought, None)
        if protocol is not None:
            lines += _protocol(protocol)
        lines += [f"Tested in `{PROOFS[name]}`.", ""]
    lines += _struct(extending.Imported) + _struct(extending.Launch)
    return "\n".join(lines).rstrip() + "\n"


def _brought(function: Any) -> str:
    told = str(inspect.get_annotations(function)["return"])
    found = re.search(r"\[(?:.*\.)?(\w+)\]", told)
    assert found is not None, told
    return found[1]


def _protocol(protocol: Any) -> list[str]:
    lines = [f"**`{protocol.__name__}`**: {_text(protocol)}", "", "```text"]
    for name, member in vars(protocol).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            assert member.fget is not None
            told = inspect.get_annotations(member.fget)["return"]
            lines.append(f"{name}: {told}")
        elif inspect.isfunction(member):
            signature = str(inspect.signature(member)).replace("'", "")
            lines += [f"def {name}{signature}:", f'    """{_text(member)}"""']
    return [*lines, "```", ""]


def _struct(kind: Any) -> list[str]:
    fields = ", ".join(f"`{name}`" for name in kind.__struct_fields__)
    return [f"**`{kind.__name__}`** ({fields}): {_text(kind)}", ""]


def _text(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").replace("``", "`").split())
