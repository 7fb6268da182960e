"""A shop on ClusterPass and on the libraries people reach for, beside each other."""
