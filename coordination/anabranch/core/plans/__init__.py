"""What is to be done, and its shape."""
