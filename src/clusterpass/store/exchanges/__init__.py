"""Carries out calls: routing, retries, redirects, durability and stale primaries. Pure."""
