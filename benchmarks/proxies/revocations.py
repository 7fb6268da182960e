"""Measures how long a revoked session still passes through a proxy."""

import http.client
import time
from typing import Final

from tests.proxies.programs import HOST

from clusterpass import SessionManager

_PATIENCE: Final = 10.0
_ALLOWED: Final = 3
"""Requests that pass before the revocation: the session is then in the memory of the worker."""


def seconds_passed(port: int, manager: SessionManager, name: str, count: int) -> list[float]:
    """Revoke ``count`` sessions, one after the other, and ask through the proxy at ``port``.

    Returns, for each, the seconds from the acknowledgement of the revocation to the last answer
    that let the session pass; 0 where the first one refused it. ``name``: of the proxy. Raises
    RuntimeError when an answer is neither, or when a session passes for ten seconds.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        return [_passed(connection, manager, f"{name}-{number}") for number in range(count)]
    finally:
        connection.close()


def _passed(connection: http.client.HTTPConnection, manager: SessionManager, subject: str) -> float:
    pair = manager.login(subject)
    for _ in range(_ALLOWED):
        if not _passes(connection, pair.access_token):
            raise RuntimeError("a new session was refused")
    manager.revoke(subject, pair.session_id)
    acknowledged = last = time.monotonic()
    while _passes(connection, pair.access_token):
        last = time.monotonic()
        if last - acknowledged > _PATIENCE:
            raise RuntimeError("a revoked session passes for ever")
    return last - acknowledged


def _passes(connection: http.client.HTTPConnection, token: str) -> bool:
    connection.request("GET", "/", headers={"Host": HOST, "Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status not in (200, 401):
        raise RuntimeError(f"the proxy answered with {answer.status}: {body[:200]!r}")
    return answer.status == 200
