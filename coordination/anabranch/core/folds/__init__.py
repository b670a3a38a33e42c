"""What each event changes: from a state and an event to the next state, and to the answer."""
