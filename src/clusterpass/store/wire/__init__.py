"""Connections to nodes: RESP3, handshake, TLS, multiplexing, group commit."""
