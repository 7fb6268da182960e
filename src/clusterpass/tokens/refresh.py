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

Version 2 has no secret id, and its keys are derived from the private signing keys. Such tokens are
accepted while their signing key is in the ring, and lead to tokens of version 3. While the release
before runs beside this one (``Config.compatibility``), tokens of version 2 are written.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from clusterpass.model.authentication_errors import InvalidRefreshToken
from clusterpass.model.errors import InvalidInput
from clusterpass.tokens.encoding import decode_base64url, encode_base64url
from clusterpass.tokens.identifiers import check_subject
from clusterpass.tokens.refresh_secrets import RefreshSecret, hmac_of, keyed_hmac

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
    digest: bytes = field(default=b"", repr=False)
    """The first 16 bytes of the secret's SHA-256, which the store keeps; reckoned if not given."""

    def __post_init__(self) -> None:
        if not self.digest:
            self.digest = _digest(self.secret)

    def encode(self) -> str:
        """Return the token as the text that clients hold."""
        fields = (self.session_id, self.rotation, self.secret, self.tag)
        if self.secret_id:
            head = _HEAD.pack(_VERSION, self.secret_id, *fields)
        else:
            head = _HEAD_2.pack(_VERSION_2, *fields)
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
        for_previous: bool = False,
    ) -> None:
        """``secrets``: at least one; the first makes tokens. ``random_bytes``: returns n
        unpredictable bytes. ``issuer`` and ``audience``: what tokens are bound to. ``older_keys``:
        the private keys from which the keys of version 2 were derived. ``for_previous``: the first
        of those keys makes tokens, of version 2, as long as there is one.
        """
        self._secrets: Final = tuple(secrets)
        self._by_id: Final = {each.id: each for each in self._secrets}
        self._binding: Final = hashlib.sha256(f"{issuer}\0{audience}".encode()).digest()
        self._older_keys: Final = older_keys
        self._for_previous: Final = for_previous and bool(older_keys)
        self._random_bytes = random_bytes

    def first(self, subject: str, session_id: bytes) -> RefreshToken:
        """Return the first refresh token of a new session."""
        return self._make(subject, session_id, 0, self._random_bytes(SECRET_BYTES))

    def first_of(self, subject: str, session_id: bytes, exchanged: bytes) -> list[RefreshToken]:
        """Return the first refresh tokens of a session, as each secret and key derives it.

        ``exchanged``: the SHA-256 of the token of another issuer that is exchanged for the session.
        """
        return [
            self._make(subject, session_id, 0, hmac_of(each.exchange, session_id + exchanged), each)
            for each in self._all(is_older=self._for_previous)
        ]

    def knows(self, token: RefreshToken) -> bool:
        """Return whether the secret of ``token`` is known; nothing is verified."""
        return not token.secret_id or token.secret_id in self._by_id

    def is_genuine(self, token: RefreshToken) -> bool:
        """Return whether the tag of ``token`` was made with one of the secrets, and for us."""
        link = _LINK.pack(token.session_id, token.rotation, token.secret)
        known = self._by_id.get(token.secret_id)
        for each in (known,) if known else () if token.secret_id else self._older:
            if compare_digest(self._tag(each, link, token.subject), token.tag):
                return True
        return False

    def successor(self, token: RefreshToken, *, key: int = 0) -> RefreshToken:
        """Return the successor of ``token`` that the secret number ``key`` derives."""
        link = _LINK.pack(token.session_id, token.rotation, token.secret)
        by = self._all(is_older=not token.secret_id)[key]
        secret = hmac_of(by.chain, link)
        return self._make(token.subject, token.session_id, token.rotation + 1, secret, by)

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
        successor = self._make(
            token.subject,
            token.session_id,
            token.rotation + 1,
            secret,
            digest=chains[:DIGEST_BYTES],
        )
        return successor, chains

    @cached_property
    def _older(self) -> tuple[RefreshSecret, ...]:
        """What makes and accepts tokens of version 2; derived when the first one comes."""
        return tuple(_of_signing_key(key) for key in self._older_keys)

    def _all(self, *, is_older: bool) -> tuple[RefreshSecret, ...]:
        """Return all that may derive a token, in the order in which they are numbered.

        ``is_older``: whether it is the successor of a token of version 2. The release before
        derives that one with the first signing key, and beside it so does this one.
        """
        if is_older and self._for_previous:
            return (*self._older, *self._secrets)
        return (*self._secrets, *self._older)

    def _descend(self, token: RefreshToken) -> tuple[bytes, bytes]:
        """Return the secret of the successor of ``token``, and the chains."""
        digests: list[bytes] = []
        first = b""
        for each in self._secrets if token.secret_id else self._all(is_older=True):
            secret = token.secret
            for rotation in range(token.rotation, token.rotation + CHAIN_LENGTH):
                # No token past the last number is ever presented; its digest is a placeholder.
                number = min(rotation, _LAST_ROTATION)
                secret = hmac_of(each.chain, _LINK.pack(token.session_id, number, secret))
                first = first or secret
                digests.append(_digest(secret))
        return first, b"".join(digests)

    def _make(
        self,
        subject: str,
        session_id: bytes,
        rotation: int,
        secret: bytes,
        by: RefreshSecret | None = None,
        *,
        digest: bytes = b"",
    ) -> RefreshToken:
        """``by``: what has derived ``secret``, and makes the tag too, so that every server gives
        the same text, unless that would be of the version that is not written. ``digest``: that of
        ``secret``, if it is known."""
        if by is None or bool(by.id) is self._for_previous:
            by = self._older[0] if self._for_previous else self._secrets[0]
        tag = self._tag(by, _LINK.pack(session_id, rotation, secret), subject)
        return RefreshToken(subject, session_id, rotation, secret, tag, by.id, digest)

    def _tag(self, secret: RefreshSecret, link: bytes, subject: str) -> bytes:
        if secret.id:
            message = _VERSION_BYTE + secret.id + link + self._binding + subject.encode()
        else:
            message = _VERSION_BYTE_2 + link + subject.encode()
        return hmac_of(secret.tag, message)[:_TAG_BYTES]


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


def _of_signing_key(key: "SigningKey") -> RefreshSecret:
    """Return what the private half of a signing key makes tokens of version 2 with."""

    tag, chain, exchange = (
        keyed_hmac(key.derive_secret(purpose))
        for purpose in ("refresh token tag", "refresh token successor", "exchanged token")
    )
    return RefreshSecret(b"", b"", tag, chain, exchange)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()[:DIGEST_BYTES]
