"""Refresh tokens: opaque to clients, with a 256-bit secret and the subject that locates the slot.

    "cpr_" base64url( version 2 | session id 16 | rotation 4 | secret 32 | tag 16 | subject 1..255 )

- The store keeps 16 bytes of the secret's SHA-256, never the secret, so a dump of the store yields
  no usable token.
- ``rotation`` counts the exchanges before this token.
- ``tag`` is an HMAC over all other fields, under a key derived from a private key. A forged token
  is rejected without asking the store, and cannot end a session.
- The secret of a login is random. The secret of a successor is an HMAC of its predecessor's, under
  another derived key: a client that presents one token twice within the grace gets the same
  successor both times, and the store need not keep it.
- The first secret of a session that another issuer opened is an HMAC of the token that is exchanged
  for it, so that two tabs which exchange it at once get the same.
"""

import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from clusterpass.model.authentication_errors import InvalidRefreshToken
from clusterpass.model.errors import InvalidInput
from clusterpass.tokens.encoding import decode_base64url, encode_base64url
from clusterpass.tokens.identifiers import check_subject
from clusterpass.tokens.keyring import KeyRing

if TYPE_CHECKING:
    from clusterpass.tokens.keys import SigningKey

_PREFIX: Final = "cpr_"
_VERSION: Final = 2
_VERSION_BYTE: Final = bytes([_VERSION])
_HEAD: Final = struct.Struct(">B16sI32s16s")
_LINK: Final = struct.Struct(">16sI32s")
_LONGEST: Final = 512
_TAG_BYTES: Final = 16
_LAST_ROTATION: Final = 0xFFFFFFFF
SECRET_BYTES: Final = 32
DIGEST_BYTES: Final = 16
CHAIN_LENGTH: Final = 4
"""How many successors of a presented token are compared within the grace of its exchange."""


@dataclass(slots=True)  # made with each call: freezing it would take as long as deriving it
class RefreshToken:
    """The fields of a refresh token."""

    subject: str
    """The user whose session the token refreshes."""
    session_id: bytes
    """The 16 bytes of the session id."""
    rotation: int
    """The number of exchanges before this token."""
    secret: bytes = field(repr=False)
    """The 32 secret bytes."""
    tag: bytes = field(repr=False)
    """The 16 bytes of the HMAC over all other fields."""
    digest: bytes = field(init=False, repr=False)
    """The first 16 bytes of the secret's SHA-256, which the store keeps."""

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256(self.secret).digest()[:DIGEST_BYTES]

    def encode(self) -> str:
        """Return the token as the text that clients hold."""
        head = _HEAD.pack(_VERSION, self.session_id, self.rotation, self.secret, self.tag)
        return _PREFIX + encode_base64url(head + self.subject.encode())


