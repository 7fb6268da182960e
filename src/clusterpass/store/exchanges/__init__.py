"""How calls are carried out: routing, retries, redirects, durability, stale primaries. Pure."""
