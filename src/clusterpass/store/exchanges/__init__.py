"""How calls are carried out: retries, redirects, durability, doubt. Pure."""
