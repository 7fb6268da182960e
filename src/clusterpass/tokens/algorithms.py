"""The names of the algorithms that sign tokens."""

from typing import Literal

SigningAlgorithm = Literal["EdDSA", "Ed25519", "ES256", "RS256", "HS256"]
"""``EdDSA`` and ``Ed25519`` (RFC 9864) name the same algorithm on the curve Ed25519."""
