"""The modes beside the streams: a grid of rows, and a panel about the chosen one."""
