"""Refresh tokens: opaque to clients, with a 256-bit secret and the subject that locates the slot.

    "cpr_" base64url( version 3 | secret id 4 | session id 16 | rotation 4 | secret 32 | tag 16 |
                      subject 1..255 )

- The store keeps 16 bytes of the secret's SHA-256, never the secret, so a dump of the store yields
  no usable token.
- ``rotation`` counts the exchanges before this token.
- ``tag`` is an HMAC over all other fields, the issuer and the audience, under a key derived from
  the server's refresh secret that ``secret id`` names. A forged token is rejected without asking
  the store, and cannot end a session. Nor is a token of another service that shares the store
  accepted (RFC 9700 section 2.2.2).
- The secret of a login is random. The secret of a successor is an HMAC of its predecessor's, under
  another derived key: a client that presents one token twice gets the same successor both times,
  and the store need not keep it.
- The first secret of a session that another issuer opened is an HMAC of the token that is exchanged
  for it, so that two tabs which exchange it at once get the same.

Version 2 had no secret id, and the keys were derived from the private signing keys. Such tokens are
accepted while their signing key is in the ring, and lead to tokens of version 3.
"""

import hashlib
import hmac
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from clusterpass.model.authentication_errors import InvalidRefreshToken
from clusterpass.model.errors import InvalidInput
from clusterpass.tokens.encoding import decode_base64url, encode_base64url
from clusterpass.tokens.identifiers import check_subject
from clusterpass.tokens.refresh_secrets import RefreshSecret

if TYPE_CHECKING:
    from clusterpass.tokens.keys import SigningKey

_PREFIX: Final = "cpr_"
_VERSION: Final = 3
_VERSION_BYTE: Final = bytes([_VERSION])
_HEAD: Final = struct.Struct(">B4s16sI32s16s")
_VERSION_2: Final = 2
_VERSION_BYTE_2: Final = bytes([_VERSION_2])
_HEAD_2: Final = struct.Struct(">B16sI32s16s")
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
    secret_id: bytes = b""
    """The id of the server's refresh secret; empty in a token of version 2."""
    digest: bytes = field(init=False, repr=False)
    """The first 16 bytes of the secret's SHA-256, which the store keeps."""

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256(self.secret).digest()[:DIGEST_BYTES]

    def encode(self) -> str:
        """Return the token as the text that clients hold."""
        head = _HEAD.pack(
            _VERSION, self.secret_id, self.session_id, self.rotation, self.secret, self.tag
        )
        return _PREFIX + encode_base64url(head + self.subject.encode())


