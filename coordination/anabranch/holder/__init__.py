"""The small programs that keep streams alive without the console: one zygote, one holder a stream.

They run as ``python -I -S __main__.py RUN`` with the standard library only and never import the
engine, so that a fork of them is cheap and nothing in the engine can break a running stream.
"""
