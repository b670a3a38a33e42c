"""Being attached to a stream's terminal: what is typed, what is shown, and how it is left."""
