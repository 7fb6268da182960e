"""Decisions about sessions, as flows: no I/O, no clock and no randomness of their own."""
