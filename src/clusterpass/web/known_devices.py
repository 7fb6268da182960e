"""Browsers and apps that a user has logged in with before, by a token that a login leaves there.

The page keeps it in a cookie, and an app in a header. It authenticates nobody: it gives attempts at
its user's account a counter of their own, so that strangers who guess cannot use them up. It holds
a random id, an expiry and an HMAC over both and the user's name as it was typed, under a secret
derived from the signing key; nothing is stored, and any worker can check it.
"""

import hashlib
import hmac
import re
import secrets
import time
from typing import Final

from clusterpass.tokens.keyring import KeyRing
from clusterpass.web.cookies import SameSite, own_cookie
from clusterpass.web.derived_secrets import derived_secrets

LIFETIME: Final = 90 * 86_400
"""Seconds for which a device is known after a login."""
DEVICE_HEADER: Final = "x-device-token"
"""The header in which a client that keeps no cookies gets the token, and sends it."""
_PURPOSE: Final = "known device"
_VALUE: Final = re.compile(r"([0-9a-f]{32})\.([0-9]{1,12})\.([0-9a-f]{64})")


class KnownDevices:
    """Makes and checks the tokens of one deployment."""

    def __init__(
        self,
        keys: KeyRing,
        refresh_secrets: tuple[str, ...] = (),
        *,
        secure: bool,
        path: str = "/",
        same_site: SameSite = "strict",
    ) -> None:
        """``secure``: whether browsers reach the site over HTTPS. ``path``, ``same_site``: of the
        cookie."""
        self.replace_keys(keys, refresh_secrets)
        self.cookie: Final = own_cookie("device", secure=secure, path=path, same_site=same_site)
        """The cookie that carries the token of a browser."""

    def replace_keys(self, keys: KeyRing, refresh_secrets: tuple[str, ...] = ()) -> None:
        """Make and accept tokens by these from now on."""
        self._secrets = derived_secrets(keys, refresh_secrets, _PURPOSE)

    def make(self, username: str, known: str | None = None) -> str:
        """Return the token for the device of a user who has just logged in.

        ``known``: the id of the device, if it was known before.
        """
        device_id = known if known is not None else secrets.token_hex(16)
        expiry = str(int(time.time()) + LIFETIME)
        return f"{device_id}.{expiry}.{_mac(self._secrets[0], device_id, expiry, username)}"

    def known(self, value: str, username: str) -> str | None:
        """Return the id of the device that sent ``value``; None unless its user is ``username``."""
        found = _VALUE.fullmatch(value)
        if found is None:
            return None
        device_id, expiry, mac = found.groups()
        fits = [
            hmac.compare_digest(mac, _mac(secret, device_id, expiry, username))
            for secret in self._secrets
        ]
        return device_id if any(fits) and time.time() < int(expiry) else None


def _mac(secret: bytes, device_id: str, expiry: str, username: str) -> str:
    text = f"{device_id}.{expiry}.{username}"
    return hmac.new(secret, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
