"""The state of a worker that all calls share: settings, session manager, authenticator, gate."""

from dataclasses import dataclass, field
from typing import Any

from clusterpass import (
    AsyncSessionManager,
    ClusterPassError,
    Config,
    StoreUnavailable,
)
from clusterpass.service.asgi.request_body import BodyReader
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.asgi.trace_context import Traces
from clusterpass.service.calls.hand_over import HandOvers
from clusterpass.service.calls.page_gate import PageGate
from clusterpass.service.calls.password_check import Authenticator
from clusterpass.service.calls.proxy_cookie import ProxyCookies
from clusterpass.service.mail import Sender
from clusterpass.service.settings.service import Settings
from clusterpass.web.known_devices import KnownDevices


@dataclass(frozen=True, slots=True)
class Service:
    """The settings, the session manager, and what is derived from them."""

    settings: Settings
    sessions: AsyncSessionManager
    authenticator: Authenticator
    jwks: dict[str, list[dict[str, Any]]]
    gate: PageGate
    devices: KnownDevices
    bodies: BodyReader
    mail: Sender | None
    """What sends one-time links; None where nothing does."""
    proxy_cookies: ProxyCookies | None = None
    """The cookies of browsers behind proxies; None where no browser is led to the page."""
    requests: RequestCounts = field(default_factory=RequestCounts)
    traces: Traces | None = None
    """Makes spans of requests; None where nothing is traced."""
    hand_overs: HandOvers | None = None
    """The codes for hosts of other domains; None where there are no such hosts."""

    async def subject_of(self, name: str) -> str:
        """Return the subject whom an administrator means by ``name``, however it is spelt.

        Where a function of the operator's checks passwords, names are that function's affair.
        """
        users = self.authenticator.users
        return name if users is None else await users.subject_of(name)

    async def is_known(self, subject: str) -> bool | None:
        """Return whether the directory has the user ``subject``; None where there is no directory,
        or it cannot be asked."""
        users = self.authenticator.users
        if users is None:
            return None
        try:
            found = await users.find(subject)
        except StoreUnavailable:
            return None
        return found is not None and found.name == subject

    async def note_refusal(
        self, action: str, error: ClusterPassError, *, subject: str | None = None, **details: str
    ) -> None:
        """Note in the audit trail that ``action`` was refused with ``error``.

        ``subject``: to whom it was to be done. Does nothing where no trail is kept.
        """
        if self.settings.audit:
            await self.sessions.audit.note(
                action,
                subject=subject,
                outcome="refused",
                error=error.code,
                details=details or None,
                sparing=True,
            )

    def replace_keys(self, config: Config) -> None:
        """Go on with the keys of ``config``; all else in it is as before.

        Raises ConfigurationError, and has changed nothing then.
        """
        keys = config.keys
        self.sessions.replace_keys(keys)
        if self.gate.csrf is not None:
            self.gate.csrf.replace_keys(keys, config.shared_secrets)
        self.devices.replace_keys(keys, config.shared_secrets)
        if self.proxy_cookies is not None:
            self.proxy_cookies.replace_keys(config)
        if self.hand_overs is not None:
            self.hand_overs.replace_keys(config)
        self.jwks["keys"] = keys.public_jwks()["keys"]
