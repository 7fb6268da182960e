"""The memory of one process: sessions it may serve, and sessions it knows have ended."""
