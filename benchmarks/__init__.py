"""Anabranch side by side with its peers: overhead, workspaces, journal, spawning, start-up.

``python -m benchmarks`` runs everything, names choose. Peers take turns inside each repeat, so what
else the machine does meanwhile hits all of them alike; what counts is the ratio, never a time.
"""
