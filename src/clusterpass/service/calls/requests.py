"""Reads a request's client address and Idempotency-Key, and writes its subject to the log."""

import hashlib
import json
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from clusterpass import (
    InvalidInput,
    Session,
)
from clusterpass.service.asgi.messages import Scope, header_values
from clusterpass.service.calls.worker_state import Service
from clusterpass.web.client_address import client_address

_LONGEST_KEY: Final = 128
_LONGEST_NAME: Final = 100
"""Characters of a user name that are logged."""


def address_of(service: Service, scope: Scope) -> str | None:
    """Return the client's IP address, as trusted proxies report it."""
    return address_by(service.gate.settings.networks, scope)


def address_by(networks: Sequence[IPv4Network | IPv6Network], scope: Scope) -> str | None:
    """Return the client's IP address, as the proxies in ``networks`` report it."""
    client = scope.get("client")
    forwarded = header_values(scope, b"x-forwarded-for")
    return client_address(client[0] if client else None, forwarded, networks)


def operation_id_of(scope: Scope, *caller: str) -> str | None:
    """Return an operation id derived from the ``Idempotency-Key`` of a request, if it has one.

    The id identifies the caller, the method, the path and the key, so callers may choose equal
    keys. The store compares the rest of the request, the query and the body, as far as it decides
    what is done, and refuses another request with the same id
    (draft-ietf-httpapi-idempotency-key-header, section 2.7). Raises InvalidInput.
    """
    keys = header_values(scope, b"idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not 1 <= len(keys[0]) <= _LONGEST_KEY:
        raise InvalidInput(f"Send Idempotency-Key once, with 1 to {_LONGEST_KEY} bytes.")
    named = json.dumps([*caller, scope["method"], scope["path"], keys[0]])
    return hashlib.sha256(named.encode("ascii")).hexdigest()[:16]


def log_attempt(fields: dict[str, Any], username: str, address: str | None) -> None:
    """Add to a log line who could not log in, for programs that count these by the address.

    ``address``: the client's.
    """
    if address is not None:
        fields["client"] = address
    shown = username[:_LONGEST_NAME]
    # A terminal that shows the log would obey control characters.
    fields["attempted_subject"] = "".join(c if c.isprintable() else "\ufffd" for c in shown)


def actor_of(session: Session) -> str:
    """Return who acts in ``session``: its subject, or the actor of an impersonation."""
    return session.subject if session.act is None else session.act.subject


def log_session(fields: dict[str, Any], session: Session) -> None:
    """Add the subject of ``session`` to a log line, and the actor of an impersonation."""
    fields["subject"] = session.subject
    if session.act is not None:
        fields["actor"] = session.act.subject
