"""Read a list of payments."""
