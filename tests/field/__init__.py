"""What networks and servers of the field do to a store: each test brings one such thing about."""
