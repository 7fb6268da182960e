"""What one process remembers: sessions it may serve, sessions it knows to be over."""
