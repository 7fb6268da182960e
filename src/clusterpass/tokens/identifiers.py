"""What may serve as a subject, a session id or a device name."""

import binascii
import re
from typing import Final

from clusterpass.limits import LONGEST_DEVICE_BYTES, LONGEST_SUBJECT_BYTES
from clusterpass.model.authentication_errors import SessionUnknown
from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import AccessClaims

# 16 bytes in base64url without padding. Of the last character only two bits count; with the others
# set, one session id would have several spellings.
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
_TO_STANDARD: Final = str.maketrans("-_", "+/")
_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""The characters of the Unicode category Cc."""


def check_subject(subject: object) -> str:
    """``subject`` itself: text of 1 to 255 bytes in UTF-8 without control characters.

    Raises InvalidInput otherwise.
    """
    return _check_text("subject", subject, LONGEST_SUBJECT_BYTES)


def check_device(device: object) -> str | None:
    """``device`` itself: None, or text of 1 to 128 bytes in UTF-8 without control characters.

    Raises InvalidInput otherwise.
    """
    return None if device is None else _check_text("device", device, LONGEST_DEVICE_BYTES)


def encode_session_id(session_id: bytes) -> str:
    """The 16 bytes of a session id as the text that tokens and callers carry."""
    encoded = binascii.b2a_base64(session_id, newline=False).rstrip(b"=")
    return encoded.translate(_TO_URL_SAFE).decode("ascii")


def decode_session_id(session_id: object) -> bytes | None:
    """The 16 bytes of a session id, or None when the text cannot be one."""
    if not isinstance(session_id, str) or not _SESSION_ID.fullmatch(session_id):
        return None
    return binascii.a2b_base64(session_id.translate(_TO_STANDARD) + "==")


def session_of(claims: AccessClaims) -> bytes:
    """The session id of a genuine token; raises SessionUnknown when it can be none of ours."""
    session_id = decode_session_id(claims.session_id)
    try:
        check_subject(claims.subject)
    except InvalidInput:
        session_id = None
    if session_id is None:
        raise SessionUnknown
    return session_id


def is_session_id(text: object) -> bool:
    """Whether ``text`` has the form of a session id. No round trip: no session need have it."""
    return isinstance(text, str) and _SESSION_ID.fullmatch(text) is not None


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
        raise InvalidInput(f"{name} must not hold control characters")
    return value
