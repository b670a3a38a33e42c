"""What the engine does in the world: one module a family of effects."""
