"""The client that prepares a load: it logs in, and checks that a logout takes effect."""

import http.client
import json
from collections.abc import Mapping
from typing import Final

_JSON: Final = {"Content-Type": "application/json"}
_PATIENCE: Final = 10.0


class Visitor:
    """A connection to a server that logs in with ``POST /login``."""

    def __init__(self, port: int, credentials: Mapping[str, str] | None = None) -> None:
        """``credentials``: the body of a login, if the server expects one."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        self._body = json.dumps(credentials).encode() if credentials is not None else b""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def log_in(self) -> str:
        """The header of a new session: its bearer token, or its cookies."""
        status, headers, body = self._ask("POST", "/login", _JSON if self._body else {}, self._body)
        if status != 200:
            raise RuntimeError(f"the login was answered with {status}: {body[:200]!r}")
        cookies = [
            value.partition(";")[0] for name, value in headers if name.lower() == "set-cookie"
        ]
        if cookies:
            return f"Cookie: {'; '.join(cookies)}"
        return f"Authorization: Bearer {json.loads(body)['access_token']}"

    def verify(self, header: str) -> int:
        """The status of ``GET /verify``; ``header`` may be empty."""
        return self._ask("GET", "/verify", _as_mapping(header))[0]

    def notices_logout(self) -> bool:
        """Whether a session is refused once it was logged out."""
        header = self.log_in()
        if self.verify("") != 401:
            raise RuntimeError("a request without a session was not refused")
        if (status := self.verify(header)) != 200:
            raise RuntimeError(f"a new session was answered with {status}")
        status, _, body = self._ask("POST", "/logout", _as_mapping(header))
        if status not in (200, 204):
            raise RuntimeError(f"the logout was answered with {status}: {body[:200]!r}")
        return self.verify(header) == 401

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        self._connection.request(method, path, body=body or None, headers=dict(headers))
        answer = self._connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()


def _as_mapping(header: str) -> dict[str, str]:
    name, _, value = header.partition(": ")
    return {name: value} if name else {}
