"""What may serve as a subject, a session id or a device name."""

import unicodedata

from clusterpass.limits import LONGEST_DEVICE_BYTES, LONGEST_SUBJECT_BYTES
from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import SESSION_ID_BYTES
from clusterpass.tokens.encoding import decode_base64url, encode_base64url


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
    return encode_base64url(session_id)


def decode_session_id(session_id: object) -> bytes | None:
    """The 16 bytes of a session id, or None when the text cannot be one."""
    if not isinstance(session_id, str) or len(session_id) != 22:
        return None
    try:
        data = decode_base64url(session_id)
    except ValueError:
        return None
    return data if len(data) == SESSION_ID_BYTES else None


def _check_text(name: str, value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be a string")
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} is not valid Unicode text") from None
    if not 1 <= size <= longest:
        raise InvalidInput(f"{name} must take 1 to {longest} bytes in UTF-8, not {size}")
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise InvalidInput(f"{name} must not hold control characters")
    return value


def is_session_id(text: object) -> bool:
    """Whether ``text`` has the form of a session id; no round trip."""
    return isinstance(text, str) and decode_session_id(text) is not None
