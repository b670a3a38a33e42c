"""Who waits for whom, for what, and which ring of waiting is broken where."""
