"""Notices which files change in the workspaces of a run.

The file library's own recursive watches take a watch for every folder, dependencies and caches
included, and a thread for every workspace. Here one notification descriptor and one thread serve
all workspaces, folders nobody writes by hand are left out, and where the kernel cannot tell (no
notifications, network file systems, limits reached) the files' stamps are compared every few
seconds instead. Counts are for showing and for liveness; what really changed, to the byte, is
decided by the snapshot that is merged.
"""

from anabranch.engine.watching.watcher import NOT_WATCHED, WorkspaceWatcher

__all__ = ["NOT_WATCHED", "WorkspaceWatcher"]
