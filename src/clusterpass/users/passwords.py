"""Password hashes: argon2id (RFC 9106) with the parameters that OWASP recommends.

- A password is hashed in the form of RFC 8265 (OpaqueString), so that it matches however a keyboard
  composes its letters. Nothing is trimmed, and its case counts.
- Hashes of passwords exactly as they were typed, which earlier releases made, still match.
- Checking a password for a user who does not exist takes as long as for one who does.
- No message, ``repr`` or error holds a password or a hash.
"""

import base64
import secrets
from typing import Final

from clusterpass.limits import LONGEST_PASSWORD_BYTES, SHORTEST_NEW_PASSWORD
from clusterpass.model.errors import (
    ClusterPassError,
    ConfigurationError,
    InvalidInput,
    PasswordRefused,
    StoreFailed,
)

_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_EXHAUSTIONS: Final = (-22, -33)
"""argon2's errors about memory and threads; the others that a check meets are about the hash."""


class PasswordHasher:
    """Hashes and checks passwords; safe to share between threads.

    One call keeps a CPU core busy for some hundredths of a second and takes ``memory_kib`` of
    memory, so it must not run on an event loop.
    """

    def __init__(self, *, memory_kib: int = 46 * 1024, passes: int = 1, lanes: int = 1) -> None:
        """``memory_kib``: KiB per hash; ``passes``, ``lanes``: argon2's time and parallelism.

        Raises ConfigurationError when a value is too small, and when argon2-cffi is not installed.
        """
        try:
            import argon2  # noqa: PLC0415 (only the extra installs it)
            from argon2 import low_level  # noqa: PLC0415
        except ModuleNotFoundError:
            raise ConfigurationError(
                'passwords need argon2-cffi; install it with: pip install "clusterpass[server]"'
            ) from None
        self._errors: Final = argon2.exceptions
        # argon2-cffi tells its errors apart by their text alone.
        self._exhaustions: Final = frozenset(map(low_level.error_to_str, _EXHAUSTIONS))
        if memory_kib < 8 * lanes or passes < 1 or lanes < 1:
            raise ConfigurationError(
                "argon2id needs passes >= 1, lanes >= 1 and at least 8 KiB of memory for each lane"
            )
        self._hasher = argon2.PasswordHasher(
            time_cost=passes,
            memory_cost=memory_kib,
            parallelism=lanes,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        # A hash with random bytes as its output, which no password matches.
        self._dummy: Final = (
            f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}"
            f"${_unpadded(secrets.token_bytes(_SALT_BYTES))}"
            f"${_unpadded(secrets.token_bytes(_HASH_BYTES))}"
        )

    def hash(self, password: str) -> str:
        """Return the hash of a new password, with its salt and parameters.

        Raises InvalidInput when the password is not 8 characters to 1024 bytes of text.
        """
        check_new_password(password)
        return self._hasher.hash(check_new_password(prepare_password(password)))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether ``password`` matches ``password_hash``.

        ``password_hash``: None for a user who does not exist; the check then takes as long and
        returns False. Raises InvalidInput when ``password`` cannot be a password, StoreFailed when
        the hash cannot be parsed, and ClusterPassError when argon2 gets no memory or no threads.
        """
        typed = check_password(password)
        prepared = prepare_password(password).encode("utf-8")
        fits = self._matches(password_hash, prepared)
        if prepared != typed:
            # Always both, so that the time tells nothing about which one fits.
            fits = self._matches(password_hash, typed) or fits
        return fits and password_hash is not None

    def is_as_typed(self, password_hash: str, password: str) -> bool:
        """Return whether the hash of ``password``, which fits, is not of its prepared form.

        Hashes no password whose two forms are one, as nearly all are.
        """
        prepared = prepare_password(password)
        return prepared != password and not self._matches(password_hash, prepared.encode("utf-8"))

    def _matches(self, password_hash: str | None, data: bytes) -> bool:
        try:
            return self._hasher.verify(password_hash or self._dummy, data)
        except self._errors.VerifyMismatchError:
            return False
        except self._errors.InvalidHashError:
            raise StoreFailed("A stored password hash cannot be read") from None
        except self._errors.VerificationError as error:
            if str(error) not in self._exhaustions:
                raise StoreFailed("A stored password hash cannot be read") from None
            # The password may be correct.
            raise ClusterPassError(
                "The password could not be checked; the server may be out of memory."
            ) from None

    def needs_rehash(self, password_hash: str) -> bool:
        """Return whether ``password_hash`` was made with other parameters than those in force.

        Raises StoreFailed when the hash cannot be parsed.
        """
        try:
            return self._hasher.check_needs_rehash(password_hash)
        except self._errors.InvalidHashError:
            raise StoreFailed("A stored password hash cannot be read") from None


def check_password(password: object) -> bytes:
    """Return the UTF-8 bytes of ``password`` if there are 1 to 1024; raise InvalidInput if not."""
    if not isinstance(password, str):
        raise InvalidInput("password must be a string")
    try:
        data = password.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput("password is not valid Unicode text") from None
    if not 1 <= len(data) <= LONGEST_PASSWORD_BYTES:
        raise InvalidInput(f"password must take 1 to {LONGEST_PASSWORD_BYTES} bytes in UTF-8")
    return data


def check_new_password(password: object, shortest: int = SHORTEST_NEW_PASSWORD) -> bytes:
    """Return the UTF-8 bytes of a new password if it has at least ``shortest`` characters.

    Raises PasswordRefused otherwise, and InvalidInput for more than 1024 bytes.
    """
    data = check_password(password)
    if len(data.decode("utf-8")) < shortest:
        raise PasswordRefused(
            f"password must have at least {shortest} characters", reason="too_short"
        )
    return data


def prepare_password(password: str) -> str:
    """Return ``password`` in the form that is hashed: OpaqueString (RFC 8265 section 4.2).

    Letters are composed (NFC), and every kind of space is the one of ASCII. A password that the
    profile forbids, such as one with control characters, stays as it is. Raises ConfigurationError
    when precis-i18n is not installed.
    """
    if password.isascii():
        return password  # the profile changes none
    try:
        from precis_i18n import get_profile  # noqa: PLC0415 (only the extra installs it)
    except ModuleNotFoundError:
        raise ConfigurationError(
            'passwords need precis-i18n; install it with: pip install "clusterpass[server]"'
        ) from None
    try:
        return get_profile("OpaqueString").enforce(password)
    except UnicodeEncodeError:
        return password


def _unpadded(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode("ascii")
