"""Rehearsing recovery: a user's own plan is run on a scratch copy, with faults that are real.

:mod:`~anabranch.drilling.faults` says what can go wrong, :mod:`~anabranch.drilling.rehearsal` makes
the plan that is run, :mod:`~anabranch.drilling.scratch` the copy it runs on,
:mod:`~anabranch.drilling.injector` does the damage, :mod:`~anabranch.drilling.proof` looks for what
was there before it, and :mod:`~anabranch.drilling.findings` tells what the guardian made of it.
"""
