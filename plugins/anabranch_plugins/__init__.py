"""The built-in strategies, registered through the same entry points that any plugin uses."""
