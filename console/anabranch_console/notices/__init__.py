"""Notices: what makes itself heard when a person is needed, and nobody is looking.

What rings when is decided apart from how (:mod:`.deciding` by a clock that is given,
:mod:`.signals` as bytes for the terminal); :mod:`.noticing` puts the two together.
"""
