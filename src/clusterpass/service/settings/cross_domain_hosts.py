"""Cross-domain sign-in: its paths, and the hosts that ``authz_hand_over_hosts`` may name."""

from collections.abc import Sequence
from typing import Final

PREFIX: Final = "/_clusterpass/"
"""What the proxy of such a host passes to the service."""
BEGIN: Final = f"{PREFIX}begin"
"""Where a browser leaves its host for the portal."""
FINISH: Final = f"{PREFIX}session"
"""Where it comes back with a code."""


def check_hand_over_hosts(
    hosts: Sequence[str], portal_host: str, domain: str | None, accepted: Sequence[str]
) -> None:
    """Return if sessions can be handed over to ``hosts``; raise ValueError if not.

    ``portal_host``: without a port. ``domain``: that of the portal's cookie. ``accepted``: the
    setting hosts.
    """
    for authority in hosts:
        host = authority.partition(":")[0]
        if host == portal_host or (domain is not None and f".{host}".endswith(f".{domain}")):
            raise ValueError(
                f"authz_hand_over_hosts: {authority} receives the cookie of the portal; list it in"
                " authz_hosts"
            )
        if accepted and not {host, authority} & {*accepted}:
            raise ValueError(
                f"authz_hand_over_hosts: the setting hosts does not list {authority}, so that it"
                " would be refused"
            )
