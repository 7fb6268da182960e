"""Signatures by a private key that this process does not have: in a KMS, an HSM or an agent."""

from inspect import iscoroutine
from typing import Final, Protocol, runtime_checkable

from clusterpass.model.errors import KeyRejected

_COORDINATE: Final = 32


@runtime_checkable
class Signer(Protocol):
    """Signs with a private key that stays where it is.

    It is called for each login and each refresh, in the thread or the event loop that asked for it,
    and may be called by several threads at once. What takes long (a KMS over the network) holds
    up an event loop for as long: prefer a local agent, or a manager in threads.
    """

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message`` as a JWS has it (RFC 7518 section 3).

        The message is not hashed yet. For ES256: SHA-256, then ECDSA; the 64 bytes of r and s, or
        the DER encoding of both that many services give. For RS256: PKCS #1 v1.5 over SHA-256. For
        EdDSA: Ed25519 without a hash. What it raises reaches the caller of the login.
        """
        ...


def in_jws_form(signature: object, algorithm: str) -> bytes:
    """Return ``signature`` as a JWS has it: that of ES256 may be DER, which is converted.

    Raises KeyRejected when it is neither, and when it is not bytes.
    """
    if not isinstance(signature, bytes | bytearray | memoryview):
        if iscoroutine(signature):
            signature.close()
            raise KeyRejected("a signer must not be a coroutine; its sign() returns the signature")
        raise KeyRejected(f"a signer returns bytes, and this one {type(signature).__name__}")
    signature = bytes(signature)
    if algorithm != "ES256" or len(signature) == 2 * _COORDINATE:
        return signature
    from cryptography.hazmat.primitives.asymmetric.utils import (  # noqa: PLC0415
        decode_dss_signature,
    )

    try:
        r, s = decode_dss_signature(signature)
        return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")
    except (ValueError, OverflowError):
        raise KeyRejected(
            f"the signer gave {len(signature)} bytes that are no signature of {algorithm}"
        ) from None
