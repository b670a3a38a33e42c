"""What git leaves in the environment of the programs it starts, and no stream may inherit.

Anabranch is started by git when it runs from a hook, an alias or ``git rebase --exec``. Git then
hands down which repository, index and settings are meant, and of whom and when the commit is that
it is making. All that belongs to the user's repository; a stream works in another. What people set
for themselves (``GIT_SSH_COMMAND``, ``GIT_CONFIG_GLOBAL``, an identity in their shell) stays.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache

from anabranch.engine.git_calls import MARK

_LOCAL = frozenset((
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
))  # fmt: skip
OF_THE_USER = frozenset((
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_LFS_SKIP_SMUDGE"),
    *("GIT_ALLOW_PROTOCOL", "GIT_PROXY_COMMAND", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT"),
    *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY", "GIT_SSL_NO_VERIFY"),
))  # fmt: skip
"""By these a user reaches a remote or finds their settings."""

_NUMBERED = ("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GITHEAD_")
_OF_ONE_MOMENT = frozenset(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE", "GIT_REFLOG_ACTION"))
_SIGNS_OF_GIT = ("GIT_PREFIX", "GIT_DIR", "GIT_INDEX_FILE", "GIT_EXEC_PATH")
_SET_BY_GIT = ("GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_PUSH_OPTION")
_ITS_OWN = frozenset((
    "GIT_CHERRY_PICK_HELP",
    "GIT_EDITOR",
    "GIT_EXEC_PATH",
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_LITERAL_PATHSPECS",
    "GIT_MERGE_AUTOEDIT",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_PROTOCOL",
    "GIT_SEQUENCE_EDITOR",
))  # fmt: skip


def without_git_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what names a repository or belongs to one git command.

    An identity and an editor go only if git itself has started us; in a hook they are those of the
    commit that is being made.
    """
    is_child_of_git = any(name in environment for name in _SIGNS_OF_GIT)
    return {name: value for name, value in environment.items() if not _goes(name, is_child_of_git)}


def _goes(name: str, is_child_of_git: bool) -> bool:
    if name == MARK:  # of an engine that had git start us: what we start is not its call
        return True
    if not name.startswith("GIT"):
        return False
    if name in _LOCAL or name in _OF_ONE_MOMENT or name.startswith(_NUMBERED):
        return True
    if is_child_of_git and (name in _ITS_OWN or name.startswith(_SET_BY_GIT)):
        return True
    return name not in OF_THE_USER and name in _local_names()


@cache
def _local_names() -> frozenset[str]:
    """Return the variables that git calls local to a repository, and those we know."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--local-env-vars"], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return _LOCAL
    return _LOCAL | frozenset(asked.stdout.decode("ascii", "replace").split())
