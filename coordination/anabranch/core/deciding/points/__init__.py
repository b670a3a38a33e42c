"""Where streams meet: arrivals, merges, checks and checkpoints of points."""
