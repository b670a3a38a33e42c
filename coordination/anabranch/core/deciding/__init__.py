"""What follows from an input: each concern decides by emitting events into a draft."""
