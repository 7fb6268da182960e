"""Issues the tokens of a session that the store has accepted, with times by the store's clock."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from clusterpass.config import Config
from clusterpass.model.errors import ConfigurationError, StoreUnavailable
from clusterpass.model.values import TokenPair
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Stored
from clusterpass.sessions.authentication import authentications, name_of_step_up
from clusterpass.tokens.issuer import TokenIssuer
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import RefreshToken

_JITTER: Final = 0.05
_STEP_UP_BYTES: Final = 8


class Minting:
    """Issues the access and refresh tokens of one manager.

    A manager that has only public keys can verify but not issue tokens. Verbs that issue tokens
    call :meth:`require_private_key`, which raises ConfigurationError, before they send anything,
    and :meth:`require_open_key`, which raises StoreUnavailable, once the keys in the store are
    known as they are now.
    """

    def __init__(self, config: Config, random_bytes: Callable[[int], bytes]) -> None:
        """``random_bytes``: returns n unpredictable bytes."""
        self._config = config
        self._keys = config.keys
        self._random_bytes = random_bytes
        self._spread = int(config.access_lifetime * _JITTER) + 1
        self._issuer: TokenIssuer | None = None

    def require_private_key(self) -> None:
        """Raise ConfigurationError when there is no private key."""
        if self._issuer is None:
            _ = self._keys.signing_key

    def require_open_key(self) -> None:
        """Raise StoreUnavailable when the private half of the key does not open."""
        if self._issuer is None:
            self._make()

    def make_pair(
        self,
        token: RefreshToken,
        session_id: str,
        stored: Stored,
        record: LiveRecord,
        *,
        durable: bool,
    ) -> TokenPair:
        """Return the token pair of the session ``session_id``.

        ``token``: the refresh token, whose rotation says which step-up applies; ``durable``:
        whether a replica confirmed the write.
        """
        issuer = self._issuer or self._make()
        elevation, step_up = stored.elevation, None
        if elevation is not None and token.rotation >= elevation.first_rotation:
            step_up = name_of_step_up(elevation)
        elif elevation is not None:
            stored = replace(stored, elevation=None)
        shown = authentications(self._config, stored, record)[0]
        members: dict[str, Any] = {"auth_time": shown.time, "acr": shown.level}
        if step_up is not None:
            # Also after the step-up: the token stays one that was issued after it.
            members["step_up"] = step_up
        if shown.methods:
            members["amr"] = list(shown.methods)
        details = stored.details
        if details.actor is not None:
            members["act"] = {"sub": details.actor[0], "sid": details.actor[1]}
        # Up to 5 % shorter, so that clients that logged in together do not refresh together.
        lifetime = self._config.access_lifetime
        jitter = int.from_bytes(self._random_bytes(4), "big") % self._spread
        now = stored.now
        # A token must not outlive the authentication that it claims.
        expires_at = min(now + lifetime - jitter, record.ends_at, shown.ends_at)
        claims = {**details.claims, **stored.live_claims} if stored.live_claims else details.claims
        text = issuer.issue(
            token.subject,
            session_id,
            issued_at=now,
            expires_at=expires_at,
            claims=claims,
            authentication=members,
            rotation=token.rotation,
        )
        return TokenPair(
            text,
            token.encode(),
            expires_at - now,
            session_id,
            token.subject,
            durable,
            record.ends_at - now,
            shown.level,
        )

    def replace_keys(self, keys: KeyRing) -> None:
        """Sign with the first private key in ``keys`` from now on, if there is one that opens."""
        self._keys = keys
        try:
            self._make()
        except (ConfigurationError, StoreUnavailable):  # who issues a token is told
            self._issuer = None

    def new_step_up(self) -> bytes:
        """Return a random id for a step-up."""
        return self._random_bytes(_STEP_UP_BYTES)

    def _make(self) -> TokenIssuer:
        config, key = self._config, self._keys.signing_key
        key.require_open()
        self._issuer = issuer = TokenIssuer(
            key,
            issuer=config.issuer,
            audience=config.audience,
            client_id=config.client_id,
            random_bytes=self._random_bytes,
        )
        return issuer
