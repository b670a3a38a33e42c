"""Workspaces made of layers: a frozen checkout below, and above it what a stream has changed.

The kernel shows both as one folder (overlayfs). Making such a workspace costs a mount and a few
small files, whatever the size of the project; and the upper layer lists what has changed, so that
nobody has to look for it.
"""
