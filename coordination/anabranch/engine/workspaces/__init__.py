"""Everything Anabranch does with git: bases, workspaces, results, merges, approval, reclaiming.

Plain synchronous functions that may be called from any thread. Values come back; GitError (with
``reason`` and ``hint``) is raised when git or the disk refuses.
"""

from anabranch.engine.git import GitError
from anabranch.engine.workspaces.accepting import accept_settings
from anabranch.engine.workspaces.approving import approve
from anabranch.engine.workspaces.basing import capture_base, not_followed, uncommitted_files
from anabranch.engine.workspaces.capturing import (
    capture_history,
    capture_result,
    capture_what_can_be,
)
from anabranch.engine.workspaces.counting import count_changes, forget_counts
from anabranch.engine.workspaces.deciding import (
    LARGEST_TEXT_BYTES,
    Sides,
    decide_side,
    has_markers,
    is_binary,
)
from anabranch.engine.workspaces.delivering import (
    QUIET_SECONDS,
    Delivery,
    Moment,
    Reversal,
    Version,
    bring,
    overlaid,
    reversals,
    to_bring,
    why_busy,
    with_paths_of,
)
from anabranch.engine.workspaces.direct.capture import capture_directly
from anabranch.engine.workspaces.direct.taking_over import take_over_workspace
from anabranch.engine.workspaces.identity import WorkspaceReplaced
from anabranch.engine.workspaces.including.frozen_files import copy_included, include_ignored
from anabranch.engine.workspaces.including.listing import TooMuchIncluded, list_included
from anabranch.engine.workspaces.including.secrets import masks_of_included
from anabranch.engine.workspaces.layers.mounting import in_a_namespace
from anabranch.engine.workspaces.layers.setup_below import Setup
from anabranch.engine.workspaces.layers.showing import show_layers
from anabranch.engine.workspaces.layers.standing import require_standing
from anabranch.engine.workspaces.merging import (
    changed_paths,
    merge_trees,
    paths_between,
    who_touched,
)
from anabranch.engine.workspaces.methods import method_here, why_not_method
from anabranch.engine.workspaces.names import (
    candidate_ref,
    checkpoint_ref,
    partial_ref,
    point_checkpoint_ref,
    rescue_ref,
    result_branch,
    result_ref,
    start_ref,
)
from anabranch.engine.workspaces.own_refs import keep_own_refs
from anabranch.engine.workspaces.preparing import prepare_workspace, write_tree
from anabranch.engine.workspaces.publishing import publish_result_folder
from anabranch.engine.workspaces.readiness import (
    look_ahead,
    missing_folders,
    want_of_room,
    why_not_approve,
    why_not_begin,
)
from anabranch.engine.workspaces.reclaiming import list_rescues, reclaim_workspace
from anabranch.engine.workspaces.records import made_path
from anabranch.engine.workspaces.refs import (
    RefMoved,
    drop_ref,
    has_commits,
    keep_ref,
    move_ref,
    read_commit,
    read_ref,
)
from anabranch.engine.workspaces.repository import changed_settings, open_repository
from anabranch.engine.workspaces.submodules import empty_in_words, submodules_in
from anabranch.engine.workspaces.unfinished import partial_work, work_kept
from anabranch.engine.workspaces.values import (
    Approved,
    Captured,
    Decisions,
    FilesInTheWay,
    Kept,
    MergeOutcome,
    NoBranch,
    Parked,
    PreparedWorkspace,
    Reclaimed,
    Repository,
    Rescue,
    Standing,
    StreamResult,
    conflict_between,
)
from anabranch.engine.workspaces.verifying import Findings, look_at_merge

__all__ = [
    "LARGEST_TEXT_BYTES",
    "QUIET_SECONDS",
    "Approved",
    "Captured",
    "Decisions",
    "Delivery",
    "FilesInTheWay",
    "Findings",
    "GitError",
    "Kept",
    "MergeOutcome",
    "Moment",
    "NoBranch",
    "Parked",
    "PreparedWorkspace",
    "Reclaimed",
    "RefMoved",
    "Repository",
    "Rescue",
    "Reversal",
    "Setup",
    "Sides",
    "Standing",
    "StreamResult",
    "TooMuchIncluded",
    "Version",
    "WorkspaceReplaced",
    "accept_settings",
    "approve",
    "bring",
    "candidate_ref",
    "capture_base",
    "capture_directly",
    "capture_history",
    "capture_result",
    "capture_what_can_be",
    "changed_paths",
    "changed_settings",
    "checkpoint_ref",
    "conflict_between",
    "copy_included",
    "count_changes",
    "decide_side",
    "drop_ref",
    "empty_in_words",
    "forget_counts",
    "has_commits",
    "has_markers",
    "in_a_namespace",
    "include_ignored",
    "is_binary",
    "keep_own_refs",
    "keep_ref",
    "list_included",
    "list_rescues",
    "look_ahead",
    "look_at_merge",
    "made_path",
    "masks_of_included",
    "merge_trees",
    "method_here",
    "missing_folders",
    "move_ref",
    "not_followed",
    "open_repository",
    "overlaid",
    "partial_ref",
    "partial_work",
    "paths_between",
    "point_checkpoint_ref",
    "prepare_workspace",
    "publish_result_folder",
    "read_commit",
    "read_ref",
    "reclaim_workspace",
    "require_standing",
    "rescue_ref",
    "result_branch",
    "result_ref",
    "reversals",
    "show_layers",
    "start_ref",
    "submodules_in",
    "take_over_workspace",
    "to_bring",
    "uncommitted_files",
    "want_of_room",
    "who_touched",
    "why_busy",
    "why_not_approve",
    "why_not_begin",
    "why_not_method",
    "with_paths_of",
    "work_kept",
    "write_tree",
]
