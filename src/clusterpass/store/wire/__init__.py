"""Connections: RESP3, handshakes, TLS, multiplexing, group commit."""
