"""What the calls work with; created when a worker starts."""

from dataclasses import dataclass, field
from typing import Any

from clusterpass import (
    AsyncSessionManager,
)
from clusterpass.service.asgi.request_body import BodyReader
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.asgi.trace_ids import Traces
from clusterpass.service.calls.page_gate import PageGate
from clusterpass.service.calls.password_check import Authenticator
from clusterpass.service.calls.proxy_cookie import ProxyCookies
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
    proxy_cookies: ProxyCookies | None = None
    """The cookies of browsers behind proxies; None where no browser is led to the page."""
    requests: RequestCounts = field(default_factory=RequestCounts)
    traces: Traces | None = None
    """Makes spans of requests; None where nothing is traced."""
