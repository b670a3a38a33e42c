"""The console and the command line: everything a person touches.

They see the engine through its public doors only: :mod:`anabranch.engine.source` to look and steer,
:mod:`anabranch.engine.runs` to start and find runs.
"""
