"""Who is stuck or dead, and what is done about it, step by step."""
