"""``clusterpass demo``."""
