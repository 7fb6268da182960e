"""The session store: drivers, routing and connections for a Redis-protocol server."""
