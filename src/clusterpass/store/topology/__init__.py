"""The layout of the store: owners of slots, members of the cluster, epochs. Pure."""
