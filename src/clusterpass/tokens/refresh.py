"""Refresh tokens: opaque to clients, 256 random bits, and the way to the slot.

    "cpr_" base64url( version 1 | session id 16 | rotation 4 | secret 32 | subject 1..255 )

- The store keeps 16 bytes of the secret's SHA-256, never the secret: its dump refreshes nothing.
  As the secret is random, a truncated hash is as hard to invert as to guess (128 bits).
- ``rotation`` counts the exchanges before this token: it tells a used token from a forged one.
- The subject is not signed: a token that names another subject finds no session of its hash there.
"""

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Final

from clusterpass.errors import InvalidInput, InvalidRefreshToken
from clusterpass.tokens.encoding import decode_base64url, encode_base64url
from clusterpass.tokens.identifiers import check_subject

_PREFIX: Final = "cpr_"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">B16sI32s")
SECRET_BYTES: Final = 32
_LONGEST: Final = 512


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token taken apart."""

    subject: str
    session_id: bytes
    rotation: int
    secret: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        """What the store keeps of the secret: 16 bytes."""
        return hashlib.sha256(self.secret).digest()[:16]

    def encode(self) -> str:
        """The token as clients carry it."""
        head = _HEAD.pack(_VERSION, self.session_id, self.rotation, self.secret)
        return _PREFIX + encode_base64url(head + self.subject.encode())


def looks_like_refresh_token(token: str) -> bool:
    """Whether ``token`` claims to be a refresh token; nothing is verified."""
    return token.startswith(_PREFIX)


def parse_refresh_token(token: object) -> RefreshToken:
    """The parts of ``token``; InvalidRefreshToken (``malformed``) when it is not one.

    Whether it is genuine, only the store can tell.
    """
    if not isinstance(token, str) or len(token) > _LONGEST or not looks_like_refresh_token(token):
        raise InvalidRefreshToken(reason="malformed")
    try:
        data = decode_base64url(token[len(_PREFIX) :])
        version, session_id, rotation, secret = _HEAD.unpack_from(data)
        subject = data[_HEAD.size :].decode("utf-8")
        check_subject(subject)
    except (ValueError, struct.error, InvalidInput):
        raise InvalidRefreshToken(reason="malformed") from None
    if version != _VERSION:
        raise InvalidRefreshToken(reason="malformed")
    return RefreshToken(subject, session_id, rotation, secret)
