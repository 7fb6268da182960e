"""Prepares a service on this machine: a free port, a random password and a signing key."""

import secrets
import socket
from pathlib import Path
from typing import Final

from clusterpass.tokens.keyring import KeyRing

_PASSWORD_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # noqa: S105 - no look-alikes


def generate_password() -> str:
    """A random password of 16 letters and digits (80 bits)."""
    return "".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(16))


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_keys(path: Path) -> None:
    """Write a new signing key to ``path``, readable by its owner only, replacing the file there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    KeyRing.generate().save(path)
