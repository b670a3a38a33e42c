"""The console: a Textual app and a command line over the engine's public API."""