class RefreshTokens:
    """Creates refresh tokens, authenticates them, and derives their successors."""

    def __init__(self, keys: KeyRing, random_bytes: Callable[[int], bytes]) -> None:
        """``random_bytes``: returns n unpredictable bytes.

        Raises ConfigurationError when ``keys`` holds no private key.
        """
        private = [keys.signing_key, *(key for key in keys.all() if key.is_private)]
        distinct = list({key.kid: key for key in private}.values())
        self._tags = [_keyed(key, "refresh token tag") for key in distinct]
        self._chains = [_keyed(key, "refresh token successor") for key in distinct]
        self._exchanges = [_keyed(key, "exchanged token") for key in distinct]
        self._random_bytes = random_bytes

    def first(self, subject: str, session_id: bytes) -> RefreshToken:
        """Return the first refresh token of a new session."""
        return self._make(subject, session_id, 0, self._random_bytes(SECRET_BYTES))

    def first_of(self, subject: str, session_id: bytes, exchanged: bytes) -> list[RefreshToken]:
        """Return the first refresh tokens of a session, as each private key derives it.

        ``exchanged``: the SHA-256 of the token of another issuer that is exchanged for the session.
        """
        return [
            self._make(subject, session_id, 0, _digest(keyed, session_id + exchanged))
            for keyed in self._exchanges
        ]

    def is_genuine(self, token: RefreshToken) -> bool:
        """Return whether the tag of ``token`` was made with one of the keys."""
        link = _LINK.pack(token.session_id, token.rotation, token.secret)
        signed = _VERSION_BYTE + link + token.subject.encode()
        for keyed in self._tags:
            if hmac.compare_digest(_digest(keyed, signed)[:_TAG_BYTES], token.tag):
                return True
        return False

    def successor(self, token: RefreshToken, *, key: int = 0) -> RefreshToken:
        """Return the successor of ``token`` that the private key number ``key`` derives."""
        link = _LINK.pack(token.session_id, token.rotation, token.secret)
        secret = _digest(self._chains[key], link)
        return self._make(token.subject, token.session_id, token.rotation + 1, secret, key)

    def renumbered(self, token: RefreshToken, rotation: int) -> RefreshToken:
        """Return ``token`` with another rotation: the same secret, and so the same digest."""
        return self._make(token.subject, token.session_id, rotation, token.secret)

    def unique_successor(self, token: RefreshToken) -> RefreshToken:
        """Return a random successor of ``token``, a different one on every call."""
        secret = self._random_bytes(SECRET_BYTES)
        return self._make(token.subject, token.session_id, token.rotation + 1, secret)

    def chains(self, token: RefreshToken) -> bytes:
        """Return the concatenated digests of the next ``CHAIN_LENGTH`` successors, for each key."""
        return self._descend(token)[1]

    def successor_and_chains(self, token: RefreshToken) -> tuple[RefreshToken, bytes]:
        """Return what :meth:`successor` and :meth:`chains` return, with less work."""
        secret, chains = self._descend(token)
        return self._make(token.subject, token.session_id, token.rotation + 1, secret), chains

    def _descend(self, token: RefreshToken) -> tuple[bytes, bytes]:
        """Return the secret of the successor of ``token``, and the chains."""
        digests: list[bytes] = []
        first = b""
        for keyed in self._chains:
            secret = token.secret
            for rotation in range(token.rotation, token.rotation + CHAIN_LENGTH):
                # No token past the last number is ever presented; its digest is a placeholder.
                number = min(rotation, _LAST_ROTATION)
                code = keyed.copy()
                code.update(_LINK.pack(token.session_id, number, secret))
                secret = code.digest()
                first = first or secret
                digests.append(hashlib.sha256(secret).digest()[:DIGEST_BYTES])
        return first, b"".join(digests)

    def _make(
        self, subject: str, session_id: bytes, rotation: int, secret: bytes, key: int = 0
    ) -> RefreshToken:
        code = self._tags[key].copy()
        code.update(_VERSION_BYTE + _LINK.pack(session_id, rotation, secret) + subject.encode())
        return RefreshToken(subject, session_id, rotation, secret, code.digest()[:_TAG_BYTES])


def looks_like_refresh_token(token: str) -> bool:
    """Return whether ``token`` has the prefix of a refresh token; nothing is verified."""
    return token.startswith(_PREFIX)


def parse_refresh_token(token: object) -> RefreshToken:
    """Return the fields of ``token``, which is not authenticated here.

    :meth:`RefreshTokens.is_genuine` authenticates a parsed token. Raises InvalidRefreshToken with
    the reason ``malformed`` when ``token`` is not a refresh token.
    """
    if not isinstance(token, str) or len(token) > _LONGEST or not token.startswith(_PREFIX):
        raise InvalidRefreshToken(reason="malformed")
    try:
        data = decode_base64url(token[len(_PREFIX) :])
        version, session_id, rotation, secret, tag = _HEAD.unpack_from(data)
        subject = data[_HEAD.size :].decode("utf-8")
        check_subject(subject)
    except (ValueError, struct.error, InvalidInput):
        raise InvalidRefreshToken(reason="malformed") from None
    if version != _VERSION or rotation == _LAST_ROTATION:
        raise InvalidRefreshToken(reason="malformed")
    return RefreshToken(subject, session_id, rotation, secret, tag)


def _keyed(key: "SigningKey", purpose: str) -> hmac.HMAC:
    """Return an HMAC under a key derived for ``purpose``; it is copied for each message."""
    return hmac.new(key.derive_secret(purpose), digestmod="sha256")


def _digest(keyed: hmac.HMAC, message: bytes) -> bytes:
    code = keyed.copy()
    code.update(message)
    return code.digest()