class RefreshTokens:
    """Creates refresh tokens, authenticates them, and derives their successors."""

    def __init__(
        self,
        secrets: Sequence[RefreshSecret],
        random_bytes: Callable[[int], bytes],
        *,
        issuer: str = "",
        audience: str = "",
        older_keys: "Sequence[SigningKey]" = (),
    ) -> None:
        """``secrets``: at least one; the first makes tokens. ``random_bytes``: returns n
        unpredictable bytes. ``issuer`` and ``audience``: what tokens are bound to. ``older_keys``:
        the private keys from which the keys of version 2 were derived.
        """
        self._secrets: Final = tuple(secrets)
        self._by_id: Final = {each.id: each for each in self._secrets}
        self._binding: Final = hashlib.sha256(f"{issuer}\0{audience}".encode()).digest()
        self._older: Final = _OlderKeys(older_keys)
        self._random_bytes = random_bytes

    def first(self, subject: str, session_id: bytes) -> RefreshToken:
        """Return the first refresh token of a new session."""
        return self._make(subject, session_id, 0, self._random_bytes(SECRET_BYTES))

    def first_of(self, subject: str, session_id: bytes, exchanged: bytes) -> list[RefreshToken]:
        """Return the first refresh tokens of a session, as each secret derives it.

        ``exchanged``: the SHA-256 of the token of another issuer that is exchanged for the session.
        """
        return [
            self._make(subject, session_id, 0, _digest(each.exchange, session_id + exchanged))
            for each in self._secrets
        ]

    def knows(self, token: RefreshToken) -> bool:
        """Return whether the secret of ``token`` is known; nothing is verified."""
        return not token.secret_id or token.secret_id in self._by_id

    def is_genuine(self, token: RefreshToken) -> bool:
        """Return whether the tag of ``token`` was made with one of the secrets, and for us."""
        link = _LINK.pack(token.session_id, token.rotation, token.secret)
        if not token.secret_id:
            return self._older.has_made(token.tag, link, token.subject)
        secret = self._by_id.get(token.secret_id)
        if secret is None:
            return False
        return hmac.compare_digest(self._tag(secret, link, token.subject), token.tag)

    def successor(self, token: RefreshToken, *, key: int = 0) -> RefreshToken:
        """Return the successor of ``token`` that the secret number ``key`` derives."""
        link = _LINK.pack(token.session_id, token.rotation, token.secret)
        secret = _digest(self._chains(token)[key], link)
        return self._make(token.subject, token.session_id, token.rotation + 1, secret)

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

    def _chains(self, token: RefreshToken) -> list[hmac.HMAC]:
        """Return what may have derived the successors of ``token``."""
        chains = [each.chain for each in self._secrets]
        return chains if token.secret_id else [*chains, *self._older.chains]

    def _descend(self, token: RefreshToken) -> tuple[bytes, bytes]:
        """Return the secret of the successor of ``token``, and the chains."""
        digests: list[bytes] = []
        first = b""
        for keyed in self._chains(token):
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

    def _make(self, subject: str, session_id: bytes, rotation: int, secret: bytes) -> RefreshToken:
        by = self._secrets[0]
        tag = self._tag(by, _LINK.pack(session_id, rotation, secret), subject)
        return RefreshToken(subject, session_id, rotation, secret, tag, by.id)

    def _tag(self, secret: RefreshSecret, link: bytes, subject: str) -> bytes:
        code = secret.tag.copy()
        code.update(_VERSION_BYTE + secret.id + link + self._binding + subject.encode())
        return code.digest()[:_TAG_BYTES]


class _OlderKeys:
    """What private signing keys made of tokens of version 2; derived when the first one comes."""

    def __init__(self, keys: "Sequence[SigningKey]") -> None:
        self._keys = keys

    @cached_property
    def chains(self) -> list[hmac.HMAC]:
        """What derived the successors, for each key."""
        return [_keyed(key, "refresh token successor") for key in self._keys]

    @cached_property
    def _tags(self) -> list[hmac.HMAC]:
        return [_keyed(key, "refresh token tag") for key in self._keys]

    def has_made(self, tag: bytes, link: bytes, subject: str) -> bool:
        """Whether one of the keys made the tag of a token of version 2."""
        signed = _VERSION_BYTE_2 + link + subject.encode()
        return any(
            hmac.compare_digest(_digest(keyed, signed)[:_TAG_BYTES], tag) for keyed in self._tags
        )


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
        version, subject = data[0], ""
        if version == _VERSION:
            _, secret_id, session_id, rotation, secret, tag = _HEAD.unpack_from(data)
            subject = data[_HEAD.size :].decode("utf-8")
        else:
            _, session_id, rotation, secret, tag = _HEAD_2.unpack_from(data)
            subject, secret_id = data[_HEAD_2.size :].decode("utf-8"), b""
        check_subject(subject)
    except (ValueError, IndexError, struct.error, InvalidInput):
        raise InvalidRefreshToken(reason="malformed") from None
    if version not in {_VERSION, _VERSION_2} or rotation == _LAST_ROTATION:
        raise InvalidRefreshToken(reason="malformed")
    return RefreshToken(subject, session_id, rotation, secret, tag, secret_id)


def _keyed(key: "SigningKey", purpose: str) -> hmac.HMAC:
    """Return an HMAC under a key derived for ``purpose``; it is copied for each message."""
    return hmac.new(key.derive_secret(purpose), digestmod="sha256")


def _digest(keyed: hmac.HMAC, message: bytes) -> bytes:
    code = keyed.copy()
    code.update(message)
    return code.digest()
