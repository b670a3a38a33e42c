"""What does not merge: foreseen, decided by a person, taken back."""
