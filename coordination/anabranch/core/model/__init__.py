"""What a run's state is made of: values that never change, and what can be read off them."""
