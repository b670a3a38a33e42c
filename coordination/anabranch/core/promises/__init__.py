"""What must be true of every state, as checks that tests, simulation and doctor share."""
