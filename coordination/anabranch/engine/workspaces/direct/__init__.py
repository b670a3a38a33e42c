"""Workspaces read and written without git processes, where nothing about them asks for git.

A process of git costs milliseconds, and a capture needs a dozen of them. Where a stream has left
its repository alone and changed a few plain files, what git would do is a matter of comparing
times, hashing and writing three small objects. Whatever is not as plain as that is left to git.
"""
