"""Fingerprints of requests, which tell the repetition of a call from another call with the same id.

A fingerprint covers everything that decides what the call does. It does not cover the address,
which only the history shows, or values that a retry fills in after the first execution.
"""

import hashlib
from typing import Final

from clusterpass.model.reasons import RevocationReason
from clusterpass.protocol.actor_prefix import split_actor

FINGERPRINT_BYTES: Final = 8
"""Bytes of a fingerprint, as the store keeps it with the operation."""
NO_FINGERPRINT: Final = bytes(FINGERPRINT_BYTES)
"""What a call that takes no operation id sends in place of a fingerprint."""


def fingerprint(verb: str, *parts: str | bytes | int | None) -> bytes:
    """The first 8 bytes of the SHA-256 of ``verb`` and all ``parts``, in their order.

    Each part is encoded with its type and its length, so no two lists of parts encode alike.
    """
    digest = hashlib.sha256()
    for part in (verb, *parts):
        match part:
            case None:
                kind, value = b"n", b""
            case str():
                kind, value = b"s", part.encode()
            case int():
                kind, value = b"i", b"%d" % part
            case _:
                kind, value = b"b", part
        digest.update(kind + len(value).to_bytes(4, "big") + value)
    return digest.digest()[:FINGERPRINT_BYTES]


def of_end_session(
    subject: str, *, session_id: bytes, reason: RevocationReason, note: str
) -> bytes:
    """The fingerprint of a call that ends one session: a logout, a revocation or a repair.

    Who asks is no part of it: another process may repeat the call.
    """
    return fingerprint("end_session", subject, session_id, reason, split_actor(note)[1])


def of_end_all(
    subject: str,
    *,
    keep: bytes | None,
    reason: RevocationReason,
    device_type: str | None,
    note: str,
) -> bytes:
    """The fingerprint of a call that ends all sessions but ``keep``, or those of a device type.

    Who asks is no part of it: another process may repeat the call.
    """
    return fingerprint("end_all", subject, keep or None, reason, device_type, split_actor(note)[1])


def of_erase(subject: str) -> bytes:
    """The fingerprint of a call that erases what is known of a subject."""
    return fingerprint("erase", subject)


def of_ban(subject: str, *, scope: str, level: int, seconds: int, reason: str) -> bytes:
    """The fingerprint of a call that bans a subject."""
    return fingerprint("ban", subject, scope, level, seconds, reason)


def of_revoke_before(milliseconds: int | None) -> bytes:
    """The fingerprint of a cutoff, before which every session has ended."""
    return fingerprint("revoke_before", milliseconds)


def of_unban(subject: str, *, scope: str) -> bytes:
    """The fingerprint of a call that lifts a ban."""
    return fingerprint("unban", subject, scope)


def of_set_claims(subject: str, *, claims: bytes) -> bytes:
    """The fingerprint of a call that replaces the live claims of a subject."""
    return fingerprint("set_claims", subject, claims)
