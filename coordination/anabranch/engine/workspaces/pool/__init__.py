"""Checkouts that are made ahead and recycled, so that a workspace is ready as soon as it is wanted.

Where nothing can be shown in layers and no blocks can be shared, each file has to be written. Here
that is done while nobody waits for it; a workspace is then a rename.
"""
