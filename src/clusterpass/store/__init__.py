"""Everything that does I/O with a Redis-protocol server."""
