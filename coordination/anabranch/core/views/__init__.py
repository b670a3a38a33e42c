"""What people and scripts are shown of a state."""
