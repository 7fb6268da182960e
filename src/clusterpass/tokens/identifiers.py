"""The valid forms of subjects, session ids and device names."""

import binascii
import re
from typing import Final

from clusterpass.limits import LONGEST_DEVICE_BYTES, LONGEST_SUBJECT_BYTES
from clusterpass.model.authentication_errors import SessionUnknown
from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import AccessClaims

# 16 bytes in base64url without padding. Only two bits of the last character carry data; if the
# others could be set, one session id would have several encodings.
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
_ROTATION: Final = re.compile("[1-9][0-9]{0,9}")
_TO_STANDARD: Final = str.maketrans("-_", "+/")
_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_PLAIN: Final = re.compile(r"[ -~]{1,128}")
"""Texts that need no further check, as most are."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""The characters of the Unicode category Cc."""


def check_subject(subject: object) -> str:
    """Return ``subject`` if it is 1 to 255 bytes of UTF-8 text without control characters.

    Raises InvalidInput otherwise.
    """
    if isinstance(subject, str) and _PLAIN.fullmatch(subject):
        return subject
    return _check_text("subject", subject, LONGEST_SUBJECT_BYTES)


def check_device(device: object) -> str | None:
    """Return what is kept of ``device``: its first 128 bytes of UTF-8, in whole characters.

    An empty name counts as none: users name their devices, and a name must not keep them out.
    Raises InvalidInput when ``device`` is no text, or has control characters.
    """
    if device is None or device == "":
        return None
    if isinstance(device, str):
        device = _shortened(device, LONGEST_DEVICE_BYTES)
    return _check_text("device", device, LONGEST_DEVICE_BYTES)


def encode_session_id(session_id: bytes) -> str:
    """Encode the 16 bytes of a session id as the text that tokens and callers use."""
    encoded = binascii.b2a_base64(session_id, newline=False).rstrip(b"=")
    return encoded.translate(_TO_URL_SAFE).decode("ascii")


def decode_session_id(session_id: object) -> bytes | None:
    """Decode a session id to its 16 bytes; return None when the text is not a session id."""
    if not isinstance(session_id, str) or not _SESSION_ID.fullmatch(session_id):
        return None
    return binascii.a2b_base64(session_id.translate(_TO_STANDARD) + "==")


def session_of(claims: AccessClaims) -> bytes:
    """Return the 16 bytes of the session id in the claims of a verified token.

    Raises SessionUnknown when the claims name no valid session id or no valid subject.
    """
    session_id = decode_session_id(claims.session_id)
    try:
        check_subject(claims.subject)
    except InvalidInput:
        session_id = None
    if session_id is None:
        raise SessionUnknown
    return session_id


def rotation_of(claims: AccessClaims) -> int:
    """Return how many exchanges of refresh tokens came before a verified token was issued.

    0 also for tokens that do not tell.
    """
    number = claims.token_id.partition(".")[0]
    return int(number) if _ROTATION.fullmatch(number) else 0


def is_session_id(text: object) -> bool:
    """Return whether ``text`` has the form of a session id; such a session need not exist.

    No round trip.
    """
    return isinstance(text, str) and _SESSION_ID.fullmatch(text) is not None


def _shortened(text: str, longest: int) -> str:
    start = text[:longest]
    try:
        data = start.encode("utf-8")
    except UnicodeEncodeError:
        return start  # refused for that
    return start if len(data) <= longest else data[:longest].decode("utf-8", "ignore")


def _check_text(name: str, value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be a string")
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} is not valid Unicode text") from None
    if not 1 <= size <= longest:
        raise InvalidInput(f"{name} must take 1 to {longest} bytes in UTF-8, not {size}")
    if _CONTROL.search(value):
        raise InvalidInput(f"{name} must not contain control characters")
    return value
