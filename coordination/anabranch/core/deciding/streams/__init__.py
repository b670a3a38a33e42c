"""A stream's own life: when it starts, how its attempts end, what is kept of it."""
