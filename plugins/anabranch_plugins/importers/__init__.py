"""The built-in importers: plans in the words of other tools."""

from __future__ import annotations

from anabranch.extending import Importer
from anabranch.hookspecs import hookimpl
from anabranch_plugins.importers.compose import Compose
from anabranch_plugins.importers.gnu_parallel import GnuParallel
from anabranch_plugins.importers.process_compose import ProcessCompose
from anabranch_plugins.importers.procfile import Procfile
from anabranch_plugins.importers.quick_reference import QuickReference
from anabranch_plugins.importers.wfcommons import WfCommons


@hookimpl
def anabranch_importers() -> list[Importer]:
    return [Procfile(), ProcessCompose(), Compose(), QuickReference(), WfCommons(), GnuParallel()]
