"""The built-in importers: plans in the words of other tools.

Each is a module with a function ``plan_of``, loaded when there is something to convert: every run
asks which importers there are, and few import a plan.
"""

from __future__ import annotations

from importlib import import_module

import msgspec

from anabranch.extending import Imported, Importer
from anabranch.hookspecs import hookimpl


class BuiltInImporter(msgspec.Struct, frozen=True):
    """An importer by what it is asked for.

    ``module`` is where its ``plan_of`` is, ``reads_beside`` a file that its tool reads besides, and
    ``largest_bytes`` how long a text may be (None: as long as any plan).
    """

    name: str
    file_names: tuple[str, ...]
    module: str
    reads_beside: str | None = None
    largest_bytes: int | None = None

    def convert(self, text: str) -> Imported:
        """Return the plan that a file's text stands for. Raises NotThisFormat."""
        converted = import_module(self.module).plan_of(text)
        assert isinstance(converted, Imported)
        return converted


BUILT_IN = (
    BuiltInImporter(
        "procfile",
        ("Procfile", "Procfile.*", "*.procfile"),
        "anabranch_plugins.importers.procfile",
        reads_beside=".env",
    ),
    BuiltInImporter(
        "process-compose",
        ("process-compose*.yaml", "process-compose*.yml"),
        "anabranch_plugins.importers.process_compose",
        reads_beside=".env",
    ),
    BuiltInImporter(
        "compose",
        ("compose*.yaml", "compose*.yml", "docker-compose*.yaml", "docker-compose*.yml"),
        "anabranch_plugins.importers.compose",
    ),
    BuiltInImporter(
        "quick-reference", ("*.yaml", "*.yml"), "anabranch_plugins.importers.coordination_template"
    ),
    BuiltInImporter(
        "wfcommons", ("*.json",), "anabranch_plugins.importers.wfcommons", largest_bytes=64 << 20
    ),
    BuiltInImporter("parallel", ("*.parallel",), "anabranch_plugins.importers.parallel_lines"),
)


@hookimpl
def anabranch_importers() -> list[Importer]:
    return list(BUILT_IN)
